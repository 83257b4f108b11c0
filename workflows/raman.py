"""Polarizabilities and Raman activities from calculations in uniform electric fields.

The polarizability is the response of the dipole to a field, and its derivative along a coordinate
the second response of the force on it, d alpha_ij / d x = d^2 F_x / d E_i d E_j (Komornicki,
McIver, J. Chem. Phys. 70 (1979) 2014): thirteen calculations whatever the size of the molecule.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.units import COULOMB

FIELD = 0.05
"""V/Angstrom; 0.001 atomic units: the errors of differences and of higher orders are both small."""

SECTION = 1e-36
"""m^2/sr; unit of cross-sections."""


@dataclasses.dataclass(frozen=True)
class Polarizability:
    """Static polarizability of a molecule with A atoms.

    Attributes
    ----------
    tensor : (3, 3) array
        Polarizability volume alpha/(4 pi eps0), Angstrom^3.
    derivatives : (3A, 3, 3) array
        By the coordinates of the atoms, Angstrom^2.
    """

    tensor: np.ndarray
    derivatives: np.ndarray


def require_field(calc: BaseCalculator) -> None:
    """InputError unless the calculator has an electric field."""
    if not isinstance(calc, MLSEQM):
        raise InputError("Raman activities need calculations in electric fields: use MLSEQM")


def polarizability(atoms: Atoms, calc: BaseCalculator, strength: float = FIELD) -> Polarizability:
    """Polarizability and its derivatives, by central differences; constraints do not count.

    Parameters
    ----------
    calc : MLSEQM
        Its own field, if it has one, is the middle of the differences.
    strength : float
        Added field along one axis, V/Angstrom.

    Raises
    ------
    InputError
        When the calculator has no electric field.
    ase.calculators.calculator.CalculatorError
        When a calculation in a field fails.
    """
    from ase_mlseqm.derivatives import TIGHT  # torch comes with it

    require_field(calc)
    base = np.array(calc.parameters["field"] or np.zeros(3))
    keywords = calc.parameters | {"tolerance": min(TIGHT, calc.parameters["tolerance"] or TIGHT)}
    work = as_atoms(atoms).copy()
    work.set_constraint()
    density = None

    def respond(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Forces (3A,) and dipole (3,) in a field along ``direction``."""
        inside = MLSEQM(**keywords | {"field": tuple(base + strength * direction)})
        if density is not None:
            inside.start_from(work, density)
        work.calc = inside
        return work.get_forces().ravel(), work.get_dipole_moment()

    axes = np.eye(3)
    middle, _ = respond(np.zeros(3))
    density = work.calc.density  # all others start from it
    forward, backward = ([respond(sign * axis) for axis in axes] for sign in (1.0, -1.0))
    tensor = np.array([f[1] - b[1] for f, b in zip(forward, backward, strict=True)])
    tensor /= 2 * strength
    sums = [f[0] + b[0] - 2 * middle for f, b in zip(forward, backward, strict=True)]
    curves = np.zeros((len(middle), 3, 3))
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        if i == j:
            curves[:, i, i] = sums[i]
            continue
        both = axes[i] + axes[j]
        mixed = respond(both)[0] + respond(-both)[0] - 2 * middle
        curves[:, i, j] = curves[:, j, i] = 0.5 * (mixed - sums[i] - sums[j])
    return Polarizability(
        tensor=COULOMB * 0.5 * (tensor + tensor.T),
        derivatives=COULOMB * curves / strength**2,
    )


def raman_activities(
    modes: np.ndarray, reduced_masses: np.ndarray, derivatives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Raman activities (V,), Angstrom^4/u, and depolarisation ratios (V,) of plane-polarised light.

    S = 45 a^2 + 7 g^2 and rho = 3 g^2 / (45 a^2 + 4 g^2), with mean a and anisotropy g of the
    derivative of the polarizability along the mass-weighted mode; rho of a mode without activity
    is NaN (Long, The Raman Effect, Wiley 2002, chapter 5).

    Parameters
    ----------
    modes : (V, A, 3) array
        Cartesian displacements of length one.
    reduced_masses : (V,) array
        u.
    derivatives : (3A, 3, 3) array
        Of the polarizability, Angstrom^2.
    """
    flat = modes.reshape(len(modes), len(derivatives)) / np.sqrt(reduced_masses)[:, None]
    slopes = np.einsum("vx,xij->vij", flat, derivatives)
    mean = np.trace(slopes, axis1=1, axis2=2) / 3
    traceless = slopes - mean[:, None, None] * np.eye(3)
    mean_square, anisotropy = mean**2, 1.5 * (traceless**2).sum((1, 2))
    activities = 45 * mean_square + 7 * anisotropy
    whole = np.where(activities > 1e-4, 45 * mean_square + 4 * anisotropy, np.nan)
    return activities, 3 * anisotropy / whole


def cross_sections(
    frequencies: np.ndarray, activities: np.ndarray, laser: float, temperature: float
) -> np.ndarray:
    """Differential cross-sections of Stokes scattering (V,), 1e-36 m^2/sr; zero where imaginary.

    d sigma / d Omega = (2 pi)^4 (n0 - n)^4 h / (8 pi^2 c n) S / 45 / (1 - exp(-h c n / kT)) at a
    right angle to plane-polarised light of the wavenumber n0, both polarisations of what is
    scattered together (Long, The Raman Effect, Wiley 2002, chapter 5).

    Parameters
    ----------
    frequencies, activities : (V,) arrays
        cm-1 and Angstrom^4/u.
    laser : float
        Wavelength, nm.
    temperature : float
        K.
    """
    wavenumbers = 100.0 * np.where(frequencies > 0, frequencies, np.nan)
    scattered = 1e9 / laser - wavenumbers
    energies = units._hplanck * units._c * wavenumbers
    zero_point = units._hplanck / (8 * np.pi**2 * units._c * wavenumbers)
    thermal = -np.expm1(-energies / (units._k * temperature))
    strengths = activities * 1e-40 / units._amu / 45
    found = (2 * np.pi * scattered) ** 4 * zero_point * strengths / thermal
    return np.where(scattered > 0, found, 0.0) / SECTION
