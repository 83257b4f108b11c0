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


def _require(results: list[SinglePoint], what: str) -> list[SinglePoint]:
    for index, result in enumerate(results):
        if not result.converged:
            raise NotConvergedError(f"{what} {index} of {len(results)}: {result.message}")
    return results


def _reference(
    engine: Engine, molecule: Molecule, unrestricted: bool | None, guess: np.ndarray | None
) -> SinglePoint:
    results = engine.run(
        [molecule], ("energy", "density"), unrestricted=unrestricted, guesses=[guess]
    )
    return _require(results, "calculation")[0]


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
    """
    tight = tightened(engine)
    density = _reference(tight, molecule, unrestricted, guess).density
    columns = []
    for axis in range(3):
        forces = []
        for sign in (1.0, -1.0):
            field = np.zeros(3)
            field[axis] = sign * strength
            results = tight.run(
                [molecule],
                ("energy", "forces"),
                unrestricted=unrestricted,
                field=field.tolist(),
                guesses=[density],
            )
            forces.append(np.asarray(_require(results, "calculation in a field")[0].forces))
        columns.append((forces[0] - forces[1]).ravel() / (2 * strength))
    return np.stack(columns, 1)
