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
from ase_mlseqm.workflows.transferability.gfn2 import gfn2_point
from ase_mlseqm.workflows.transferability.methods import Point

LEARNED, PM3, AM1, GFN2 = "learned", "PM3", "AM1", "GFN2-xTB"
PLAIN = (PM3, AM1)


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
    pairs = [(_point(molecule), molecule) for molecule in molecules]
    return Properties(
        np.array([p.atomization for p, _ in pairs]),
        [_array(p.forces, (len(m.numbers), 3)) for p, m in pairs],
        np.array([_array(p.dipole, (3,)) for p, _ in pairs]),
        [_array(p.charges, (len(m.numbers),)) for p, m in pairs],
        np.array([p.gap for p, _ in pairs]),
        np.array([not p.failed for p, _ in pairs]),
    )


def _point(molecule: Molecule) -> Point:
    unpaired = (molecule.multiplicity or 1) - 1
    try:
        return gfn2_point(molecule.numbers, molecule.positions, molecule.charge, unpaired)
    except RuntimeError as error:
        return Point(failed=str(error))


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
