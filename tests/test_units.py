"""Constants: those of MOPAC 22 to the last digit, and CODATA as scipy has it."""

import pytest
from scipy import constants as codata

from ase_mlseqm import units


def test_constants_are_those_of_mopac():
    """CODATA 2018; the historic set of OLDFPC (27.21, 0.529167, 23.061) is never used."""
    assert units.BOHR == 0.529177210903
    assert units.HARTREE == 27.211386245988
    assert units.EV_TO_KCAL == 23.060547830619


def test_constants_agree_with_codata():
    """The sets of 2018 and 2022 differ in the tenth digit."""
    bohr = codata.physical_constants["Bohr radius"][0] * 1e10
    hartree = codata.physical_constants["Hartree energy in eV"][0]
    assert pytest.approx(bohr, rel=2e-9) == units.BOHR
    assert pytest.approx(hartree, rel=2e-9) == units.HARTREE
    kcal = codata.e * codata.N_A / 4184.0
    assert pytest.approx(kcal, rel=1e-12) == units.EV_TO_KCAL
    debye = codata.e * codata.c * 1e21 * 1e-10
    assert pytest.approx(debye, rel=1e-12) == units.E_ANGSTROM_TO_DEBYE
