"""Second derivatives: the Hessian and the derivatives of the dipole, by batched differences."""

from __future__ import annotations

import dataclasses

import numpy as np

from .batch import Molecule
from .engine import Engine
from .results import SinglePoint

TIGHT = 1e-9
"""eV; SCF tolerance of displaced calculations, whose differences are divided by a small step."""


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

    All 6A displaced molecules are one batch that starts from the density of the undisplaced one;
    the SCF is tightened to 1e-9 eV.

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
    displaced = _displaced(molecule, step)
    results = tight.run(
        displaced,
        ("energy", "forces", "dipole"),
        unrestricted=unrestricted,
        field=field,
        guesses=[density] * len(displaced),
    )
    _require(results, "displaced calculation")
    forces = np.array([r.forces for r in results]).reshape(-1, 2, 3 * len(molecule.numbers))
    dipoles = np.array([r.dipole for r in results]).reshape(-1, 2, 3)
    raw = -(forces[:, 0] - forces[:, 1]) / (2 * step)
    return HessianResult(
        hessian=0.5 * (raw + raw.T),
        asymmetry=float(np.abs(raw - raw.T).max()),
        dipole_derivatives=(dipoles[:, 0] - dipoles[:, 1]) / (2 * step),
    )


def _displaced(molecule: Molecule, step: float) -> list[Molecule]:
    """Every coordinate plus and minus ``step``, in turn."""
    out = []
    for atom in range(len(molecule.numbers)):
        for axis in range(3):
            for sign in (1.0, -1.0):
                positions = molecule.positions.copy()
                positions[atom, axis] += sign * step
                out.append(dataclasses.replace(molecule, positions=positions))
    return out


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
