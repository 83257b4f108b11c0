"""Test 2: forces, energies, dipoles, charges and gaps of drugs and biomolecules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ase_mlseqm.units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL

from .base import Advance, Case, Metric, Outcome, Row, column
from .config import TransferabilityConfig
from .labelled import Frames, LabelledTest
from .methods import PROPERTIES, Method, Point
from .statistics import Interval, by_molecule, correlation, mean, molecule_means, pair_difference
from .style import colours, legend, markers, new_figure, plain, save

MEANS = (
    ("force_mae", "force MAE", "kcal/mol/Å", 2),
    ("dipole_error", "dipole error", "D", 3),
    ("charge_mae", "charge MAE", "e", 3),
)
"""Column, name, unit, digits."""


class LargeMolecules(LabelledTest):
    """Properties of molecules larger than those that were trained on."""

    name = "large"
    title = "Large biomolecules and drugs"
    question = "Are forces and properties right in molecules far larger than those trained on?"
    patterns = ("dft_large.h5", "large*.h5", "large*.extxyz")
    columns = {
        "molecule": "name or SMILES",
        "atoms": "number of atoms",
        "force_mae": "mean |error| of the 3A force components, kcal/mol/Angstrom",
        "energy_error": "signed error of the atomization energy, kcal/mol",
        "dipole_error": "length of the difference vector, D",
        "charge_mae": "mean |atomic charge minus Mulliken charge of the label|, e",
        "gap": "lowest empty minus highest filled orbital energy, eV",
        "reference_gap": "the same of the label, eV",
    }

    def compute(
        self, method: Method, data: Frames, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """All properties of all frames; what has no label is NaN."""
        outcome = Outcome()
        systems = data.systems
        for k, point in enumerate(method.points(systems, PROPERTIES, done=advance)):
            if point.failed:
                outcome.fail(data.cases[k], point.failed)
                continue
            wrong = data.force_errors(k, point)
            row = {
                "case": data.cases[k],
                "molecule": data.names[k],
                "atoms": len(systems[k]),
                "force_mae": float(np.abs(wrong).mean()),
                "energy_error": (point.atomization - float(data.data.atomization[k])) * EV_TO_KCAL,
                **_properties(data, k, point),
            }
            outcome.rows.append(row)
            outcome.worst.append(
                Case.of(
                    data.cases[k],
                    "force MAE",
                    row["force_mae"],
                    "kcal/mol/Å",
                    systems[k],
                    np.linalg.norm(wrong, axis=1),
                )
            )
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Means over molecules."""
        names = [row["molecule"] for row in rows]
        settings = (config.samples, config.seed)

        def over_molecules(values: np.ndarray) -> Interval:
            return mean(molecule_means(names, values), *settings)

        energies = by_molecule(names, column(rows, "energy_error"))
        pairs = np.array([pair_difference(v) for v in energies.values()])
        gap, label = column(rows, "gap"), column(rows, "reference_gap")
        found = [Metric(n, u, over_molecules(column(rows, c)), d) for c, n, u, d in MEANS]
        found.insert(1, Metric("energy difference MAE", "kcal/mol", mean(pairs, *settings)))
        known = np.isfinite(gap + label)
        means = [molecule_means(names, np.where(known, v, np.nan)) for v in (gap, label)]
        related = correlation(*means, *settings)
        return [
            *found,
            Metric("gap MAE", "eV", over_molecules(np.abs(gap - label))),
            Metric("gap correlation", "", related, 2, False),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Errors by molecule, and gaps against those of the labels."""
        first = next(iter(rows.values()))
        sizes = dict(sorted({r["molecule"]: r["atoms"] for r in first}.items(), key=lambda i: i[1]))
        figure = new_figure(11.5, 1.7 + 0.26 * max(len(sizes), 8))
        panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.25))
        colour, marker = colours(rows), markers(rows)
        for method, own in rows.items():
            names = [row["molecule"] for row in own]
            style = {"color": colour[method], "marker": marker[method], "linestyle": ""}
            for axes, (key, label, unit, _) in zip(panels, MEANS, strict=False):
                found = by_molecule(names, column(own, key))
                means = [found[n].mean() if n in found else np.nan for n in sizes]
                axes.plot(means, range(len(sizes)), markersize=5, label=method, **style)
                axes.set_xlabel(f"{label} ({unit})")
            panels[3].plot(
                column(own, "reference_gap"), column(own, "gap"), markersize=4, alpha=0.7, **style
            )
        ticks = [f"{_short(name)} ({size})" for name, size in sizes.items()]
        for k, axes in enumerate(panels[:3]):
            axes.set_yticks(range(len(sizes)), ticks if k == 0 else [])
            axes.set_xlim(left=0)
            axes.set_ylim(-0.6, len(sizes) - 0.4)
            plain(axes)
        panels[3].set(xlabel="gap of the label (eV)", ylabel="gap (eV)")
        label = np.concatenate([column(own, "reference_gap") for own in rows.values()])
        ends = [f.reduce(label, initial=np.nan) for f in (np.fmin, np.fmax)]  # some have none
        panels[3].plot(ends, ends, color="0.6", linewidth=0.9, zorder=0)
        plain(panels[3])
        legend(figure, panels[0])
        return save(figure, path)


def _properties(data: Frames, k: int, point: Point) -> dict[str, float]:
    """Errors of dipole and charges, and both gaps; NaN without label."""
    out = dict.fromkeys(("dipole_error", "charge_mae", "gap", "reference_gap"), np.nan)
    labels = data.data
    if labels.dipoles is not None and point.dipole is not None:
        wrong = np.linalg.norm(point.dipole - labels.dipoles[k])
        out["dipole_error"] = float(wrong) * E_ANGSTROM_TO_DEBYE
    if labels.charges is not None and point.charges is not None:
        out["charge_mae"] = float(np.abs(point.charges - labels.charges[k]).mean())
    out["gap"] = float(point.gap)
    if labels.homo is not None and labels.lumo is not None:
        out["reference_gap"] = float(labels.lumo[k] - labels.homo[k])
    return out


def _short(name: str, length: int = 22) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
