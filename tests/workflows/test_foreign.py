"""Workflows with calculators of others: constraints, cells, sums of calculators, exceptions."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import CalculatorError
from ase.calculators.checkpoint import CheckpointCalculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.loggingcalc import LoggingCalculator
from ase.calculators.mixing import SumCalculator
from ase.calculators.qmmm import SimpleQMMM
from ase.constraints import FixAtoms, FixBondLength, Hookean
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.optimize import BFGS

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.workflows.h5md import read_h5md
from ase_mlseqm.workflows.harmonic import harmonic
from ase_mlseqm.workflows.hessians import second_derivatives
from ase_mlseqm.workflows.md import dynamics
from ase_mlseqm.workflows.md_config import MDConfig
from ase_mlseqm.workflows.neb import neb
from ase_mlseqm.workflows.phonons import phonons
from ase_mlseqm.workflows.phonons_config import PhononsConfig
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.side_by_side import side_by_side
from ase_mlseqm.workflows.states import state
from ase_mlseqm.workflows.ts import ts
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

SHORT = {"steps": 20, "timestep": 1.0}


def copper(distance: float = 2.3) -> Atoms:
    return Atoms("Cu2", [[0, 0, 0], [0, 0, distance]])


def pairs(epsilon: float) -> SumCalculator:
    """It tells nothing of what it is made of."""
    return SumCalculator([LennardJones(epsilon=epsilon, sigma=2.0), LennardJones(epsilon=1e-9)])


def test_energy_of_a_constraint_counts_once():
    atoms = copper(3.0)
    atoms.set_constraint(Hookean(0, 1, rt=1.5, k=5.0))
    alone = relax(atoms, EMT(), RelaxConfig(fmax=0.01))
    (listed,) = relax([atoms], EMT(), RelaxConfig(fmax=0.01))
    assert listed.energy == pytest.approx(alone.energy, abs=1e-6)


class Biased(MLSEQM):
    """PM3 and a spring between the first two atoms."""

    length, constant = 1.2, 20.0

    def calculate(self, atoms=None, *args):
        super().calculate(atoms, *args)
        vector = atoms.positions[1] - atoms.positions[0]
        distance = np.linalg.norm(vector)
        pull = self.constant * (distance - self.length) * vector / distance
        self.results["energy"] += 0.5 * self.constant * (distance - self.length) ** 2
        self.results["forces"][[0, 1]] += [pull, -pull]


def test_what_a_class_made_from_ours_adds_is_not_lost():
    """The workflows do not ask the engine past it; the reference is ASE's."""
    atoms, calc = molecule("H2O"), Biased(method="PM3")
    atoms.calc = calc
    BFGS(atoms, logfile=None).run(fmax=1e-3)
    assert atoms.get_distance(0, 1) > 1.01  # of water without the spring 0.95
    for start in ([molecule("H2O"), molecule("NH3")], [molecule("H2O")], molecule("H2O")):
        found = relax(start, calc, RelaxConfig(fmax=1e-3))
        found = found[0] if isinstance(start, list) else found
        assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(found.atoms.positions, atoms.positions, atol=1e-4)
    forces = []
    for sign in (1.0, -1.0):
        moved = atoms.copy()
        moved.positions[1, 2] += sign * 1e-2
        moved.calc = calc
        forces.append(moved.get_forces().ravel())
    row = second_derivatives(atoms, calc).hessian[5]
    np.testing.assert_allclose(row, (forces[1] - forces[0]) / 2e-2, atol=5e-3)
    with pytest.raises(InputError, match="not Biased"):
        replicas([atoms], calc)
    bends = dict(side_by_side(lambda one, own: own.get_potential_energy(one), [atoms], calc))
    assert bends[0] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_charge_and_spin_are_those_of_the_terms_of_a_sum():
    """Entropies depend on them.  A term that sees a part of the atoms says nothing of all."""
    atoms, ion = molecule("H2O"), MLSEQM(method="PM3", charge=1, multiplicity=4)
    for calc in (
        SumCalculator([EMT(), ion]),
        LoggingCalculator(SumCalculator([ion, MLSEQM(charge=1, multiplicity=4)])),
    ):
        assert state(atoms, calc) == (1, 4)
    for calc in (
        SumCalculator([ion, MLSEQM()]),
        SimpleQMMM([0, 1], ion, EMT(), EMT()),
        EMT(),
    ):
        assert state(atoms, calc) == (0, 1)
    atoms.info["charge"] = -1
    with pytest.raises(InputError, match="given twice"):
        state(atoms, SumCalculator([ion]))


def test_calculators_that_keep_only_what_they_were_asked_for_last(tmp_path):
    plain = relax(copper(), EMT())
    modes = vibrations(copper(), EMT())
    wrapped = (
        LoggingCalculator(EMT()),
        CheckpointCalculator(EMT(), db=str(tmp_path / "known.db")),
    )
    for calc in wrapped:
        for found in (relax(copper(), calc), *relax([copper()], calc)):
            assert found.atoms.get_potential_energy() == pytest.approx(plain.energy, abs=1e-9)
            np.testing.assert_allclose(found.atoms.get_forces(), plain.atoms.get_forces())
        assert vibrations(copper(), calc).energy == pytest.approx(modes.energy, abs=1e-9)


@pytest.mark.parametrize("work", [vibrations, dynamics])
def test_results_of_another_sum_of_calculators_are_not_taken(work, tmp_path):
    atoms = copper(2.2)
    if work is vibrations:
        config = VibrationsConfig(relax=False)
        runs = [vibrations(atoms, pairs(e), config, cache=tmp_path / "c") for e in (0.01, 0.04)]
        soft, stiff = (run.frequencies[-1] for run in runs)
        assert stiff == pytest.approx(2.0 * soft, rel=1e-3)
        return
    dynamics(atoms, pairs(0.01), MDConfig(**SHORT), stem=tmp_path / "m")
    with pytest.raises(InputError):
        dynamics(atoms, pairs(0.04), MDConfig(**SHORT | {"steps": 40}), stem=tmp_path / "m")


def test_one_that_a_calculator_refuses_does_not_take_the_others():
    """EMT raises NotImplementedError for silicon."""
    systems = [copper(), molecule("SiH4"), copper(2.5)]
    for work in (relax, vibrations):
        good, bad, other = work(systems, EMT())
        assert isinstance(bad, CalculatorError)
        assert "NotImplementedError" in str(bad)
        assert good.atoms.get_potential_energy() == pytest.approx(
            other.atoms.get_potential_energy(), abs=1e-3
        )
    good, bad, other = dynamics(systems, EMT(), MDConfig(**SHORT))
    assert good.completed and other.steps > 0
    assert isinstance(bad, CalculatorError)


@pytest.mark.parametrize("constraint", [FixAtoms([0]), FixBondLength(0, 1)], ids=["atom", "bond"])
def test_nose_hoover_with_constraints_is_refused(constraint):
    atoms = fcc111("Cu", (1, 1, 3), vacuum=6.0)
    atoms.set_constraint(constraint)
    with pytest.raises(InputError, match="use bussi or langevin"):
        dynamics(atoms, EMT(), MDConfig(ensemble="nose-hoover", **SHORT))
    assert dynamics(atoms, EMT(), MDConfig(ensemble="bussi", **SHORT)).completed


def test_transition_states_and_modes_are_those_of_free_molecules():
    atoms = molecule("H2CO")
    atoms.set_constraint(FixAtoms([0]))
    with pytest.raises(InputError, match="constraints do not hold along"):
        ts(atoms, MLSEQM(method="PM3"))
    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0)
    with pytest.raises(InputError, match="switch periodicity off"):
        ts(slab, EMT())
    with pytest.raises(InputError, match="switch periodicity off"):
        harmonic(bulk("Cu", cubic=True), EMT())


def test_kept_velocities_of_a_molecule_that_flies_or_turns():
    """Its motion as a whole is in the kinetic energy, and so among the degrees of freedom."""
    atoms = Atoms("Cu3", [[0, 0, 0], [2.3, 0, 0], [1.15, 2.0, 0]])
    config = MDConfig(keep_velocities=True, **SHORT)
    inner = np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_momenta(inner)
    Stationary(atoms)
    ZeroRotation(atoms)
    for flight, degrees in ((0.0, 3), (20.0, 9)):
        here = atoms.copy()
        here.set_momenta(atoms.get_momenta() + flight)
        first = dynamics(here, EMT(), config).table
        kinetic = here.get_kinetic_energy()
        assert first["temperature_K"][0] == pytest.approx(2.0 * kinetic / (degrees * units.kB))
    atoms.set_momenta(np.zeros((3, 3)))
    with pytest.raises(InputError, match="no motion to scale"):
        dynamics(atoms, EMT(), MDConfig(keep_velocities=True, ensemble="bussi", **SHORT))


def test_periodic_cells_in_dynamics(tmp_path):
    """A slab that is wrapped across its boundary is in one piece; H5MD files have no cell."""
    slab = fcc111("Cu", (1, 1, 2), vacuum=10.0, periodic=True)
    slab.positions[:, 2] += 10.0
    slab.wrap()
    assert np.ptp(slab.positions[:, 2]) > 10.0
    assert dynamics(slab, EMT(), MDConfig(**SHORT)).completed
    with pytest.raises(InputError, match="use extxyz"):
        dynamics(slab, EMT(), MDConfig(format="h5md", **SHORT), stem=tmp_path / "m")
    dynamics(copper(), EMT(), MDConfig(format="h5md", **SHORT), stem=tmp_path / "n")
    frames = read_h5md(tmp_path / "n_md.h5md")
    with pytest.raises(InputError, match=f"has no frame {len(frames)}"):
        read_h5md(tmp_path / "n_md.h5md", len(frames))


def test_ends_that_differ_by_a_vector_of_the_cell_are_the_same():
    first = bulk("Cu", cubic=True)
    second = first.copy()
    second.positions[1] += second.cell[0]
    with pytest.raises(InputError, match="the same structure"):
        neb(first, second, EMT())


def test_isotopes_break_the_symmetry_of_the_mesh():
    """The density of states is that of all q points, of which there are enough to see it."""
    pytest.importorskip("phonopy")
    atoms = bulk("Cu", cubic=True)
    masses = atoms.get_masses()
    masses[:1] *= 4.0
    atoms.set_masses(masses)
    found = phonons(atoms, EMT(), PhononsConfig(relax=False, supercell=(2, 2, 2)))
    points, density = found.density_of_states(20.0)
    phonon = found.to_phonopy()
    phonon.run_mesh(20.0, is_mesh_symmetry=False)
    phonon.run_total_dos()
    step = points[1] - points[0]
    from phonopy.physical_units import get_physical_units

    whole = phonon.total_dos.dos / get_physical_units().THzToCm
    assert np.abs(density - whole).sum() * step < 1e-6 * density.sum() * step
