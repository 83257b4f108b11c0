"""Test 10: does a model know when it is wrong?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Case, Metric, Outcome, Row, column
from .config import TransferabilityConfig
from .labelled import Frames, LabelledTest
from .methods import Method
from .statistics import Interval, bootstrap, correlation, mean, molecule_means
from .style import colours, legend, markers, new_figure, plain, save

BINS = 6
"""Groups of equal numbers of frames in the picture."""
ENERGY = "kcal/mol"


class Uncertainty(LabelledTest):
    """Estimated against true errors of atomization energies, of models that have a committee."""

    name = "uncertainty"
    title = "Uncertainty"
    question = "Does a model know when it is wrong?"
    patterns = ("dft_test.h5", "dft_large.h5", "uncertainty*.h5", "uncertainty*.extxyz")
    columns = {
        "molecule": "name or SMILES",
        "atoms": "number of atoms",
        "uncertainty": "estimated error of the atomization energy, kcal/mol",
        "error": "signed error of the atomization energy, kcal/mol",
        "known": "1 where the uncertainty is ordinary for so many atoms, otherwise 0",
    }
    paired = False

    def measures(self, method: Method) -> bool:
        """Only models with a committee."""
        return method.has_uncertainty

    def compute(
        self, method: Method, data: Frames, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """Energies of all frames with their uncertainty."""
        outcome = Outcome()
        systems = data.systems
        asked = ("energy", "uncertainty")
        for k, point in enumerate(method.points(systems, asked, done=advance)):
            case = data.cases[k]
            if point.failed or not np.isfinite(point.uncertainty):
                outcome.fail(case, point.failed or "a network of the committee has no solution")
                continue
            error = float(point.atomization - data.data.atomization[k]) * EV_TO_KCAL
            estimate = point.uncertainty * EV_TO_KCAL
            row = {"case": case, "molecule": data.names[k], "atoms": len(systems[k])}
            row |= {"uncertainty": estimate, "error": error, "known": int(point.known)}
            outcome.rows.append(row)
            ratio = abs(error) / max(estimate, 1e-9)
            outcome.worst.append(Case.of(case, "|error| over uncertainty", ratio, "", systems[k]))
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """How errors and their estimates agree; molecules are drawn, frames of one are alike."""
        names = [row["molecule"] for row in rows]
        error, estimate = np.abs(column(rows, "error")), column(rows, "uncertainty")
        drawn = config.samples, config.seed

        square, expected = molecule_means(names, error**2), molecule_means(names, estimate**2)
        ratio = bootstrap(
            lambda index: np.sqrt(square[index].mean(1) / expected[index].mean(1)),
            len(square),
            *drawn,
        )
        ranks = correlation(rankdata(np.sqrt(square)), rankdata(np.sqrt(expected)), *drawn)
        known = column(rows, "known") > 0

        def over(values: np.ndarray) -> Interval:
            return mean(molecule_means(names, values), *drawn)

        once, twice = (over(100.0 * (error < times * estimate)) for times in (1.0, 2.0))
        return [
            Metric("RMS error over RMS uncertainty", "", ratio, 2, None),
            Metric("rank correlation with the error", "", ranks, 2, False),
            Metric("errors below the uncertainty (68 %)", "%", once, 0, None),
            Metric("errors below twice that (95 %)", "%", twice, 0, None),
            Metric("called unknown", "%", over(100.0 * ~known), 0, None),
            Metric("MAE of the known", ENERGY, over(np.where(known, error, np.nan))),
            Metric("MAE of the unknown", ENERGY, over(np.where(known, np.nan, error)), 2, None),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Errors against estimates: all frames, groups of frames, and the share below."""
        figure = new_figure(11.0, 3.9)
        panels = figure.subplots(1, 3)
        colour, marker = colours(rows), markers(rows)
        for method, own in rows.items():
            if not own:
                continue
            style = {"color": colour[method], "marker": marker[method], "linestyle": ""}
            _draw_one(panels, own, method, style)
        everything = [row for own in rows.values() for row in own]
        limits = np.quantile(column(everything, "uncertainty"), (0.0, 1.0)) * (0.7, 1.4)
        panels[0].plot(limits, limits, color="0.5", linewidth=0.9, zorder=0)
        panels[0].plot(limits, 2 * limits, color="0.5", linewidth=0.9, linestyle="--", zorder=0)
        panels[0].set(xscale="log", yscale="log", xlim=limits)
        panels[0].set(xlabel=f"uncertainty ({ENERGY})", ylabel=f"|error| ({ENERGY})")
        ends = (0.0, 1.05 * max(*panels[1].get_xlim(), *panels[1].get_ylim()))
        panels[1].plot(ends, ends, color="0.5", linewidth=0.9, zorder=0)
        panels[1].set(xlim=ends, ylim=ends)
        panels[1].set(xlabel=f"RMS uncertainty ({ENERGY})", ylabel=f"RMS error ({ENERGY})")
        panels[2].plot((0, 100), (0, 100), color="0.5", linewidth=0.9, zorder=0)
        panels[2].set(xlabel="expected of a normal distribution (%)", ylabel="frames (%)")
        for axes in panels:
            plain(axes)
        legend(figure, panels[0])
        return save(figure, path)


def _draw_one(panels: Any, rows: list[Row], name: str, style: dict[str, Any]) -> None:
    """The points of one method."""
    error, estimate = np.abs(column(rows, "error")), column(rows, "uncertainty")
    panels[0].plot(estimate, np.maximum(error, 1e-2), markersize=3, alpha=0.6, label=name, **style)
    groups = [g for g in np.array_split(np.argsort(estimate), BINS) if len(g)]
    root = [[np.sqrt((v[g] ** 2).mean()) for g in groups] for v in (estimate, error)]
    panels[1].plot(*root, markersize=5, **style)
    times = np.linspace(0.0, 3.0, 61)
    expected = 100.0 * (2.0 * norm.cdf(times) - 1.0)
    found = 100.0 * (error < times[:, None] * estimate).mean(1)
    panels[2].plot(expected, found, color=style["color"], linewidth=1.4)
