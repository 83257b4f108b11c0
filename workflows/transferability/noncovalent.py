"""Test 3: interaction energies of dimers along their distance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Case, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .curves import lowest, minimum
from .methods import Method
from .reaction_set import ReactionSet, reaction_energy
from .read_comp6 import comp6_reactions
from .read_gmtkn import read_gmtkn
from .statistics import Interval, mean, molecule_means
from .style import REFERENCE, colours, legend, markers, new_figure, plain, save, spread


class NonCovalent(TransferTest):
    """Interaction-energy curves, minima and well depths."""

    name = "noncovalent"
    title = "Non-covalent interactions"
    question = "Are hydrogen bonds, stacks and contacts as strong and as long as they should be?"
    patterns = ("s66x8*.h5", "S66*", "S22*", "noncovalent/*")
    columns = {
        "curve": "dimer, or the reaction itself",
        "contact": "closest distance between both molecules, Angstrom",
        "zero_at": "that of the widest frame, where energies are relative to it, Angstrom",
        "energy": "interaction energy; without monomers relative to the widest frame, kcal/mol",
        "reference": "the same of the label, kcal/mol",
        "force_mae": "mean |error| of the 3A force components, kcal/mol/Angstrom",
    }

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> ReactionSet:
        """COMP6 HDF5 files and GMTKN55 folders."""
        return ReactionSet.joined(
            [read_gmtkn(path) if path.is_dir() else comp6_reactions(path) for path in files]
        )

    def compute(
        self, method: Method, data: ReactionSet, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """All points; a curve without one of its points fails as a whole."""
        outcome = Outcome()
        points = data.points(method, advance)
        for reaction in data.reactions:
            energy = reaction_energy(reaction, points, reaction.curve, outcome)
            if energy is None:
                continue
            formed = next(name for name, c in reaction.coefficients.items() if c > 0)
            force = np.nan
            if formed in data.forces and points[formed].forces is not None:
                wrong = points[formed].forces - data.forces[formed]
                force = float(np.abs(wrong).mean()) * EV_TO_KCAL
            outcome.rows.append(
                {
                    "case": reaction.curve,
                    "curve": reaction.curve,
                    "contact": np.nan if reaction.x is None else reaction.x,
                    "zero_at": np.nan if reaction.zero is None else reaction.zero,
                    "energy": energy,
                    "reference": reaction.reference,
                    "force_mae": force,
                }
            )
            atoms = data.systems[formed]
            error = energy - reaction.reference
            outcome.worst.append(
                Case.of(reaction.curve, "interaction energy off by", error, "kcal/mol", atoms)
            )
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Errors of energies, of positions and depths of minima, and of forces."""
        names = [row["curve"] for row in rows]
        unit, settings = "kcal/mol", (config.samples, config.seed)

        def over_curves(values: np.ndarray) -> Interval:
            return mean(molecule_means(names, values), *settings)

        wrong = column(rows, "energy") - column(rows, "reference")
        pairs = [
            (minimum(x, ref), minimum(x, y), lowest(x, y)) for x, y, ref in curves(rows).values()
        ]
        wells = [pair for pair in pairs if np.isfinite(pair[0].x)]
        lost = np.array([100.0 * np.isnan(own.x) for _, own, _ in wells])
        # a curve without a minimum counts with its lowest point: every method has the same curves
        length = np.array([low.x - label.x for label, _, low in wells])
        depth = np.array([low.y - label.y for label, _, low in wells])
        return [
            Metric("interaction energy MAE", unit, over_curves(np.abs(wrong))),
            Metric("interaction energy bias", unit, over_curves(wrong), 2, None),
            Metric("well depth MAE", unit, mean(np.abs(depth), *settings)),
            Metric("contact at the lowest point MAE", "Å", mean(np.abs(length), *settings), 3),
            Metric("contact at the lowest point bias", "Å", mean(length, *settings), 3, None),
            Metric("curves without a minimum", "%", mean(lost, *settings), 0),
            Metric("force MAE", "kcal/mol/Å", over_curves(column(rows, "force_mae"))),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Curves, and where there are none, energies against those of the labels."""
        found = {method: curves(own) for method, own in rows.items()}
        names = list(next(iter(found.values())))
        return _draw_curves(found, names, path) if names else _draw_energies(rows, path)


def curves(rows: list[Row]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Contact, energy and reference of every curve of three points or more, ascending; the point
    to which the energies of a curve are relative is one of them."""
    groups: dict[str, set[tuple[float, float, float]]] = {}
    for row in rows:
        if np.isfinite(row["contact"]):
            points = groups.setdefault(row["curve"], set())
            points.add((row["contact"], row["energy"], row["reference"]))
            if np.isfinite(row["zero_at"]):
                points.add((row["zero_at"], 0.0, 0.0))
    return {
        name: (x[:, 0], x[:, 1], x[:, 2])
        for name, x in ((name, np.array(sorted(v))) for name, v in groups.items())
        if len(x) > 2
    }


def _draw_curves(found: dict[str, dict[str, Any]], names: list[str], path: Path) -> bool:
    shown = spread(names)
    n_columns = min(4, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = new_figure(2.9 * n_columns, 2.3 * n_rows + 0.5)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).flat
    colour, marker = colours(found), markers(found)
    for axes, name in zip(panels, shown, strict=False):
        for k, (method, own) in enumerate(found.items()):
            x, y, reference = own[name]
            if k == 0:
                axes.plot(
                    x, reference, color=REFERENCE, linewidth=2.4, alpha=0.8, label="reference"
                )
                low, high = reference.min(), reference.max()
            axes.plot(
                *(x, y),
                color=colour[method],
                marker=marker[method],
                markersize=3,
                linewidth=1.1,
                label=method,
            )
        span = max(high - low, 1.0)
        axes.set_ylim(low - 0.7 * span, high + 0.8 * span)  # a wall must not hide the well
        axes.set_title(name.rpartition("/")[2], fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
        plain(axes)
    for k, axes in enumerate(figure.axes):
        axes.set_visible(k < len(shown))
        if k + n_columns >= len(shown):
            axes.set_xlabel("closest contact (Å)", fontsize=9)
    figure.supylabel("interaction energy (kcal/mol)", fontsize=10)
    legend(figure, figure.axes[0])
    return save(figure, path)


def _draw_energies(rows: dict[str, list[Row]], path: Path) -> bool:
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    colour, marker = colours(rows), markers(rows)
    for method, own in rows.items():
        axes.plot(
            column(own, "reference"),
            column(own, "energy"),
            color=colour[method],
            marker=marker[method],
            markersize=4,
            linestyle="",
            alpha=0.8,
            label=method,
        )
    ends = [f(column(own, "reference").tolist()) for own in rows.values() for f in (min, max)][:2]
    axes.plot(ends, ends, color="0.6", linewidth=0.9, zorder=0)
    axes.set(xlabel="reference (kcal/mol)", ylabel="interaction energy (kcal/mol)")
    plain(axes)
    legend(figure, axes)
    return save(figure, path)
