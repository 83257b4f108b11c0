"""Test 1: do errors grow with the size of the molecule?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.formula import Formula

from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.split import LARGE
from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Case, Metric, Outcome, Row, column
from .config import TransferabilityConfig
from .labelled import Frames, LabelledTest
from .methods import Method
from .statistics import Interval, by_molecule, mean, pair_difference, slope, slope_within
from .style import colours, legend, markers, new_figure, plain, save

BINS = 8
"""Sizes are drawn in at most so many groups of about equal numbers of molecules."""
PANELS = (
    ("forces", "force MAE (kcal/mol/Å)"),
    ("relative energies", "energy differences (kcal/mol)"),
    ("atomization", "|error| of atomization energy\nper heavy atom (kcal/mol)"),
)
"""Error and label of every panel; the last with one constant per element fitted."""
METRICS = (
    ("forces", "force MAE", "kcal/mol/Å"),
    ("relative forces", "force MAE relative to the size of the forces", "%"),
    ("relative energies", "energy difference MAE", "kcal/mol"),
    ("raw atomization", "raw atomization MAE per heavy atom", "kcal/mol"),
    ("atomization", "atomization MAE per heavy atom", "kcal/mol"),
)
"""Error, name, unit."""


class Extensibility(LabelledTest):
    """Energy and force errors against the number of heavy atoms."""

    name = "extensibility"
    title = "Extensibility"
    question = "Do errors grow with the size of the molecule?"
    patterns = ("dft_test.h5", "dft_large.h5", "extensibility*.h5", "extensibility*.extxyz")
    columns = {
        "molecule": "name or SMILES",
        "formula": "composition",
        "heavy_atoms": "atoms that are no hydrogen",
        "force_mae": "mean |error| of the 3A force components, kcal/mol/Angstrom",
        "force_size": "mean |force component| of the label, kcal/mol/Angstrom",
        "atomization_error": "signed error of the atomization energy, kcal/mol",
        "kinds": "kinds of atoms (element, bonds/heavy neighbours), their number and force MAE",
    }

    def compute(
        self, method: Method, data: Frames, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """Energies and forces of all frames."""
        outcome = Outcome()
        systems = data.systems
        for k, point in enumerate(method.points(systems, done=advance)):
            case = data.cases[k]
            if point.failed:
                outcome.fail(case, point.failed)
                continue
            wrong = data.force_errors(k, point)
            force = float(np.abs(wrong).mean())
            outcome.rows.append(
                {
                    "case": case,
                    "molecule": data.names[k],
                    "formula": systems[k].get_chemical_formula(),
                    "heavy_atoms": data.heavy(k),
                    "force_mae": force,
                    "force_size": data.force_size(k),
                    "atomization_error": float(point.atomization - data.data.atomization[k])
                    * EV_TO_KCAL,
                    "kinds": _kinds(systems[k], np.abs(wrong).mean(1)),
                }
            )
            atoms = np.linalg.norm(wrong, axis=1)
            outcome.worst.append(Case.of(case, "force MAE", force, "kcal/mol/Å", systems[k], atoms))
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Means over molecules, and slopes against the number of heavy atoms."""
        found = per_molecule(rows)
        out = []
        for key, name, unit in METRICS:
            x, y = found["heavy atoms"], found[key]
            out.append(Metric(name, unit, mean(y, config.samples, config.seed)))
            per_atom = f"{unit} per heavy atom"
            steep = slope(x, y, config.samples, config.seed)
            out.append(Metric(f"slope of {name}", per_atom, steep, 3, None))
            large = x >= LARGE  # smaller ones may be trained on
            steep = slope(x[large], y[large], config.samples, config.seed)
            out.append(
                Metric(f"slope from {LARGE} heavy atoms on of {name}", per_atom, steep, 3, None)
            )
        within = Interval(np.nan)
        if rows and "kinds" in rows[0]:
            within = _slope_of_kinds(rows, config)
        name = f"slope from {LARGE} heavy atoms on of force MAE, same kinds of atoms"
        out.append(Metric(name, "kcal/mol/Å per heavy atom", within, 3, None))
        return out

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Means of groups of sizes with intervals, and lines fitted from four heavy atoms on."""
        figure = new_figure(10.5, 3.9)
        panels = figure.subplots(1, 3)
        found = {method: per_molecule(own) for method, own in rows.items()}
        colour, marker = colours(rows), markers(rows)
        for axes, (key, label) in zip(panels, PANELS, strict=True):
            for shift, (method, values) in enumerate(found.items()):
                x, y = values["heavy atoms"], values[key]
                known = np.isfinite(y)
                if not known.any():
                    continue
                x, y = x[known], y[known]
                centres, means = _groups(x, y, config)
                offset = 0.12 * (shift - (len(found) - 1) / 2)
                middle = np.array([m.value for m in means])
                errors = np.abs(np.array([(m.low, m.high) for m in means]).T - middle)
                axes.errorbar(
                    centres + offset,
                    middle,
                    yerr=np.nan_to_num(errors),
                    color=colour[method],
                    marker=marker[method],
                    markersize=4,
                    linestyle="",
                    capsize=2.5,
                    label=method,
                )
                large = x >= LARGE
                if large.any() and np.ptp(x[large]) > 0:
                    line = np.polynomial.Polynomial.fit(x[large], y[large], 1)
                    ends = np.array([x[large].min(), x.max()])
                    axes.plot(ends, line(ends), color=colour[method], linewidth=1.2)
            axes.set(xlabel="heavy atoms", ylabel=label)
            axes.set_ylim(bottom=0)
            plain(axes)
        legend(figure, panels[0])
        return save(figure, path)


def per_molecule(rows: list[Row]) -> dict[str, np.ndarray]:
    """Means over the frames of every molecule: size, and the errors of :data:`METRICS`, (M,)."""
    names = [row["molecule"] for row in rows]
    formulas = {row["molecule"]: row["formula"] for row in rows}
    heavy = by_molecule(names, column(rows, "heavy_atoms"))
    force = by_molecule(names, column(rows, "force_mae"))
    labels = by_molecule(names, column(rows, "force_size"))
    energy = by_molecule(names, column(rows, "atomization_error"))
    nothing = np.array([np.nan])
    size = np.array([v[0] for v in heavy.values()])
    offset = np.array([energy.get(n, nothing).mean() for n in heavy])
    fitted = offset - element_constants([formulas[n] for n in heavy], offset)
    return {
        "heavy atoms": size,
        "forces": np.array([force[n].mean() for n in heavy]),
        "relative forces": np.array([_percent(force[n], labels[n]) for n in heavy]),
        "relative energies": np.array([pair_difference(energy.get(n, nothing)) for n in heavy]),
        "raw atomization": np.abs(offset) / np.maximum(size, 1),
        "atomization": np.abs(fitted) / np.maximum(size, 1),
    }


def _kinds(atoms: Atoms, errors: np.ndarray) -> str:
    """Number and mean error of all kinds of atoms, as in ``C4/2:3:1.25 H1/1:6:0.61``."""
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    heavy = linked[:, atoms.numbers > 1].sum(1)
    names = [f"{s}{n}/{x}" for s, n, x in zip(atoms.symbols, linked.sum(1), heavy, strict=True)]
    found: dict[str, list[float]] = {}
    for name, error in zip(names, errors, strict=True):
        found.setdefault(name, []).append(float(error))
    return " ".join(f"{k}:{len(v)}:{np.mean(v):.5g}" for k, v in sorted(found.items()))


def _slope_of_kinds(rows: list[Row], config: TransferabilityConfig) -> Interval:
    """Slope of the errors of forces of atoms of the same kind against the size of the molecule."""
    molecules: dict[str, tuple[float, dict[str, list[float]]]] = {}
    for row in rows:
        if row["heavy_atoms"] >= LARGE:
            _, sums = molecules.setdefault(row["molecule"], (row["heavy_atoms"], {}))
            for part in row["kinds"].split():
                kind, number, error = part.rsplit(":", 2)
                total = sums.setdefault(kind, [0.0, 0.0])
                total[0] += int(number)
                total[1] += int(number) * float(error)
    kinds = sorted({kind for _, sums in molecules.values() for kind in sums})
    shape = len(molecules), len(kinds)
    share, errors = np.zeros(shape), np.zeros(shape)
    for m, (_, sums) in enumerate(molecules.values()):
        atoms = sum(number for number, _ in sums.values())
        for kind, (number, total) in sums.items():
            k = kinds.index(kind)
            share[m, k], errors[m, k] = number / atoms, total / number
    size = np.array([heavy for heavy, _ in molecules.values()])
    return slope_within(size, errors, share, config.samples, config.seed)


def _percent(error: np.ndarray, size: np.ndarray) -> float:
    """Mean error of mean size; NaN where nothing has a size."""
    return 100.0 * float(error.mean() / size.mean()) if size.mean() > 0.0 else np.nan


def element_constants(formulas: Sequence[str], errors: np.ndarray) -> np.ndarray:
    """What one constant per element explains of errors (M,), by least squares.

    Energies of free atoms differ between methods for reasons that no reaction shows.  Where the
    molecules are no more than the constants, these explain everything: NaN.
    """
    known = np.isfinite(errors)
    if not known.any():  # as where no case is common to all methods
        return np.full(len(errors), np.nan)
    counts = [Formula(formula).count() for formula in formulas]
    elements = sorted({element for count in counts for element in count})
    matrix = np.array([[count.get(e, 0) for e in elements] for count in counts], dtype=float)
    constants, _, rank, _ = np.linalg.lstsq(matrix[known], errors[known], rcond=None)
    if known.sum() <= rank:
        return np.full(len(errors), np.nan)
    return matrix @ constants


def _groups(
    x: np.ndarray, y: np.ndarray, config: TransferabilityConfig
) -> tuple[np.ndarray, list[Interval]]:
    """Mean size and mean error of groups of molecules of like size."""
    sizes = np.unique(x)
    if len(sizes) > BINS:
        edges = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1)))
        place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    else:
        place = np.searchsorted(sizes, x)
    groups = [place == k for k in np.unique(place)]
    centres = np.array([x[g].mean() for g in groups])
    return centres, [mean(y[g], config.samples, config.seed) for g in groups]
