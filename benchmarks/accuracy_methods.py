"""What a method says about molecules: energies, forces, dipoles, charges, gaps.

The learned model, PM3 and AM1 through `evaluate`; GFN2-xTB through tblite.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from ase_mlseqm import evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.units import BOHR, HARTREE

LEARNED, PM3, AM1, GFN2 = "learned", "PM3", "AM1", "GFN2-xTB"
PLAIN = (PM3, AM1)
UNPAIRED = {1: 1, 6: 2, 7: 3, 8: 2}
"""Unpaired electrons of the isolated atoms, by atomic number."""
ACCURACY = 0.02
"""Of tblite's SCF: forces to 1e-5 eV/Angstrom (see `programs.py`)."""

IPEA_SHIFT = 4.8455
"""eV per charge that the program xtb itself takes off GFN2-xTB's energies of ions, when it
computes ionization potentials and electron affinities."""


@dataclasses.dataclass(frozen=True)
class Properties:
    """Of F frames, computed or as labels; NaN where there is none.

    Attributes
    ----------
    atomization : (F,) array
        Energy minus that of the isolated neutral atoms, eV; negative when bound.
    forces : list of (A, 3) arrays
        eV/Angstrom.
    dipoles : (F, 3) array
        e*Angstrom.
    charges : list of (A,) arrays
        Mulliken charges, e.
    gaps : (F,) array
        Lowest unoccupied minus highest occupied orbital energy, eV.
    converged : (F,) array of bool
    """

    atomization: np.ndarray
    forces: list[np.ndarray]
    dipoles: np.ndarray
    charges: list[np.ndarray]
    gaps: np.ndarray
    converged: np.ndarray

    def __len__(self) -> int:
        return len(self.atomization)


def methods() -> list[str]:
    """All that can be run here, the learned model first."""
    return [LEARNED, *PLAIN] + ([GFN2] if find_spec("tblite") else [])


def predict(method: str, molecules: Sequence[Molecule], model: str) -> Properties:
    """Properties of molecules by a method; `model` is the learned model's name or file."""
    if method == GFN2:
        return _gfn2(molecules)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="ions and radicals")
        results = evaluate(
            molecules,
            None if method == LEARNED else method,
            ("energy", "forces", "dipole", "mulliken_charges", "mo_energies"),
            model=model if method == LEARNED else None,
        )
    pairs = list(zip(results, molecules, strict=True))
    return Properties(
        np.array([r.atomization_energy for r in results], dtype=float),
        [_array(r.forces, (len(m.numbers), 3)) for r, m in pairs],
        np.array([_array(r.dipole, (3,)) for r in results]),
        [_array(r.mulliken_charges, (len(m.numbers),)) for r, m in pairs],
        np.array([np.nan if r.gap is None else r.gap for r in results]),
        np.array([r.converged for r in results]),
    )


def _array(value: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan) if value is None else value


def _gfn2(molecules: Sequence[Molecule]) -> Properties:
    atoms = {
        z: _tblite(Molecule(np.array([z]), np.zeros((1, 3)), 0, unpaired + 1)).atomization[0]
        for z, unpaired in UNPAIRED.items()
        if any(z in m.numbers for m in molecules)
    }
    parts = [_tblite(molecule) for molecule in molecules]
    zeros = [
        sum(atoms.get(int(z), np.nan) for z in m.numbers) + IPEA_SHIFT * m.charge for m in molecules
    ]
    return Properties(
        np.concatenate([p.atomization for p in parts]) - np.array(zeros),
        [p.forces[0] for p in parts],
        np.concatenate([p.dipoles for p in parts]),
        [p.charges[0] for p in parts],
        np.concatenate([p.gaps for p in parts]),
        np.concatenate([p.converged for p in parts]),
    )


def _tblite(molecule: Molecule) -> Properties:
    """One frame; in the place of `atomization` its total energy, eV."""
    from tblite.interface import Calculator

    n = len(molecule.numbers)
    spin = 1 if molecule.multiplicity is None else molecule.multiplicity
    calculator = Calculator(
        GFN2,
        molecule.numbers,
        molecule.positions / BOHR,
        charge=float(molecule.charge),
        uhf=spin - 1,
    )
    calculator.set("verbosity", 0)
    calculator.set("accuracy", ACCURACY)
    try:
        result = calculator.singlepoint()
    except RuntimeError:
        nan = np.full(n, np.nan)
        forces = np.full((n, 3), np.nan)
        return Properties(nan[:1], [forces], forces[:1], [nan], nan[:1], np.array([False]))
    levels, filled = result.get("orbital-energies"), result.get("orbital-occupations")
    highest = int(np.flatnonzero(filled > 0.5)[-1])
    gap = np.diff(levels[highest : highest + 2]) * HARTREE
    return Properties(
        np.array([result.get("energy") * HARTREE]),
        [-result.get("gradient") * HARTREE / BOHR],
        result.get("dipole")[None] * BOHR,
        [result.get("charges")],
        gap if len(gap) else np.array([np.nan]),
        np.array([True]),
    )


def fit_shifts(
    predicted: np.ndarray, reference: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, int]:
    """One constant per element that brings energies closest to the reference.

    Parameters
    ----------
    predicted, reference : (F,) arrays
        eV; frames where either is NaN are left out.
    counts : (F, E) array
        Atoms of each of E elements.

    Returns
    -------
    constants : (E,) array
        eV per atom, to be added to the predictions.
    n_frames : int
        Frames that were fitted.
    """
    good = np.isfinite(predicted) & np.isfinite(reference)
    constants, *_ = np.linalg.lstsq(counts[good].astype(float), (reference - predicted)[good])
    return constants, int(good.sum())
