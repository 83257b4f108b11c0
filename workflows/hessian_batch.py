"""Second derivatives with this package's engine: displaced molecules of many share batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import SCFError

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.engines import engine_for

from .several import parts


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
    """Hessians and dipole derivatives from central differences, as
    :func:`ase_mlseqm.derivatives.hessian` has them, of molecules of any sizes at once.

    All molecules displaced forward are one call of the engine, in which each starts from the
    density P of its undisplaced one; those displaced backward are another, from
    2 P - P(forward).  Where the densities would need more memory than
    :data:`ase_mlseqm.derivatives.HELD`, there are more such pairs of calls.

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
    from ase_mlseqm.derivatives import HELD, TIGHT  # torch comes with it

    given = calc.parameters
    engine = engine_for(given | {"tolerance": min(TIGHT, given["tolerance"] or TIGHT)})
    settings = {name: given[name] for name in ("unrestricted", "field")}
    molecules = [
        molecule_from_atoms(atoms, given["charge"], given["multiplicity"]) for atoms in structures
    ]
    middle = engine.run(molecules, ("energy", "density"), guesses=densities, **settings)
    failed: dict[int, SCFError] = {}
    forces = [np.zeros((2, 3 * len(atoms), 3 * len(atoms))) for atoms in structures]
    dipoles = [np.zeros((2, 3 * len(atoms), 3)) for atoms in structures]

    def note(k: int, point: Any, what: str) -> None:
        if not point.converged:
            formula = structures[k].get_chemical_formula()
            failed.setdefault(k, SCFError(f"{formula}: {what}: {point.message}"))

    def displaced(
        chosen: list[tuple[int, int]], side: int, guesses: list[np.ndarray], *more: str
    ) -> list[Any]:
        moved, distance = [], (step, -step)[side]
        for k, coordinate in chosen:
            positions = molecules[k].positions.copy()
            positions.flat[coordinate] += distance
            moved.append(dataclasses.replace(molecules[k], positions=positions))
        wanted = ("energy", "forces", "dipole", *more)
        points = engine.run(moved, wanted, guesses=guesses, **settings)
        for (k, coordinate), point in zip(chosen, points, strict=True):
            note(k, point, f"coordinate {coordinate} displaced by {distance:g} Angstrom")
            if point.converged:
                forces[k][side, coordinate] = point.forces.ravel()
                dipoles[k][side, coordinate] = point.dipole
        return points

    for k, point in enumerate(middle):
        note(k, point, "the undisplaced molecule")
    solved = [k for k in range(len(structures)) if k not in failed]
    coordinates = [(k, c) for k in solved for c in range(3 * len(structures[k]))]
    sizes = [middle[k].density.size for k, _ in coordinates]
    for part in parts(coordinates, sizes, HELD):
        chosen = [(k, c) for k, c in part if k not in failed]
        if not chosen:
            continue
        forward = displaced(chosen, 0, [middle[k].density for k, _ in chosen], "density")
        # what has failed cannot be mirrored
        left = [n for n, (k, _) in enumerate(chosen) if k not in failed]
        mirrored = [2.0 * middle[chosen[n][0]].density - forward[n].density for n in left]
        if left:
            displaced([chosen[n] for n in left], 1, mirrored)
    return [
        failed[k] if k in failed else _differences(forces[k], dipoles[k], step, atoms, middle[k])
        for k, atoms in enumerate(structures)
    ]


def _differences(
    forces: np.ndarray, dipoles: np.ndarray, step: float, atoms: Atoms, point: Any
) -> SecondDerivatives:
    from ase_mlseqm.nddo.parameters import elements

    raw = (forces[1] - forces[0]) / (2 * step)
    # the engine's dipole is about the centre of mass, which moves with an atom
    masses = elements("cpu").mass.numpy()[atoms.numbers]
    moved = point.charge * np.kron(masses[:, None] / masses.sum(), np.eye(3))
    slopes = (dipoles[0] - dipoles[1]) / (2 * step)
    return SecondDerivatives(0.5 * (raw + raw.T), float(np.abs(raw - raw.T).max()), slopes + moved)
