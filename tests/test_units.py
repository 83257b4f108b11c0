"""Constants: those of MOPAC 22 to the last digit, and CODATA as scipy has it."""

import ase.units
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
    # the mass unit and the electric constant are measured
    assert pytest.approx(codata.h / codata.e, rel=1e-12, abs=0) == units.PLANCK
    assert pytest.approx(codata.c * 1e-13, rel=1e-12, abs=0) == units.SPEED_OF_LIGHT
    dalton = codata.physical_constants["atomic mass constant"][0]
    assert pytest.approx(1e20 / dalton, rel=1e-8) == units.MOMENT_OF_INERTIA
    hbar_squared = codata.hbar**2 / (codata.e * dalton) * 1e20
    assert pytest.approx(hbar_squared, rel=1e-8) == units.HBAR_SQUARED
    coulomb = codata.e / (4.0 * codata.pi * codata.epsilon_0) * 1e10
    assert pytest.approx(coulomb, rel=1e-8) == units.COULOMB


def test_constants_of_vibrations_agree_with_those_of_ase():
    """Its set is that of 2014."""
    energy = ase.units._hbar * 1e10 / (ase.units._e * ase.units._amu) ** 0.5
    assert pytest.approx(energy / ase.units.invcm, rel=1e-7) == units.WAVENUMBER
    assert pytest.approx(974.88, abs=0.01) == units.INFRARED
