"""Checks of the input; every refusal is one sentence that says what to do."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from ase.data import chemical_symbols

from .batch import Molecule
from .errors import InputError
from .model import Model
from .nddo.parameters import METHODS, elements, supported
from .options import whole

MIN_DISTANCE = 0.1
"""Angstrom; atoms closer than this are taken for duplicates."""


def _symbol(number: int) -> str:
    return chemical_symbols[number] if 0 <= number < len(chemical_symbols) else f"Z={number}"


def electron_counts(numbers: np.ndarray) -> tuple[int, int]:
    """Valence electrons of the neutral atoms and number of orbitals."""
    return _electron_counts(numbers.astype(np.int64, copy=False).tobytes())


@functools.lru_cache(maxsize=1024)
def _electron_counts(numbers: bytes) -> tuple[int, int]:
    array = np.frombuffer(numbers, dtype=np.int64)
    core = elements(torch.device("cpu")).core_charge.numpy()
    return int(core[array].sum()), int(np.where(array > 1, 4, 1).sum())


def most_unpaired(n_electrons: int, n_orbitals: int) -> int:
    """So many electrons in these orbitals can be without a partner."""
    return min(n_electrons, 2 * n_orbitals - n_electrons)


def check(molecule: Molecule, model: Model, unrestricted: bool | None = None) -> Molecule:
    """The molecule with its multiplicity filled in, and with arrays where it had lists.

    Raises
    ------
    InputError
        When it cannot be computed.
    """
    if not isinstance(molecule, Molecule):
        raise InputError(
            f"{type(molecule).__name__} is no Molecule: give Molecule.from_atoms(atoms), or give "
            "atoms to evaluate"
        )
    numbers, positions = _arrays(molecule)
    check_geometry(numbers, positions)
    charge, spin = whole("charge", molecule.charge), molecule.multiplicity
    if spin is not None:
        spin = whole("multiplicity", spin)
    molecule = dataclasses.replace(
        molecule, numbers=numbers, positions=positions, charge=charge, multiplicity=spin
    )
    unknown = sorted(set(numbers.tolist()) - model.supported())
    if unknown:
        names = ", ".join(_symbol(z) for z in unknown)
        known = " ".join(_symbol(z) for z in sorted(model.supported()))
        # the table that a learned model corrects comes first
        methods = sorted(METHODS, key=lambda m: m != model.method)
        others = [m for m in methods if m != model.name and set(numbers.tolist()) <= supported(m)]
        hint = f"; method={others[0]!r} has them all" if others else ""
        raise InputError(f"{model.name} has no parameters for {names} (it knows {known}){hint}")
    neutral, n_orbitals = electron_counts(numbers)
    n_electrons = neutral - molecule.charge
    if n_electrons < 1:
        raise InputError(
            f"charge {molecule.charge:+d} leaves no valence electrons: the neutral atoms have "
            f"{neutral}"
        )
    if n_electrons > 2 * n_orbitals:
        raise InputError(
            f"charge {molecule.charge:+d} means {n_electrons} valence electrons, but the "
            f"{n_orbitals} orbitals hold at most {2 * n_orbitals}"
        )
    multiplicity = _multiplicity(molecule, n_electrons, n_orbitals)
    if unrestricted is False and multiplicity > 1:
        raise InputError(
            f"multiplicity {multiplicity} needs an unrestricted calculation: leave out "
            "unrestricted=False"
        )
    return dataclasses.replace(molecule, multiplicity=multiplicity)


def _arrays(molecule: Molecule) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers, int64, and positions, float64."""
    numbers, positions = np.asarray(molecule.numbers), np.asarray(molecule.positions)
    for name, array in (("numbers", numbers), ("positions", positions)):
        if array.size and array.dtype.kind not in "fiu":
            raise InputError(f"{name} are {array.dtype} values: give an array of real numbers")
    if numbers.ndim != 1:
        raise InputError(f"numbers have shape {numbers.shape}: give one for each atom")
    found = numbers.astype(np.int64)
    if (found != numbers).any():
        raise InputError(f"numbers are {numbers.tolist()}: give whole atomic numbers")
    return found, positions.astype(np.float64, copy=False)


def _multiplicity(molecule: Molecule, n_electrons: int, n_orbitals: int) -> int:
    lowest = 1 + n_electrons % 2
    multiplicity = lowest if molecule.multiplicity is None else molecule.multiplicity
    if multiplicity < 1:
        raise InputError(
            f"multiplicity {multiplicity} does not exist: give 2S + 1 (1 for a singlet)"
        )
    most = 1 + most_unpaired(n_electrons, n_orbitals)
    if (multiplicity - lowest) % 2:
        possible = f"{lowest} or {lowest + 2}" if lowest + 2 <= most else f"{lowest}"
        raise InputError(
            f"multiplicity {multiplicity} is impossible with {n_electrons} valence electrons "
            f"(charge {molecule.charge:+d}): give {possible}, or another charge"
        )
    if multiplicity > most:
        raise InputError(
            f"multiplicity {multiplicity} needs {multiplicity - 1} unpaired electrons, more than "
            f"{n_electrons} valence electrons in {n_orbitals} orbitals allow"
        )
    return multiplicity


def check_geometry(numbers: np.ndarray, positions: np.ndarray) -> None:
    """Raise :class:`InputError` for no atoms, wrong shapes or numbers, and coinciding atoms."""
    if not len(numbers):
        raise InputError("there are no atoms to compute")
    if positions.shape != (len(numbers), 3):
        raise InputError(f"positions have shape {positions.shape}, not ({len(numbers)}, 3)")
    bad = np.flatnonzero(~np.isfinite(positions).all(1))
    if len(bad):
        raise InputError(f"the position of atom {bad[0]} is not a finite number: correct the input")
    pair = closest_pair(positions)
    if pair is not None:
        i, j, distance = pair
        raise InputError(
            f"atoms {i} ({_symbol(int(numbers[i]))}) and {j} ({_symbol(int(numbers[j]))}) are "
            f"{distance:.3f} Angstrom apart: remove the duplicate or correct the positions"
        )


def closest_pair(positions: np.ndarray) -> tuple[int, int, float] | None:
    """Two atoms closer than :data:`MIN_DISTANCE`, or None."""
    n = len(positions)
    if n < 2:
        return None
    if n < 64:
        gaps = positions[:, None] - positions
        squared = np.einsum("ijk,ijk->ij", gaps, gaps)
        squared.flat[:: n + 1] = np.inf
        i, j = divmod(int(squared.argmin()), n)
        if i == j:  # squares of absurdly large distances overflow
            return None
    else:
        from scipy.spatial import cKDTree

        pairs = cKDTree(positions).query_pairs(MIN_DISTANCE)
        if not pairs:
            return None
        i, j = min(pairs)
    distance = float(np.linalg.norm(positions[i] - positions[j]))
    return (min(i, j), max(i, j), distance) if distance < MIN_DISTANCE else None
