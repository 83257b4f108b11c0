"""Units and constants, named once (CODATA 2018, as MOPAC 22 uses).

Inside the package energies are in eV, lengths in Angstrom and charges in e.  The NDDO integrals are
evaluated in atomic units and converted where they leave their module.
"""

import math

BOHR = 0.529177210903
"""Bohr radius in Angstrom."""

HARTREE = 27.211386245988
"""Hartree energy in eV."""

EV_TO_KCAL = 23.060547830619
"""One eV in kcal/mol."""

E_ANGSTROM_TO_DEBYE = 4.803204712570263
"""One e*Angstrom in Debye."""

COULOMB = HARTREE * BOHR
"""e^2/(4 pi eps0) in eV Angstrom."""

_LIGHT = 299792458.0  # m/s
_CHARGE = 1.602176634e-19  # C
_PLANCK = 6.62607015e-34  # J s
_AVOGADRO = 6.02214076e23  # 1/mol
_DALTON = 1.66053906660e-27  # kg
_VACUUM = 8.8541878128e-12  # F/m

SPEED_OF_LIGHT = 1e-13 * _LIGHT
"""cm/fs: wavenumbers (1/cm) times this are frequencies in 1/fs."""

PLANCK = _PLANCK / _CHARGE
"""Planck's constant in eV s."""

HBAR_SQUARED = (_PLANCK / (2.0 * math.pi)) ** 2 / (_CHARGE * _DALTON * 1e-20)
"""Square of the reduced Planck constant in eV u Angstrom^2."""

MOMENT_OF_INERTIA = 1.0 / (_DALTON * 1e-20)
"""One kg m^2 in u Angstrom^2."""

WAVENUMBER = 1e8 * math.sqrt(_CHARGE / _DALTON) / (2.0 * math.pi * _LIGHT)
"""cm-1 of the square root of a second derivative of 1 eV/(u Angstrom^2); 521.47."""

INFRARED = 1e-3 * _AVOGADRO * _CHARGE**2 / (12.0 * _VACUUM * _LIGHT**2 * _DALTON)
"""Integrated absorption coefficient, km/mol, of a squared dipole derivative of 1 e^2/u; 974.88, and
42.256 of 1 (D/Angstrom)^2/u (Wilson, Decius, Cross, Molecular Vibrations, chapter 7)."""

NAPIERIAN = 100.0 / math.log(10.0)
"""Area of a band of 1 km/mol, decadic, in L/(mol cm) times cm-1; 43.43."""

ISOTOPES = {"D": (1, 2.01410177812), "T": (1, 3.01604928199)}
"""Atomic number and mass, u, of isotopes that have symbols of their own."""
