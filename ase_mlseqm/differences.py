"""Second derivatives from the forces and dipoles of displaced molecules."""

from __future__ import annotations

import dataclasses

import numpy as np

Move = tuple[int, tuple[float, float, float]]
"""The place of an atom, and how far it is displaced, Angstrom."""


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
    dipole_derivatives : (3A, 3) array or None
        d dipole / d position, e, from the same displacements; None without dipoles.  Of ions those
        of the calculator are about the centre of mass, which moves, and those of the workflows
        about a fixed point; normal modes, which leave that centre where it is, have the same
        intensities with both.
    """

    hessian: np.ndarray
    asymmetry: float
    dipole_derivatives: np.ndarray | None


def coordinate_moves(n_atoms: int, step: float) -> list[Move]:
    """Every coordinate of so many atoms by itself displaced by ``step`` Angstrom."""
    vectors = [(step, 0.0, 0.0), (0.0, step, 0.0), (0.0, 0.0, step)]
    return [(atom, vector) for atom in range(n_atoms) for vector in vectors]


def symmetrised(raw: np.ndarray, dipole_derivatives: np.ndarray | None = None) -> HessianResult:
    """The result of a matrix (3A, 3A) of second derivatives, eV/Angstrom^2, as it was computed."""
    asymmetry = float(np.abs(raw - raw.T).max())
    return HessianResult(0.5 * (raw + raw.T), asymmetry, dipole_derivatives)


def differenced(forces: np.ndarray, dipoles: np.ndarray | None, step: float) -> HessianResult:
    """Central differences of what :func:`coordinate_moves` displaced forward and backward.

    Parameters
    ----------
    forces : (3A, 2, A, 3) array
        eV/Angstrom.
    dipoles : (3A, 2, 3) array or None
        e Angstrom.
    step : float
        Angstrom.
    """
    size = len(forces)
    raw = (forces[:, 1] - forces[:, 0]).reshape(size, size) / (2 * step)
    slopes = None if dipoles is None else (dipoles[:, 0] - dipoles[:, 1]) / (2 * step)
    return symmetrised(raw, slopes)
