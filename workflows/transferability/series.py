"""Series of structures along one internal coordinate, from extended XYZ.

One series a file.  Every frame states with ``scan_atoms`` the atoms, counted from zero, whose
distance (two), angle (three) or dihedral (four) it is a point of; energy (eV) and forces
(eV/Angstrom) are those of ASE's format, ``charge`` and ``multiplicity`` as everywhere.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import iread

from ase_mlseqm.broken_files import unreadable
from ase_mlseqm.errors import InputError

KINDS = {2: "distance", 3: "angle", 4: "dihedral"}


@dataclasses.dataclass(frozen=True)
class Series:
    """F structures along a coordinate, ascending.

    Attributes
    ----------
    name : str
        Of the file.
    systems : list of F ase.Atoms
    atoms : tuple of int
        Those between which the coordinate is measured.
    x : (F,) array
        Angstrom or degrees.
    energies : (F,) array
        Labels, eV; NaN where there is none.
    relaxed : bool
        Whether the other coordinates were relaxed at every point (``relaxed=T``).
    """

    name: str
    systems: list[Atoms]
    atoms: tuple[int, ...]
    x: np.ndarray
    energies: np.ndarray
    relaxed: bool

    def __len__(self) -> int:
        return len(self.systems)


def read_series(path: Path, kind: str) -> Series:
    """The series of a file, whose coordinate is a ``kind`` (distance, angle or dihedral).

    Raises
    ------
    InputError
        When it cannot be read, or its frames are not points of one series.
    """
    systems, energies = [], []
    try:
        for frame in iread(path, index=":", format="extxyz"):
            results = frame.calc.results if frame.calc is not None else {}
            energies.append(float(results.get("energy", np.nan)))
            frame.calc = None
            systems.append(frame)
    except Exception as error:  # whatever a broken file makes of the parser
        raise unreadable(path, error) from None
    if not systems:
        raise InputError(f"{path.name}: there are no structures in it")
    chosen = {_scan_atoms(atoms, path.name) for atoms in systems}
    if len(chosen) > 1 or any(list(a.numbers) != list(systems[0].numbers) for a in systems):
        raise InputError(f"{path.name}: its frames differ in scan_atoms or in their atoms")
    atoms = chosen.pop()
    if KINDS.get(len(atoms)) != kind:
        wanted = {v: k for k, v in KINDS.items()}[kind]
        raise InputError(f"{path.name}: scan_atoms names {len(atoms)} atoms: a {kind} has {wanted}")
    x = np.array([coordinate(system, atoms) for system in systems])
    order = np.argsort(x, kind="stable")
    return Series(
        path.stem,
        [systems[k] for k in order],
        atoms,
        x[order],
        np.array(energies)[order],
        bool(systems[0].info.get("relaxed", False)),
    )


def coordinate(system: Atoms, atoms: tuple[int, ...]) -> float:
    """Distance (Angstrom), angle or dihedral (degrees, from 0 to 360)."""
    if len(atoms) == 2:
        return float(system.get_distance(*atoms))
    if len(atoms) == 3:
        return float(system.get_angle(*atoms))
    angle = float(system.get_dihedral(*atoms))
    return angle % 360.0 if abs(angle - 360.0) > 1e-3 else 0.0  # files round positions


def _scan_atoms(atoms: Atoms, where: str) -> tuple[int, ...]:
    given = np.atleast_1d(atoms.info.get("scan_atoms", []))
    found = tuple(int(k) for k in given) if given.dtype.kind in "iu" else ()
    if not found or len(set(found)) < len(found) or not all(0 <= k < len(atoms) for k in found):
        raise InputError(
            f'{where}: every frame must state different atoms of it, as in scan_atoms="0 1 2 3"'
        )
    return found
