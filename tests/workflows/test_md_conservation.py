"""Dynamics without a thermostat: what is conserved, and that time can run backwards."""

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.md.verlet import VelocityVerlet
from scipy.stats import linregress
from springs import SpringEngine, Springs

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import MDConfig, dynamics, md_integrators
from ase_mlseqm.workflows.extrapolation import DensityHistory
from ase_mlseqm.workflows.md_config import drift, set_velocities
from ase_mlseqm.workflows.replicas import replicas


def test_energy_is_conserved_to_second_order(warm):
    spread = {}
    for timestep in (0.25, 0.5):
        config = MDConfig(timestep=timestep, steps=int(30 / timestep), keep_velocities=True)
        result = dynamics(warm, MLSEQM(method="PM3"), config)
        assert result.completed
        time, energy = result.table["time_fs"], result.table["total_eV"]
        spread[timestep] = np.std(energy - np.polyval(np.polyfit(time, energy, 1), time))
    assert spread[0.5] < 1e-3
    assert 3.5 < spread[0.5] / spread[0.25] < 4.5


def check_drift(result, largest_error):
    """No slope beyond 0.1 meV/atom/ps and four standard errors, which are small enough to tell."""
    assert result.completed
    slope, error = result.drift
    assert error < largest_error
    assert abs(slope) < 0.1 + 4.0 * error


@pytest.mark.parametrize(
    ("steps", "largest_error"), [(200, 0.3), pytest.param(800, 0.02, marks=pytest.mark.slow)]
)
def test_energy_does_not_drift(warm, steps, largest_error):
    config = MDConfig(steps=steps, keep_velocities=True)
    check_drift(dynamics(warm, MLSEQM(method="PM3"), config), largest_error)


def test_integrators_do_not_drift(grid):
    config = MDConfig(steps=1000, timestep=4.0)
    check_drift(dynamics(grid, Springs(grid.positions), config), 0.02)
    (replica,) = replicas([grid], SpringEngine(grid.positions), config)
    check_drift(replica, 0.02)


class Leaking(VelocityVerlet):
    """Takes about 1 meV/atom/ps at 300 K."""

    def step(self, forces=None):
        super().step(forces)
        self.atoms.set_momenta((1.0 - 2.6e-5 * self.dt / units.fs) * self.atoms.get_momenta())


def test_a_leak_is_seen(grid, monkeypatch):
    monkeypatch.setattr(md_integrators, "VelocityVerlet", Leaking)
    config = MDConfig(steps=1000, timestep=4.0)
    slope, error = dynamics(grid, Springs(grid.positions), config).drift
    assert slope < -0.5
    assert error < 0.02


def test_drift():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 5, 2001)
    slopes, errors = zip(
        *(drift(time, 0.3 * time + rng.standard_normal(2001)) for _ in range(200)), strict=True
    )
    assert np.mean(slopes) == pytest.approx(0.3, abs=0.005)
    assert np.mean(errors) == pytest.approx(np.std(slopes), rel=0.2)
    assert np.isnan(drift(time[:2], time[:2])).all()


def test_drift_of_few_points():
    """Each is a block: slope and error are those of SciPy's regression."""
    time, rng = np.linspace(0, 5, 9), np.random.default_rng(1)
    energy = 0.3 * time + rng.standard_normal(9)
    line = linregress(time, energy)
    assert drift(time, energy) == pytest.approx((line.slope, line.stderr))


def test_momenta_are_conserved():
    atoms = molecule("CH3OH")
    result = dynamics(atoms, MLSEQM(method="PM3"), MDConfig(steps=15, temperature=500))
    end = result.atoms
    assert result.table["temperature_K"][0] == pytest.approx(500.0)
    assert np.abs(end.get_momenta().sum(0)).max() < 1e-6
    assert np.abs(end.get_angular_momentum()).max() < 1e-5
    assert (atoms.positions == molecule("CH3OH").positions).all()
    assert not atoms.has("momenta")


def distance_back(atoms, run):
    """How far from the start, Angstrom, a run ends whose velocities are turned round half way."""
    end = run(atoms)
    end.set_momenta(-end.get_momenta())
    return np.abs(run(end).positions - atoms.positions).max()


def test_time_can_run_backwards(warm, monkeypatch):
    """As far as the tolerance of the SCF allows: extrapolated densities add nothing to it."""

    def distance(tolerance=None):
        config, calc = MDConfig(steps=30, keep_velocities=True), MLSEQM("PM3", tolerance=tolerance)
        return distance_back(warm, lambda atoms: dynamics(atoms, calc, config).atoms)

    extrapolated = distance()
    monkeypatch.setattr(DensityHistory, "predict", lambda self: None)
    plain = distance()
    assert extrapolated < 1e-7
    assert extrapolated < 4.0 * plain
    # an SCF that stops early remembers where it came from
    assert distance(1e-3) > 1e-5


class Leapfrog(VelocityVerlet):
    """A whole kick and a whole step: symplectic, but not the same backwards."""

    def step(self, forces=None):
        atoms = self.atoms
        atoms.set_momenta(atoms.get_momenta() + self.dt * atoms.get_forces())
        atoms.positions += self.dt * atoms.get_momenta() / atoms.get_masses()[:, None]


def test_integrators_run_backwards(grid, monkeypatch):
    """One that is not the same backwards does not come back."""
    config = MDConfig(steps=200, timestep=2.0, keep_velocities=True)
    start = grid.copy()
    start.positions += 0.05  # not where the springs are at rest
    set_velocities(start, MDConfig(), np.random.default_rng(3))

    def alone(atoms):
        return dynamics(atoms, Springs(grid.positions), config).atoms

    def replica(atoms):
        return replicas([atoms], SpringEngine(grid.positions), config)[0].atoms

    assert distance_back(start, alone) < 1e-12
    assert distance_back(start, replica) < 1e-12
    monkeypatch.setattr(md_integrators, "VelocityVerlet", Leapfrog)
    assert distance_back(start, alone) > 1e-3
