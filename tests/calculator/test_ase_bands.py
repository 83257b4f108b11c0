"""ASE's tools for bands take a molecule for a crystal with one point of no momentum."""

import pytest
from ase.build import molecule
from ase.calculators.calculator import PropertyNotPresent
from ase.dft.bandgap import bandgap
from ase.dft.dos import DOS
from scipy.integrate import trapezoid

from ase_mlseqm import MLSEQM


@pytest.mark.parametrize(("name", "electrons"), [("H2O", 8), ("CH3", 7)])
def test_gap_and_density_of_states(name, electrons):
    atoms = molecule(name)
    atoms.calc = MLSEQM("PM3")
    atoms.get_potential_energy()
    levels, filled = (atoms.calc.results[k] for k in ("eigenvalues", "occupations"))
    lowest, highest = levels[filled == 0].min(), levels[filled > 0].max()
    assert bandgap(atoms.calc)[0] == pytest.approx(lowest - highest)
    assert atoms.calc.get_fermi_level() == pytest.approx((lowest + highest) / 2)
    dos = DOS(atoms.calc, width=0.05, npts=8000)
    energies, weights = dos.get_energies(), dos.get_dos()
    below = energies < 0  # where the middle of the gap is
    assert trapezoid(weights[below], energies[below]) == pytest.approx(electrons, rel=0.01)


def test_nothing_before_a_calculation():
    with pytest.raises(PropertyNotPresent):
        DOS(MLSEQM("PM3"))
