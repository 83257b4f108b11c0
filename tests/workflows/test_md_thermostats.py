"""Thermostats: the mean of the temperature, and how much it fluctuates."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.md.nvtberendsen import NVTBerendsen
from springs import Network, SpringEngine, Springs

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import MDConfig, dynamics, md
from ase_mlseqm.workflows.md_config import WHOLE, degrees_of_freedom, set_velocities
from ase_mlseqm.workflows.replicas import replicas


@pytest.fixture
def network():
    """Five atoms."""
    corners = [(0, 0, 0), (1.5, 0, 0), (0, 1.5, 0), (0, 0, 1.5), (1.3, 1.1, 1.2)]
    return Atoms("CNOCN", corners)


def mean(values):
    """The mean of a trajectory and its standard error, estimated from blocks."""
    blocks = np.array([block.mean() for block in np.array_split(values[400:], 12)])
    return blocks.mean(), blocks.std(ddof=1) / np.sqrt(12)


def check_mean(values, expected):
    """The mean agrees within four standard errors."""
    found, error = mean(values)
    assert error < 0.08 * expected
    assert abs(found - expected) < 4.0 * error


def fluctuation(result, freedom):
    """Variance of the temperature over its canonical value, 2 T^2 / freedom, and its error."""
    heat = result.table["temperature_K"]
    relative = heat / heat[400:].mean() - 1.0
    return mean(0.5 * freedom * relative**2)


def run(atoms, ensemble):
    config = MDConfig(
        ensemble=ensemble, steps=4000, timestep=4.0, friction=50.0, coupling_time=20.0
    )
    result = dynamics(atoms, Network(atoms), config)
    assert result.completed, result.message
    return result


@pytest.mark.parametrize(
    ("ensemble", "freedom"), [("langevin", 15), ("bussi", 9), ("nose-hoover", 9)]
)
def test_thermostats_are_canonical(network, ensemble, freedom):
    result = run(network, ensemble)
    check_mean(result.table["temperature_K"], 300.0)
    ratio, error = fluctuation(result, freedom)
    assert error < 0.12
    assert abs(ratio - 1.0) < 4.0 * error
    if ensemble != "langevin":
        assert np.ptp(result.table["conserved_eV"]) < 0.2 * np.ptp(result.table["total_eV"])


def test_a_thermostat_that_is_not_canonical_is_seen(network, monkeypatch):
    """Berendsen's holds the mean and quenches the fluctuations."""

    def berendsen(atoms, config, freedom, rng):
        return NVTBerendsen(atoms, config.dt, config.temperature, config.coupling_time * units.fs)

    monkeypatch.setattr(md, "integrator", berendsen)
    ratio, error = fluctuation(run(network, "bussi"), 9)
    assert ratio < 0.6
    assert error < 0.1


def test_baoab_reaches_the_temperatures(grid):
    config = MDConfig(ensemble="langevin", steps=2500, timestep=2.0, friction=50.0)
    results = replicas(
        [grid, grid], SpringEngine(grid.positions), config, temperatures=[150.0, 600.0]
    )
    for result, temperature in zip(results, (150.0, 600.0), strict=True):
        assert result.completed
        check_mean(result.table["temperature_K"], temperature)
        # BAOAB has the exact mean potential energy of a harmonic oscillator
        check_mean(2.0 * result.table["potential_eV"] / (24 * units.kB), temperature)
    assert not np.array_equal(*(r.atoms.positions for r in results))


@pytest.mark.parametrize("friction", [2.0, 10.0])
@pytest.mark.parametrize("many", [False, True])
def test_friction_slows_down(many, friction):
    """Momenta fall by exp(-friction t): of an atom so heavy that springs and noise do nothing."""
    atoms = Atoms("C", masses=[1e9], velocities=[[1e-3, -2e-3, 5e-4]])
    config = MDConfig(
        ensemble="langevin",
        temperature=1e-6,
        timestep=1.0,
        steps=200,
        friction=friction,
        keep_velocities=True,
        max_heating=1e30,
    )
    if many:
        (result,) = replicas([atoms], SpringEngine(atoms.positions), config)
    else:
        result = dynamics(atoms, Springs(atoms.positions), config)
    left = result.atoms.get_momenta() / atoms.get_momenta()
    np.testing.assert_allclose(left, np.exp(-0.2 * friction), rtol=1e-3)


def test_coupling_times():
    """Kinetic energies of the same atom, to which the thermostat alone does something."""
    atoms, times = Atoms("C", masses=[1e9]), (50.0, 100.0)
    common = {"timestep": 1.0, "keep_velocities": True, "max_heating": 1e30}
    atoms.set_momenta([[1e3, 2e3, -1e3]])

    def kinetic(**settings):
        result = dynamics(atoms, Springs(atoms.positions), MDConfig(**settings, **common))
        return result.table["kinetic_eV"] / result.table["kinetic_eV"][0]

    for time in times:  # it falls by exp(-t / time) towards nothing
        found = kinetic(ensemble="bussi", temperature=1e-9, coupling_time=time, steps=100)
        np.testing.assert_allclose(found[-1], np.exp(-100.0 / time), rtol=0.01)
    # a chain whose first mass is the energy of three degrees times the square of the time slows it
    # down by 1 - (T / T_0 - 1) (t / time)^2 at first
    atoms.set_momenta(atoms.get_momenta() * np.sqrt(1200.0 / atoms.get_temperature()))
    for time in times:
        found = kinetic(ensemble="nose-hoover", temperature=300.0, coupling_time=time, steps=3)
        np.testing.assert_allclose(1.0 - found[-1], 3.0 * (3.0 / time) ** 2, rtol=0.02)


@pytest.mark.parametrize("run", [dynamics, lambda *given: replicas([given[0]], *given[1:])[0]])
def test_a_molecule_in_a_field_turns(run):
    """Its rotation is among the degrees that share the energy, and moves from the start."""
    atoms = molecule("H2O")
    config = MDConfig(ensemble="nve", steps=4, temperature=300.0, seed=2)
    for field, freedom in ((None, 3), ((0.0, 0.0, 0.5), 6)):
        table = run(atoms, MLSEQM(method="PM3", field=field), config).table
        kinetic, temperature = table["kinetic_eV"][0], table["temperature_K"][0]
        assert temperature == pytest.approx(300.0)
        assert kinetic == pytest.approx(0.5 * freedom * units.kB * 300.0)


@pytest.mark.parametrize("name", ["N2", "CO2", "C2H2", "H2O"])
def test_degrees_of_freedom_are_the_momenta_that_there_are(name):
    """Momentum and rotation take six of them as soon as three atoms are not on a line."""
    config = MDConfig(ensemble="bussi", steps=8)
    result = dynamics(molecule(name), MLSEQM(method="PM3"), config)
    places = result.atoms.positions
    shifts = [np.tile(axis, (len(places), 1)) for axis in np.eye(3)]
    turns = [np.cross(axis, places) for axis in np.eye(3)]
    taken = np.reshape(shifts + turns, (6, -1))
    free = 3 * len(places) - np.linalg.matrix_rank(taken, tol=1e-6)
    kinetic = result.table["kinetic_eV"][0]
    assert kinetic == pytest.approx(0.5 * free * units.kB * 300.0)
    assert degrees_of_freedom(result.atoms, config) == free


def test_molecules_that_fly_or_turn_have_all_degrees(warm):
    """Where their velocities are kept: what the thermostat scales is all of them."""
    kept, fresh = (MDConfig(ensemble="bussi", keep_velocities=k) for k in (True, False))
    assert degrees_of_freedom(warm, kept) == 3  # as velocities are made
    flying, turning = warm.copy(), warm.copy()
    flying.set_velocities(flying.get_velocities() + [0.0, 0.0, 0.01])
    arms = turning.positions - turning.get_center_of_mass()
    turning.set_velocities(turning.get_velocities() + np.cross([0.01, 0.0, 0.0], arms))
    for atoms in (flying, turning):
        assert degrees_of_freedom(atoms, kept) == 9
        assert degrees_of_freedom(atoms, fresh) == 3


def test_linear_molecules_go_on_as_they_would_have(tmp_path):
    """The thermostat must not find another number of degrees where the molecule is bent."""
    atoms, calc = molecule("CO2"), MLSEQM(method="PM3")
    config = MDConfig(ensemble="bussi", steps=30, coupling_time=10.0)
    whole = dynamics(atoms, calc, config)
    dynamics(
        atoms, calc, MDConfig(ensemble="bussi", steps=15, coupling_time=10.0), stem=tmp_path / "a"
    )
    resumed = dynamics(atoms, calc, config, stem=tmp_path / "a")
    np.testing.assert_array_equal(resumed.table["total_eV"], whole.table["total_eV"])


def test_molecules_that_hardly_fly_go_on_as_they_would_have(tmp_path):
    """How many degrees move is what it was in the beginning, though the share of the motion as a
    whole, which is just enough there, is too small later."""
    atoms = molecule("H2O")
    set_velocities(atoms, MDConfig(temperature=100.0), np.random.default_rng(2))
    momenta, masses = atoms.get_momenta(), atoms.get_masses()[:, None]
    most = np.linalg.norm(momenta, axis=1).sum()
    atoms.set_momenta(momenta + [0.0, 0.0, 1.05 * WHOLE * most] * masses / masses.sum())

    def run(steps, stem=None):
        config = MDConfig(ensemble="bussi", steps=steps, keep_velocities=True, coupling_time=5.0)
        return dynamics(atoms, MLSEQM(method="PM3"), config, stem=stem)

    whole, part = run(10), run(3, tmp_path / "a")
    free = [degrees_of_freedom(a, whole.config) for a in (atoms, part.atoms)]
    assert free == [9, 3]
    resumed = run(10, tmp_path / "a")
    np.testing.assert_array_equal(resumed.table["total_eV"], whole.table["total_eV"])
