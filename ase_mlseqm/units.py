"""Units and constants, named once (CODATA 2018, as MOPAC 22 uses).

Inside the package energies are in eV, lengths in Angstrom and charges in e.  The NDDO integrals are
evaluated in atomic units and converted where they leave their module.
"""

BOHR = 0.529177210903
"""Bohr radius in Angstrom."""

HARTREE = 27.211386245988
"""Hartree energy in eV."""

EV_TO_KCAL = 23.060547830619
"""One eV in kcal/mol."""

E_ANGSTROM_TO_DEBYE = 4.803204712570263
"""One e*Angstrom in Debye."""
