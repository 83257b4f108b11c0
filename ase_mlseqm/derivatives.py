"""Second derivatives: the Hessian and the derivatives of the dipole, by batched differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .batch import Molecule
from .engine import Engine
from .parts import parts
from .results import SinglePoint

TIGHT = 1e-9
"""eV; SCF tolerance of displaced calculations, whose differences are divided by a small step."""
HELD = 4e7
"""Elements of the densities of displaced molecules that are in memory at once; 320 MB."""


class NotConvergedError(RuntimeError):
    """A displaced SCF did not converge; the message says which."""


@dataclasses.dataclass(frozen=True)
class HessianResult:
    """Second derivatives of the energy of a molecule with A atoms.

    Attributes
    ----------
    hessian : (3A, 3A) array
        Symmetrised, eV/Angstrom^2.
    asymmetry : float
        Largest difference between the matrix and its transpose before that, eV/Angstrom^2: the
        error of the differences.
    dipole_derivatives : (3A, 3) array
        d dipole / d position, e, from the same displacements; the dipole of an ion is about its
        centre of mass.
    """

    hessian: np.ndarray
    asymmetry: float
    dipole_derivatives: np.ndarray


def _tight(engine: Engine) -> Engine:
    scf = dataclasses.replace(engine.scf, tolerance=min(TIGHT, engine.scf.tolerance))
    return engine.with_scf(scf)


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
    """Hessian and dipole derivatives of a molecule, as :func:`hessians` has them.

    Raises
    ------
    NotConvergedError
        When the SCF of any displaced molecule does not converge.
    """
    settings: dict[str, Any] = {"unrestricted": unrestricted, "field": field}
    (found,) = hessians(engine, [molecule], step=step, guesses=[guess], **settings)
    if isinstance(found, NotConvergedError):
        raise found
    return found


def hessians(
    engine: Engine,
    molecules: Sequence[Molecule],
    *,
    step: float = 1e-3,
    unrestricted: bool | None = None,
    guesses: Sequence[np.ndarray | None] | None = None,
    field: tuple[float, float, float] | None = None,
) -> list[HessianResult | NotConvergedError]:
    """Hessians and dipole derivatives from central differences of forces and dipoles.

    The displaced molecules of all share batches: those displaced forward are one call of the
    engine, in which each starts from the density P of its undisplaced one.  Those displaced
    backward are another: with 2 P - P(forward) they start closer by an order of the step.  Where
    the densities would need more memory than :data:`HELD` there are more such pairs of calls.  The
    SCF is tightened to 1e-9 eV.

    Parameters
    ----------
    step : float
        Displacement, Angstrom.
    guesses : sequence of (S, N, N) arrays or None, optional
        Densities that the SCF of the undisplaced molecules starts from.

    Returns
    -------
    list
        An exception for a molecule of which an SCF did not converge.
    """
    tight = _tight(engine)
    settings: dict[str, Any] = {"unrestricted": unrestricted, "field": field}
    middle: list[Any] = tight.run(molecules, ("energy", "density"), guesses=guesses, **settings)
    failed: dict[int, NotConvergedError] = {}
    sizes = [3 * len(molecule.numbers) for molecule in molecules]
    forces = [np.zeros((2, size, size)) for size in sizes]
    dipoles = [np.zeros((2, size, 3)) for size in sizes]

    def note(k: int, point: SinglePoint, what: str) -> None:
        if not point.converged:
            failed.setdefault(k, NotConvergedError(f"{what}: {point.message}"))

    def displaced(
        chosen: list[tuple[int, int]], side: int, guesses: list[np.ndarray], *more: str
    ) -> list[Any]:
        distance = (step, -step)[side]
        moved = [_displaced(molecules[k], coordinate, distance) for k, coordinate in chosen]
        points = tight.run(
            moved, ("energy", "forces", "dipole", *more), guesses=guesses, **settings
        )
        for (k, coordinate), point in zip(chosen, points, strict=True):
            note(k, point, f"coordinate {coordinate} displaced by {distance:g} Angstrom")
            if point.converged and point.forces is not None:
                forces[k][side, coordinate] = point.forces.ravel()
                dipoles[k][side, coordinate] = point.dipole
        return points

    for k, point in enumerate(middle):
        note(k, point, "the undisplaced molecule")
    solved = [k for k in range(len(molecules)) if k not in failed]
    coordinates = [(k, coordinate) for k in solved for coordinate in range(sizes[k])]
    held = [np.size(middle[k].density) for k, _ in coordinates]
    for part in parts(coordinates, held, HELD):
        chosen = [(k, coordinate) for k, coordinate in part if k not in failed]
        if not chosen:
            continue
        start: list[Any] = [middle[k].density for k, _ in chosen]
        forward = displaced(chosen, 0, start, "density")
        # what has failed cannot be mirrored
        left = [n for n, (k, _) in enumerate(chosen) if k not in failed]
        if left:
            mirrored = [2.0 * start[n] - forward[n].density for n in left]
            displaced([chosen[n] for n in left], 1, mirrored)
    return [
        failed[k] if k in failed else _differences(forces[k], dipoles[k], step)
        for k in range(len(molecules))
    ]


def _differences(forces: np.ndarray, dipoles: np.ndarray, step: float) -> HessianResult:
    raw = (forces[1] - forces[0]) / (2 * step)
    return HessianResult(
        hessian=0.5 * (raw + raw.T),
        asymmetry=float(np.abs(raw - raw.T).max()),
        dipole_derivatives=(dipoles[0] - dipoles[1]) / (2 * step),
    )


def _displaced(molecule: Molecule, coordinate: int, step: float) -> Molecule:
    positions = molecule.positions.copy()
    positions.flat[coordinate] += step
    return dataclasses.replace(molecule, positions=positions)


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
    tight = _tight(engine)
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
