"""Second derivatives of the energy with any ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.differences import HessianResult, coordinate_moves, differenced, symmetrised
from ase_mlseqm.pymatgen_io import as_atoms

from .displacements import Displaced, Progress, default_step, displaced
from .foreign import require_calculator
from .isotopes import element_masses
from .journal import Journal
from .several import Failure, attempt


def second_derivatives(
    atoms: Atoms,
    calc: BaseCalculator,
    step: float | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
) -> HessianResult:
    """Hessian and dipole derivatives of ``atoms``; constraints do not count.

    Parameters
    ----------
    step : float, optional
        Displacement, Angstrom.  Default: 0.001 with MLSEQM, otherwise 0.01.
    cache : str or Path, optional
        File that gets every displaced result; a run that was cut off goes on from it.
    callback : callable, optional
        Called with (done, all) displaced calculations.
    """
    require_calculator(calc)
    atoms, density = as_atoms(atoms), None
    if isinstance(calc, MLSEQM):
        calc.get_property("energy", atoms)  # the density to start from
        assert calc.unfinished is not None
        density = calc.unfinished.density
    with Journal(cache) as journal:
        (found,) = hessians([atoms], calc, step, journal, [density], callback)
    if isinstance(found, Exception):
        raise found
    return found


def hessians(
    structures: Sequence[Atoms],
    calc: BaseCalculator,
    step: float | None,
    journal: Journal,
    densities: Sequence[np.ndarray | None],
    callback: Progress | None = None,
) -> list[HessianResult | Failure]:
    """Second derivatives of many structures; dipole derivatives about a fixed origin.

    A calculator that has ``get_hessian`` and no dipoles is asked for that; otherwise forces and
    dipoles are differenced.  The parameters are those of :func:`.displacements.displaced`.
    """
    known = hasattr(calc, "get_hessian") and "dipole" not in calc.implemented_properties
    if known and not isinstance(calc, MLSEQM):
        return attempt(lambda atoms: _own_hessian(atoms, calc), structures)
    size = step or default_step(calc)
    moves = [coordinate_moves(len(atoms), size) for atoms in structures]

    def result(atoms: Atoms, found: Displaced) -> HessianResult:
        dipoles = found.dipoles
        if dipoles is not None and isinstance(calc, MLSEQM):
            dipoles = dipoles + _moving_centre(atoms, calc, size)
        return differenced(found.forces, dipoles, size)

    found = displaced(structures, calc, moves, journal, densities, callback)
    return attempt(result, structures, found)


def _own_hessian(atoms: Atoms, calc: BaseCalculator) -> HessianResult:
    return symmetrised(np.asarray(calc.get_hessian(atoms)).reshape(3 * len(atoms), -1))


def _moving_centre(atoms: Atoms, calc: MLSEQM, step: float) -> np.ndarray:
    """What makes dipoles (3A, 2, 3) about the centre of mass those about a fixed point, e Angstrom:
    the centre moves with an atom."""
    given = calc.parameters
    charge = molecule_from_atoms(atoms, given["charge"], given["multiplicity"]).charge
    masses = element_masses(atoms)
    moved = step * charge * np.kron(masses[:, None] / masses.sum(), np.eye(3))
    return np.stack([moved, -moved], 1)
