"""Second derivatives: the Hessian and the derivatives of the dipole, by batched differences."""

from __future__ import annotations

import dataclasses

import numpy as np

from .batch import Molecule
from .engine import Engine
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
        d dipole / d position, e, from the same displacements.
    """

    hessian: np.ndarray
    asymmetry: float
    dipole_derivatives: np.ndarray


def _tight(engine: Engine) -> Engine:
    scf = dataclasses.replace(engine.scf, tolerance=min(TIGHT, engine.scf.tolerance))
    return Engine(engine.model, engine.device, scf, engine.max_memory, engine.dispersion)


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
    """Hessian and dipole derivatives from central differences of forces and dipoles.

    All 3A molecules displaced forward are one batch that starts from the density P of the
    undisplaced one.  Those displaced backward are another: with 2 P - P(forward) they start closer
    by an order of the step.  The SCF is tightened to 1e-9 eV.

    Parameters
    ----------
    step : float
        Displacement, Angstrom.
    guess : (S, N, N) array, optional
        Starting density.

    Raises
    ------
    NotConvergedError
        When the SCF of any displaced molecule does not converge.
    """
    tight = _tight(engine)
    density = _reference(tight, molecule, unrestricted, guess).density
    assert density is not None

    def displaced(
        coordinates: range, step: float, guesses: list[np.ndarray], *more: str
    ) -> list[SinglePoint]:
        molecules = [_displaced(molecule, k, step) for k in coordinates]
        properties = ("energy", "forces", "dipole", *more)
        results = tight.run(
            molecules, properties, unrestricted=unrestricted, field=field, guesses=guesses
        )
        return _require(results, f"calculation displaced by {step:g} Angstrom,")

    size, slopes, dipoles = 3 * len(molecule.numbers), [], []
    part = max(1, int(HELD // density.size))
    for start in range(0, size, part):
        chosen = range(start, min(start + part, size))
        forward = displaced(chosen, step, [density] * len(chosen), "density")
        mirrored = list(2.0 * density - np.array([point.density for point in forward]))
        backward = displaced(chosen, -step, mirrored)
        forces, moments = (
            np.array([[getattr(point, name) for point in side] for side in (forward, backward)])
            for name in ("forces", "dipole")
        )
        slopes.append((forces[1] - forces[0]).reshape(len(chosen), size) / (2 * step))
        dipoles.append((moments[0] - moments[1]) / (2 * step))
    raw = np.concatenate(slopes)
    return HessianResult(
        hessian=0.5 * (raw + raw.T),
        asymmetry=float(np.abs(raw - raw.T).max()),
        dipole_derivatives=np.concatenate(dipoles),
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
