"""Second derivatives: the Hessian and the derivatives of the dipole, by batched differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from .batch import Molecule
from .differences import HessianResult, coordinate_moves, differenced
from .displaced import TIGHT, NotConvergedError, Pair, displaced_pairs, tightened
from .engine import Engine
from .options import positive
from .results import SinglePoint
from .validate import check

__all__ = ["TIGHT", "HessianResult", "NotConvergedError", "dipole_derivatives", "hessian"]


def hessian(
    engine: Engine,
    molecule: Molecule,
    *,
    step: float = 1e-3,
    unrestricted: bool | None = None,
    guess: np.ndarray | None = None,
    field: tuple[float, float, float] | None = None,
) -> HessianResult:
    """Hessian and dipole derivatives of a molecule, from central differences of forces and dipoles.

    The dipole of an ion is about its centre of mass.  All displaced molecules share batches:
    :func:`ase_mlseqm.displaced.displaced_pairs`.

    Parameters
    ----------
    step : float
        Displacement, Angstrom.
    guess : (S, N, N) array, optional
        Density that the SCF of the undisplaced molecule starts from.

    Raises
    ------
    InputError
        When the molecule or the step cannot be used.
    NotConvergedError
        When the SCF of any displaced molecule does not converge.
    """
    positive("step", step)
    check(molecule, engine.model, unrestricted)  # without atoms there is nothing to displace
    moves = coordinate_moves(len(molecule.numbers), step)
    settings: dict[str, Any] = {"unrestricted": unrestricted, "field": field}
    pairs: dict[int, Pair] = {}
    for part in displaced_pairs(engine, [molecule], [moves], guesses=[guess], **settings):
        for _, place, found in part:
            if isinstance(found, NotConvergedError):
                raise found
            pairs[place] = found
    forces = np.array([pairs[place].forces for place in range(len(moves))])
    dipoles = np.array([pairs[place].dipoles for place in range(len(moves))])
    return differenced(forces, dipoles, step)


def dipole_derivatives(
    engine: Engine,
    molecule: Molecule,
    *,
    strength: float = 1e-3,
    unrestricted: bool | None = None,
    guess: np.ndarray | None = None,
) -> np.ndarray:
    """d dipole / d position (3A, 3), e, as the response of the forces to a uniform field.

    d mu_k / d x = d F_x / d E_k, central differences: six calculations whatever the size.

    Parameters
    ----------
    strength : float
        Field, V/Angstrom.

    Raises
    ------
    NotConvergedError
        When the SCF does not converge in one of the fields, or without.
    """
    tight = tightened(engine)

    def point(field: list[float] | None, guess: np.ndarray | None) -> SinglePoint:
        (found,) = tight.run(
            [molecule],
            ("energy", "forces", "density"),
            unrestricted=unrestricted,
            field=field,
            guesses=[guess],
        )
        if not found.converged:
            where = "without a field" if field is None else f"in the field {field} V/Angstrom"
            raise NotConvergedError(f"{where}: {found.message}")
        return found

    density = point(None, guess).density
    columns = []
    for axis in strength * np.eye(3):
        ahead, behind = (
            np.asarray(point(field.tolist(), density).forces) for field in (axis, -axis)
        )
        columns.append((ahead - behind).ravel() / (2 * strength))
    return np.stack(columns, 1)
