"""Second derivatives with this package's engine: displaced molecules of many share batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import SCFError

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.engines import engine_for


@dataclasses.dataclass(frozen=True)
class SecondDerivatives:
    """Second derivatives of the energy of a molecule with A atoms.

    Attributes
    ----------
    hessian : (3A, 3A) array
        Symmetrised, eV/Angstrom^2.
    asymmetry : float
        Largest difference to its transpose before that, eV/Angstrom^2: the error of differences.
    dipole_derivatives : (3A, 3) array or None
        d dipole / d position about a fixed origin, e; None without dipoles.
    """

    hessian: np.ndarray
    asymmetry: float
    dipole_derivatives: np.ndarray | None


def batched(
    structures: Sequence[Atoms],
    calc: MLSEQM,
    step: float,
    densities: Sequence[np.ndarray | None],
) -> list[SecondDerivatives | SCFError]:
    """:func:`ase_mlseqm.derivatives.hessians` of the molecules of a calculator.

    Parameters
    ----------
    structures : sequence of ase.Atoms
        Molecules that the calculator accepts.
    step : float
        Displacement, Angstrom.
    densities : sequence of (S, N, N) arrays or None
        Where the SCF of each undisplaced molecule starts.

    Returns
    -------
    list
        An exception for a molecule of which an SCF did not converge.
    """
    from ase_mlseqm.derivatives import NotConvergedError, hessians  # torch comes with it

    given = calc.parameters
    molecules = [
        molecule_from_atoms(atoms, given["charge"], given["multiplicity"]) for atoms in structures
    ]
    found = hessians(
        engine_for(given),
        molecules,
        step=step,
        unrestricted=given["unrestricted"],
        guesses=densities,
        field=given["field"],
    )
    out: list[SecondDerivatives | SCFError] = []
    for atoms, molecule, result in zip(structures, molecules, found, strict=True):
        if isinstance(result, NotConvergedError):
            out.append(SCFError(f"{atoms.get_chemical_formula()}: {result}"))
        else:
            slopes = result.dipole_derivatives + moving_centre(atoms, molecule.charge)
            out.append(SecondDerivatives(result.hessian, result.asymmetry, slopes))
    return out


def moving_centre(atoms: Atoms, charge: int) -> np.ndarray:
    """What makes derivatives (3A, 3) of a dipole about the centre of mass those about a fixed
    point, e: the centre moves with an atom."""
    from ase_mlseqm.nddo.parameters import elements

    masses = elements("cpu").mass.numpy()[atoms.numbers]
    return charge * np.kron(masses[:, None] / masses.sum(), np.eye(3))
