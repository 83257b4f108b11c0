"""Series of structures along one internal coordinate, from extended XYZ.

One series a file.  Every frame states with ``scan_atoms`` the atoms, counted from zero, whose
distance (two), angle (three) or dihedral (four) it is a point of; energy (eV) and forces
(eV/Angstrom) are those of ASE's format, ``charge`` and ``multiplicity`` as everywhere.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_mlseqm.atoms import KEYS
from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Skipped

from .read_extxyz import read_extxyz, record_name
from .records import WHOLE, Records, name_of, require_some

KINDS = {2: "distance", 3: "angle", 4: "dihedral"}
UNITS = ("units", "energy_unit", "energy_units")
"""Where files say in what their energies are; the format itself has them in eV."""


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


def load_series(
    files: Sequence[Path], kind: str, usable: Callable[[Series], Series]
) -> Records[Series]:
    """The series of all files, without what is broken in them.

    Parameters
    ----------
    kind : str
        Of the coordinate: distance, angle or dihedral.
    usable : callable
        Called with every series; returns what is used of it.

    Raises
    ------
    InputError
        When nothing is left of any file.
    """
    found, skipped = [], []
    for path in files:
        series, bad = read_series(path, kind)
        skipped += bad
        if series is None:
            continue
        try:
            if bad and len(series) == 1:
                raise InputError("a single sound frame is no series")
            found.append(usable(series))
        except InputError as error:  # one that the test has no use for
            skipped.append(Skipped(path.name, WHOLE, str(error)))
    require_some(found, name_of(files), skipped)
    return Records(found, skipped)


def read_series(path: Path, kind: str) -> tuple[Series | None, list[Skipped]]:
    """The sound frames of a file, None where there are none, and the broken ones.

    Of frames that do not belong together most decide.  Where any has an energy, all need one.
    """
    skipped: list[Skipped] = []
    frames: dict[int, tuple[Atoms, tuple[int, ...], float, float]] = {}
    for found in read_extxyz(path):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        k, atoms = found
        try:
            scanned = _scan_atoms(atoms, kind)
            _check_relaxed(atoms)
            frames[k] = (atoms, scanned, coordinate(atoms, scanned), _energy(atoms))
        except ValueError as error:
            skipped.append(Skipped(path.name, record_name(k), str(error)))
            continue
        atoms.calc = None
    kinds = {k: _same_series(atoms, scanned) for k, (atoms, scanned, *_) in frames.items()}
    usual = Counter(kinds.values()).most_common(1)
    labelled = any(np.isfinite(energy) for *_, energy in frames.values())
    for k in list(frames):
        reason = None
        if kinds[k] != usual[0][0]:
            reason = (
                "it differs from most frames in its atoms, scan_atoms, relaxed, charge or "
                "multiplicity"
            )
        elif labelled and not np.isfinite(frames[k][3]):
            reason = "it has no energy that is a number, where others have one"
        if reason is not None:
            skipped.append(Skipped(path.name, record_name(k), reason))
            del frames[k]
    if not frames:
        return None, skipped
    systems, atoms, x, energies = zip(*frames.values(), strict=True)
    order = np.argsort(x, kind="stable")
    series = Series(
        path.stem,
        [systems[k] for k in order],
        atoms[0],
        np.array(x)[order],
        np.array(energies)[order],
        bool(systems[0].info.get("relaxed", False)),
    )
    return series, skipped


def coordinate(system: Atoms, atoms: tuple[int, ...]) -> float:
    """Distance (Angstrom), angle or dihedral (degrees, from 0 to 360).

    Raises
    ------
    ValueError
        When three of the atoms of a dihedral are on a line.
    """
    if len(atoms) == 2:
        return float(system.get_distance(*atoms))
    if len(atoms) == 3:
        return float(system.get_angle(*atoms))
    try:
        angle = float(system.get_dihedral(*atoms))
    except ZeroDivisionError:
        raise ValueError("three of its scan_atoms are on a line: it has no dihedral") from None
    return angle % 360.0 if abs(angle - 360.0) > 1e-3 else 0.0  # files round positions


def _scan_atoms(atoms: Atoms, kind: str) -> tuple[int, ...]:
    given = np.atleast_1d(atoms.info.get("scan_atoms", []))
    found = tuple(int(k) for k in given) if given.dtype.kind in "iu" else ()
    if not found or len(set(found)) < len(found) or not all(0 <= k < len(atoms) for k in found):
        raise ValueError('every frame must state different atoms of it, as in scan_atoms="0 1 2 3"')
    if KINDS.get(len(found)) != kind:
        wanted = {v: k for k, v in KINDS.items()}[kind]
        raise ValueError(f"scan_atoms names {len(found)} atoms: a {kind} has {wanted}")
    return found


def _check_relaxed(atoms: Atoms) -> None:
    """ValueError where the parser took ``relaxed`` for a text, as in relaxed=no, which is true."""
    relaxed = atoms.info.get("relaxed", False)
    if isinstance(relaxed, str):
        raise ValueError(f"relaxed is {relaxed!r}: write T or F")


def _energy(atoms: Atoms) -> float:
    """The label, eV; NaN where there is none, or what is there is no number.

    Raises
    ------
    ValueError
        When the frame says that it is in another unit.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    stated = {key: str(atoms.info[key]) for key in UNITS if key in atoms.info}
    for key, unit in stated.items():  # perhaps with others behind it, as in "eV, Angstrom"
        if "energy" in results and unit.partition(",")[0].strip().casefold() != "ev":
            raise ValueError(f"{key} is {unit!r}: give the energy in eV")
    try:
        return float(results.get("energy", np.nan))
    except (TypeError, ValueError):  # such as energy=none
        return np.nan


def _same_series(atoms: Atoms, scanned: tuple[int, ...]) -> tuple[object, ...]:
    """What all frames of a series have in common."""
    info = atoms.info
    state = tuple(str(info.get(name)) for name in ("relaxed", *KEYS))
    return (scanned, atoms.numbers.tobytes(), *state)
