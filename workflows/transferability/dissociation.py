"""Test 5: bonds that are stretched until they are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.sparse.csgraph import connected_components

from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.errors import InputError
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.units import EV_TO_KCAL

from ..states import state
from .base import Advance, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method
from .panels import draw_profiles
from .records import Records
from .scans import Scan
from .series import Series, coordinate, load_series
from .statistics import mean

SPINS = {"restricted": False, "unrestricted": True}
DASHES = {"restricted": "-", "unrestricted": "--"}
SCAN = Scan("spin", "length", "{:.2f} Å")
STRETCH = (0.75, 3.5)
"""Shortest and longest bond of a series that is made here, in lengths of the bond."""
STEP = 0.06
"""Angstrom between two of its points."""


class Dissociation(TransferTest):
    """Energy against the length of a bond, restricted and unrestricted."""

    name = "dissociation"
    title = "Bond dissociation"
    question = "Where do curves of dissociation stay right, smooth and bounded?"
    patterns = ("dissociation/*.xyz", "dissociation/*.extxyz")
    columns = {
        "series": "name of the file",
        "spin": "restricted or unrestricted",
        "length": "of the bond, Angstrom",
        "energy": "relative to the lowest of the curve, kcal/mol",
        "reference": "the same of the label, kcal/mol; empty without",
        "jump": "|change of the energy since the point before minus the work of the forces|, "
        "kcal/mol",
    }

    pictures_of_all = True

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Records[Series]:
        """Series of distances; the bond of a single structure is stretched rigidly."""
        return load_series(files, "distance", _singlets)

    def compute(
        self,
        method: Method,
        data: Records[Series],
        config: TransferabilityConfig,
        advance: Advance,
    ) -> Outcome:
        """All curves; one without one of its points fails as a whole."""

        def curve(series: Series, spin: str) -> dict[str, np.ndarray]:
            points = method.points(series.systems, unrestricted=SPINS[spin])
            energies = SCAN.energies(series, points)
            jumps = _jumps(series.systems, energies, [p.forces for p in points])
            return {"energy": energies, "jump": jumps * EV_TO_KCAL}

        return SCAN.outcome(data, lambda series: SPINS, curve, advance)

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Errors against labels, humps behind the minimum, jumps."""
        out = []
        settings = (config.samples, config.seed)
        for spin in SPINS:
            errors, depths, humps, jumps = [], [], [], []
            for own in SCAN.curves(rows, spin).values():
                energy, label = column(own, "energy"), column(own, "reference")
                errors.append(np.abs(energy - label).mean())
                depths.append(abs(energy[-1] - label[-1]))
                humps.append(energy[int(energy.argmin()) :].max() - energy[-1])
                jumps.append(np.nanmax(column(own, "jump")))
            unit = "kcal/mol"
            out += [
                Metric(f"curve MAE, {spin}", unit, mean(np.array(errors), *settings), 1),
                Metric(
                    f"energy at the end MAE, {spin}", unit, mean(np.array(depths), *settings), 1
                ),
                Metric(
                    f"hump behind the minimum, {spin}", unit, mean(np.array(humps), *settings), 1
                ),
                Metric(f"largest jump, {spin}", unit, mean(np.array(jumps), *settings)),
            ]
        return out

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """A panel a bond; dashed: unrestricted."""
        found: dict[str, dict] = {}
        for method, own in rows.items():
            found[method] = {}
            for spin in SPINS:
                for name, v in SCAN.curves(own, spin).items():
                    curve = (column(v, "length"), column(v, "energy"), column(v, "reference"))
                    found[method].setdefault(name, {})[spin] = curve
        note = "solid: restricted, dashed: unrestricted"
        return draw_profiles(found, path, "bond length (Å)", "energy (kcal/mol)", 0.6, note, DASHES)


def _singlets(series: Series) -> Series:
    """The series, made of a single structure where it is one."""
    if any((charge_and_multiplicity(atoms)[1] or 1) > 1 for atoms in series.systems):
        raise InputError("bonds are stretched in singlets: leave out the multiplicity")
    if any(state(atoms)[1] > 1 for atoms in series.systems):
        raise InputError("bonds are stretched in singlets: this has an odd number of electrons")
    return stretched(series) if len(series) == 1 else series


def stretched(series: Series) -> Series:
    """The bond of a series of one structure at many lengths, both sides rigid.

    Raises
    ------
    InputError
        When it is no bond, or one of a ring.
    """
    (start,), (i, j) = series.systems, series.atoms
    linked = bonds(start.numbers, start.positions[None])[0]
    if not linked[i, j]:
        raise InputError(f"there is no bond between the atoms {i} and {j}")
    linked[i, j] = linked[j, i] = False
    _, side = connected_components(linked)
    if side[i] == side[j]:
        raise InputError(
            f"the bond between the atoms {i} and {j} is one of a ring: give the structures along "
            "its stretching"
        )
    length = coordinate(start, series.atoms)
    along = (start.positions[j] - start.positions[i]) / length
    x = np.arange(STRETCH[0] * length, STRETCH[1] * length, STEP)
    systems = []
    for value in x:
        atoms = start.copy()
        atoms.positions[side == side[j]] += (value - length) * along
        systems.append(atoms)
    return dataclasses.replace(series, systems=systems, x=x, energies=np.full(len(x), np.nan))


def _jumps(
    systems: list[Atoms], energies: np.ndarray, forces: list[np.ndarray | None]
) -> np.ndarray:
    """Change of the energy between points minus that which the forces explain, (F,), eV.

    On a smooth curve it is of third order in the step; where the state changes it is not.
    """
    out = np.full(len(systems), np.nan)
    for k in range(1, len(systems)):
        step = systems[k].positions - systems[k - 1].positions
        work = 0.5 * float(((forces[k] + forces[k - 1]) * step).sum())  # type: ignore[operator]
        out[k] = abs(energies[k] - energies[k - 1] + work)
    return out
