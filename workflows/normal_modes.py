"""Normal modes of a molecule from its Hessian, infrared intensities and spectra; numpy only.

Wilson, Decius and Cross, Molecular Vibrations, McGraw-Hill 1955, chapters 2 and 11.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ase_mlseqm.units import INFRARED, NAPIERIAN, WAVENUMBER

LINEAR = np.tan(np.radians(1.0))
"""Atoms off their axis by less than this share of half the length make a linear molecule: long
chains bend further in a relaxation that is as tight."""

IMAGINARY = -20.0
"""cm-1; softer imaginary modes are what an imperfect geometry leaves."""

SHAPES = ("lorentzian", "gaussian")


@dataclasses.dataclass(frozen=True)
class NormalModes:
    """Normal modes of a molecule with A atoms and V vibrations (3A - 6; linear 3A - 5).

    Attributes
    ----------
    frequencies : (V,) array
        Ascending, cm-1; imaginary ones are negative numbers.
    modes : (V, A, 3) array
        Cartesian displacements, each of length one; the largest component is positive.
    reduced_masses : (V,) array
        u; of these displacements.
    unprojected : (3A,) array
        Frequencies without projection, cm-1: five or six of them would be zero were the geometry
        stationary and the Hessian exact.
    linear : bool
        Whether all atoms lie on a line (also two of them).
    """

    frequencies: np.ndarray
    modes: np.ndarray
    reduced_masses: np.ndarray
    unprojected: np.ndarray
    linear: bool


def is_linear(positions: np.ndarray) -> bool:
    """Whether two or more atoms, positions (A, 3), lie on a line."""
    if len(positions) < 2:
        return False
    from_center = positions - positions.mean(0)
    axis = np.linalg.svd(from_center)[2][0]
    along = from_center @ axis
    off_axis = np.linalg.norm(from_center - np.outer(along, axis), axis=1)
    return bool(off_axis.max() < LINEAR * np.abs(along).max())


def rigid_motions(positions: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Orthonormal mass-weighted translations and rotations, (3A, 3 to 6)."""
    root = np.sqrt(masses)
    center = masses @ positions / masses.sum()
    relative = positions - center
    columns = [np.outer(root, axis) for axis in np.eye(3)]
    # principal axes, that of the smallest moment of inertia first
    axes = np.linalg.svd(root[:, None] * relative)[2]
    skipped = 3 if len(masses) == 1 else int(is_linear(positions))
    columns += [root[:, None] * np.cross(axis, relative) for axis in axes[skipped:]]
    return np.linalg.qr(np.reshape(columns, (len(columns), -1)).T)[0]


def normal_modes(hessian: np.ndarray, positions: np.ndarray, masses: np.ndarray) -> NormalModes:
    """Diagonalise the mass-weighted Hessian in the space without translations and rotations.

    Parameters
    ----------
    hessian : (3A, 3A) array
        eV/Angstrom^2.
    positions : (A, 3) array
        Angstrom.
    masses : (A,) array
        u.
    """
    root = np.sqrt(np.repeat(masses, 3))
    weighted = hessian / np.outer(root, root)
    rigid = rigid_motions(positions, masses)
    inner = np.linalg.qr(rigid, mode="complete")[0][:, rigid.shape[1] :]
    values, vectors = np.linalg.eigh(inner.T @ weighted @ inner)
    cartesian = (inner @ vectors).T / root
    lengths = np.linalg.norm(cartesian, axis=1, keepdims=True)
    cartesian /= lengths
    largest = np.abs(cartesian).argmax(1) if len(cartesian) else np.zeros(0, dtype=int)
    cartesian *= np.sign(cartesian[np.arange(len(cartesian)), largest])[:, None]
    return NormalModes(
        frequencies=_wavenumbers(values),
        modes=cartesian.reshape(-1, len(masses), 3),
        reduced_masses=1.0 / lengths[:, 0] ** 2,
        unprojected=_wavenumbers(np.linalg.eigvalsh(weighted)),
        linear=is_linear(positions),
    )


def _wavenumbers(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * WAVENUMBER * np.sqrt(np.abs(values))


def imaginary_text(frequencies: np.ndarray) -> str:
    """Imaginary frequencies, negative numbers, as in ``203.4i, 51.0i``."""
    return ", ".join(f"{-value:.1f}i" for value in frequencies)


def infrared_intensities(modes: NormalModes, dipole_derivatives: np.ndarray) -> np.ndarray:
    """Integrated molar absorption coefficients (V,), km/mol, in the double harmonic approximation.

    A = N_A / (12 eps0 c^2) (d mu / d Q)^2 with Q the mass-weighted normal coordinate.

    Parameters
    ----------
    dipole_derivatives : (3A, 3) array
        e.
    """
    flat = modes.modes.reshape(len(modes.modes), len(dipole_derivatives))
    along = flat @ dipole_derivatives / np.sqrt(modes.reduced_masses)[:, None]
    return INFRARED * (along**2).sum(1)


def spectrum(
    frequencies: np.ndarray,
    intensities: np.ndarray,
    grid: np.ndarray,
    width: float,
    shape: str = "lorentzian",
) -> np.ndarray:
    """Broadened absorption spectrum on ``grid`` (G,) cm-1, decadic, L/(mol cm).

    Parameters
    ----------
    frequencies, intensities : (V,) arrays
        cm-1 and km/mol.
    width, shape
        As for :func:`broadened`.
    """
    return NAPIERIAN * broadened(frequencies, intensities, grid, width, shape)


def broadened(
    frequencies: np.ndarray,
    areas: np.ndarray,
    grid: np.ndarray,
    width: float,
    shape: str = "lorentzian",
) -> np.ndarray:
    """Sum of bands on ``grid`` (G,) cm-1, in the unit of the areas times cm.

    Parameters
    ----------
    frequencies, areas : (V,) arrays
        cm-1 and any unit; imaginary frequencies (negative) have no band.
    width : float
        Full width of a band at half its maximum, cm-1.
    shape : str
        lorentzian or gaussian.
    """
    real = frequencies > 0
    offset = (grid[:, None] - frequencies[real]) / (0.5 * width)
    if shape == "lorentzian":
        bands = 1.0 / (np.pi * 0.5 * width * (1.0 + offset**2))
    else:
        bands = np.sqrt(np.log(2) / np.pi) / (0.5 * width) * np.exp(-np.log(2) * offset**2)
    return bands @ areas[real]
