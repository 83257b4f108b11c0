"""Every workflow with GFN2-xTB of tblite, a calculator of others, against plain ASE."""

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.thermochemistry import IdealGasThermo
from ase.vibrations import Vibrations
from reactions import inversion, planar

from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.phonons import PhononsConfig, phonons
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.thermochemistry import ThermoConfig, thermochemistry
from ase_mlseqm.workflows.ts import TSConfig, ts

tblite = pytest.importorskip("tblite.ase")


def gfn2():
    return tblite.TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0)


def by_ase(atoms, fmax=1e-4):
    """Relaxed by ASE's optimiser; symmetry keeps what is flat."""
    atoms = atoms.copy()
    atoms.calc = gfn2()
    assert BFGS(atoms, logfile=None).run(fmax=fmax, steps=200)
    return atoms


def relaxation():
    water = molecule("H2O")
    found = relax(water, gfn2(), RelaxConfig(fmax=1e-4))
    expected = by_ase(water)
    distances = found.atoms.get_all_distances(), expected.get_all_distances()
    np.testing.assert_allclose(*distances, atol=1e-5)
    return found.energy, expected.get_potential_energy(), 1e-6


def path():
    up, down = inversion()
    result = neb(up, down, gfn2(), NEBConfig(images=5, fmax=0.02))
    assert result.converged
    barrier = by_ase(planar()).get_potential_energy() - by_ase(up).get_potential_energy()
    return result.barrier, barrier, 1e-3


def transition_state():
    result = ts(planar(), gfn2(), TSConfig(refiner="dimer"))
    assert result.converged and len(result.imaginary) == 1
    pyramid = by_ase(inversion()[0]).get_potential_energy()
    feet = [minimum.atoms.get_potential_energy() for minimum in result.minima]
    assert feet == pytest.approx([pyramid] * 2, abs=1e-4)
    assert min(len(minimum.path) for minimum in result.minima) > 5
    return result.energy, by_ase(planar()).get_potential_energy(), 1e-5


@pytest.fixture
def modes(tmp_path, monkeypatch):
    """Relaxed water, and its vibrational energies (eV) by ASE."""
    monkeypatch.chdir(tmp_path)
    water = by_ase(molecule("H2O"))
    vibrations = Vibrations(water, name=str(tmp_path / "vib"))
    vibrations.run()
    return water, vibrations.get_energies()[-3:].real


def gas(water, energies):
    config = ThermoConfig(relax=False, temperatures=(298.15,), symmetry_number=2)
    (found,) = thermochemistry(water, gfn2(), config).gibbs_energies
    expected = IdealGasThermo(energies, "nonlinear", water.get_potential_energy(), water, 2, spin=0)
    return found, expected.get_gibbs_energy(298.15, 101325.0, verbose=False), 1e-4


def box(water, energies):
    pytest.importorskip("phonopy", minversion="4")
    found = phonons(water, gfn2(), PhononsConfig(relax=False)).frequencies[-3:]
    return found, energies / units.invcm, 1.0


def trajectory():
    water = molecule("H2O")
    water.set_velocities(0.02 * np.random.default_rng(1).normal(size=(3, 3)))
    config = MDConfig(timestep=0.5, steps=20, keep_velocities=True)
    found = dynamics(water, gfn2(), config)
    assert found.completed
    water.calc = gfn2()
    VelocityVerlet(water, 0.5 * units.fs).run(20)
    return found.atoms.positions, water.positions, 1e-6


@pytest.mark.parametrize("workflow", [relaxation, path, transition_state, trajectory])
def test_workflows(workflow):
    found, expected, tolerance = workflow()
    assert found == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("workflow", [gas, box])
def test_workflows_with_vibrations(modes, workflow):
    found, expected, tolerance = workflow(*modes)
    assert found == pytest.approx(expected, abs=tolerance)
