"""Dynamics on any calculator: physics, restart, bounds, replicas, the command."""

import dataclasses
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator, CalculatorError, SCFError
from ase.constraints import FixAtoms, FixBondLengths
from ase.io import read
from PIL import Image

from ase_mlseqm import MLSEQM, Engine, InputError, SinglePoint, cli
from ase_mlseqm.model import PlainModel
from ase_mlseqm.options import field_docs
from ase_mlseqm.results import Status
from ase_mlseqm.workflows import MDConfig, dynamics, md_log
from ase_mlseqm.workflows.extrapolation import DensityHistory, weights
from ase_mlseqm.workflows.md_config import ENSEMBLES, Interrupted, drift, set_velocities
from ase_mlseqm.workflows.md_figures import plot_energies
from ase_mlseqm.workflows.md_log import widest_gap
from ase_mlseqm.workflows.replicas import replicas

COLD = MDConfig(temperature=300.0, steps=40)


class Springs(Calculator):
    """Every atom is held at ``origin`` by a spring of ``k`` eV/Angstrom^2."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, origin, k=5.0, fail=None):
        super().__init__()
        self.origin, self.k, self.calls, self.fail = origin, k, 0, fail or {}

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if self.calls in self.fail:
            raise self.fail[self.calls]
        shift = atoms.positions - self.origin
        self.results = {"energy": 0.5 * self.k * (shift**2).sum(), "forces": -self.k * shift}


class SpringEngine:
    """The same for replicas; ``lose`` are (call, molecule) whose SCF fails."""

    model = PlainModel("PM3")

    def __init__(self, origin, lose=()):
        self.origin, self.lose, self.calls = origin, lose, 0

    def run(self, molecules, properties, unrestricted, field, guesses):
        self.calls += 1
        return [self.point(k, m) for k, m in enumerate(molecules)]

    def point(self, k, found):
        lost = (self.calls, k) in self.lose
        status = Status.UNCONVERGED if lost else Status.CONVERGED
        shift = found.positions - self.origin
        values = {"energy": 2.5 * (shift**2).sum(), "forces": -5.0 * shift}
        return SinglePoint(
            **values,
            method="springs",
            charge=0,
            multiplicity=1,
            unrestricted=False,
            converged=not lost,
            status=status,
            iterations=9,
            residual=0.1,
            rung="diis",
            dipole=shift.sum(0),
            density=np.eye(2)[None],
        )


@pytest.fixture
def grid():
    """Eight atoms at the corners of a cube."""
    return Atoms("CNOCNOCN", [(x, y, z) for x in (0, 2) for y in (0, 2) for z in (0, 2)])


@pytest.fixture
def warm():
    """Water with velocities of 300 K."""
    atoms = molecule("H2O")
    set_velocities(atoms, MDConfig(), np.random.default_rng(1))
    return atoms


def same(one, other):
    for name in one.table:
        np.testing.assert_array_equal(one.table[name], other.table[name], err_msg=name)
    np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)
    np.testing.assert_array_equal(one.atoms.get_momenta(), other.atoms.get_momenta())


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


def test_momenta_are_conserved():
    atoms = molecule("CH3OH")
    result = dynamics(atoms, MLSEQM(method="PM3"), MDConfig(steps=15, temperature=500))
    end = result.atoms
    assert result.table["temperature_K"][0] == pytest.approx(500.0)
    assert np.abs(end.get_momenta().sum(0)).max() < 1e-6
    assert np.abs(end.get_angular_momentum()).max() < 1e-5
    assert (atoms.positions == molecule("CH3OH").positions).all()
    assert not atoms.has("momenta")


@pytest.mark.parametrize("ensemble", ["langevin", "bussi", "nose-hoover"])
def test_thermostats_reach_the_temperature(grid, ensemble):
    config = MDConfig(
        ensemble=ensemble, steps=2500, timestep=2.0, friction=50.0, coupling_time=50.0
    )
    result = dynamics(grid, Springs(grid.positions), config)
    assert result.completed, result.message
    check_mean(result.table["temperature_K"][400:], 300.0)
    if ensemble != "langevin":
        assert np.ptp(result.table["conserved_eV"]) < 0.2 * np.ptp(result.table["total_eV"])


def check_mean(values, expected):
    """The mean agrees within four standard errors, estimated from blocks."""
    blocks = np.array([block.mean() for block in np.array_split(values, 12)])
    error = blocks.std(ddof=1) / np.sqrt(12)
    assert error < 0.08 * expected
    assert abs(blocks.mean() - expected) < 4.0 * error


def test_baoab_reaches_the_temperatures(grid):
    config = MDConfig(ensemble="langevin", steps=2500, timestep=2.0, friction=50.0)
    results = replicas(
        [grid, grid], SpringEngine(grid.positions), config, temperatures=[150.0, 600.0]
    )
    for result, temperature in zip(results, (150.0, 600.0), strict=True):
        assert result.completed
        check_mean(result.table["temperature_K"][400:], temperature)
        # BAOAB has the exact mean potential energy of a harmonic oscillator
        check_mean(2.0 * result.table["potential_eV"][400:] / (24 * units.kB), temperature)
    assert not np.array_equal(*(r.atoms.positions for r in results))


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_restart_equals_an_uninterrupted_run(ensemble, tmp_path, monkeypatch):
    monkeypatch.setattr(md_log, "CHECKPOINT_SECONDS", 0.0)
    atoms = molecule("H2O")

    def run(steps, stem=None):
        config = MDConfig(ensemble=ensemble, steps=steps, interval=3)
        return dynamics(atoms, MLSEQM(method="PM3"), config, stem=stem)

    whole = run(14, tmp_path / "whole")
    run(5, tmp_path / "parts")
    run(6, tmp_path / "parts")
    parts = run(14, tmp_path / "parts")
    same(whole, parts)
    same(whole, run(14, tmp_path / "parts"))  # nothing is left to do
    for name in ("md.csv", "md.extxyz"):
        assert (tmp_path / f"whole_{name}").read_text() == (tmp_path / f"parts_{name}").read_text()
    frames = read(tmp_path / "parts_md.extxyz", ":")
    assert [frame.info["step"] for frame in frames] == [0, 3, 6, 9, 12]
    assert frames[0].get_potential_energy() == pytest.approx(whole.table["potential_eV"][0])
    np.testing.assert_allclose(
        frames[4].get_kinetic_energy(), whole.table["kinetic_eV"][12], rtol=1e-5
    )


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from ase_mlseqm.workflows import MDConfig, dynamics, md_log
md_log.CHECKPOINT_SECONDS = 0.0
def callback(step, *rest):
    if step == 23:
        with open(sys.argv[1] + "_md.csv", "a") as file:
            file.write("24,half a li")
        os.kill(os.getpid(), 9)
config = MDConfig(ensemble="langevin", steps=60, timestep=4.0)
dynamics(Octahedron("Cu", 2), EMT(), config, stem=sys.argv[1], callback=callback)
"""


def test_killed_run_goes_on(tmp_path):
    from ase.calculators.emt import EMT
    from ase.cluster import Octahedron

    stem = tmp_path / "cu"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(stem), "."], check=False)
    assert killed.returncode == -signal.SIGKILL
    config = MDConfig(ensemble="langevin", steps=60, timestep=4.0)
    seen = []
    result = dynamics(
        Octahedron("Cu", 2), EMT(), config, stem=stem, callback=lambda *step: seen.append(step[0])
    )
    assert seen[0] in (23, 24)
    same(result, dynamics(Octahedron("Cu", 2), EMT(), config))


KILLED_REPLICAS = """
import os, sys
from ase.build import molecule
from ase_mlseqm import Engine
from ase_mlseqm.workflows import MDConfig, md_log
from ase_mlseqm.workflows.replicas import replicas
md_log.CHECKPOINT_SECONDS = 0.0
config = MDConfig(ensemble="langevin", steps=20)
checkpoint, calls = md_log.Log.checkpoint, []
def kill_between_two_replicas(*args, **keywords):
    checkpoint(*args, **keywords)
    calls.append(1)
    if len(calls) == 3 * 9 + 2:
        os.kill(os.getpid(), 9)
md_log.Log.checkpoint = kill_between_two_replicas
stems = [f"{sys.argv[1]}/{k}" for k in range(3)]
replicas([molecule("H2O")] * 3, Engine("PM3"), config, stems=stems)
"""


def test_killed_replicas_go_on(tmp_path):
    line = [sys.executable, "-c", KILLED_REPLICAS, str(tmp_path)]
    assert subprocess.run(line, check=False).returncode == -signal.SIGKILL
    # the last one has not reached the step of the others
    lines = [len((tmp_path / f"{k}_md.csv").read_text().splitlines()) for k in range(3)]
    assert lines == [11, 11, 10]
    config = MDConfig(ensemble="langevin", steps=20)
    start = [molecule("H2O")] * 3
    stems = [tmp_path / str(k) for k in range(3)]
    results = replicas(start, Engine("PM3"), config, stems=stems)
    for result, whole in zip(results, replicas(start, Engine("PM3"), config), strict=True):
        assert result.completed
        for name in whole.table:
            np.testing.assert_allclose(result.table[name], whole.table[name], rtol=0, atol=1e-9)


def test_interrupted_run_goes_on(grid, tmp_path):
    fail = {12: KeyboardInterrupt()}
    with pytest.raises(Interrupted) as caught:
        dynamics(grid, Springs(grid.positions, fail=fail), COLD, stem=tmp_path / "a")
    assert caught.value.result.steps == 10
    result = dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "a")
    same(result, dynamics(grid, Springs(grid.positions), COLD))


def test_another_run_is_not_continued(grid, tmp_path):
    dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "a")
    config = MDConfig(timestep=1.0, seed=3)
    with pytest.raises(InputError, match="other timestep, seed: remove it"):
        dynamics(grid, Springs(grid.positions), config, stem=tmp_path / "a")
    with pytest.raises(InputError, match="other calculator: remove it"):
        dynamics(grid, MLSEQM(method="PM3"), COLD, stem=tmp_path / "a")
    (tmp_path / "a_md.checkpoint.npz").write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be continued"):
        dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "a")


def test_what_heats_up_or_flies_apart_is_stopped(grid):
    hot = grid.copy()
    hot.set_momenta(np.full((8, 3), 20.0) * (-1) ** np.arange(8)[:, None])
    config = MDConfig(steps=30, keep_velocities=True)
    result = dynamics(hot, Springs(grid.positions), config)
    assert not result.completed
    assert result.message.startswith("stopped at step 0, too hot: ")
    pair = Atoms("HH", [(0, 0, 0), (0, 0, 5.0)], momenta=[(0, 0, -0.3), (0, 0, 0.3)])
    free = Springs(pair.positions, k=1e-9)
    result = dynamics(pair, free, MDConfig(steps=300, keep_velocities=True, max_heating=100))
    assert "flown apart: a gap of 6." in result.message
    assert result.message.startswith(f"stopped at step {result.steps}, ")
    assert widest_gap(result.atoms.positions) > 6.0 > result.table["widest_gap_A"][-2]
    json.dumps(result.to_dict())


def test_gap_is_that_of_fragments():
    pairs = np.array([(0, 0, 0), (0, 0, 1), (0, 0, 4), (0, 0, 5.0)])
    assert widest_gap(pairs) == pytest.approx(3.0)
    assert widest_gap(pairs[:1]) == 0.0


def test_lost_scf_keeps_the_frame_and_the_reason(grid):
    calc = Springs(grid.positions, fail={8: SCFError("no convergence")})
    result = dynamics(grid, calc, COLD)
    assert result.message == ("stopped after step 6, the calculator gave up: no convergence")
    assert result.steps == result.atoms.info["step"] == 6
    assert (result.failed.positions != result.atoms.positions).any()
    with pytest.raises(CalculatorError):
        dynamics(grid, Springs(grid.positions, fail={1: SCFError("at once")}), COLD)
    calc = Springs(grid.positions, k=np.nan)
    with pytest.raises(CalculatorError, match="not finite"):
        dynamics(grid, calc, COLD)


def test_replicas_are_those_of_ase(warm):
    config = MDConfig(steps=12, keep_velocities=True)
    other = molecule("CH4")
    set_velocities(other, MDConfig(), np.random.default_rng(5))
    results = replicas([warm, other], Engine("PM3"), config)
    for atoms, result in zip((warm, other), results, strict=True):
        alone = dynamics(atoms, MLSEQM(method="PM3"), config)
        assert np.abs(alone.atoms.positions - result.atoms.positions).max() < 1e-8
        np.testing.assert_allclose(
            alone.table["total_eV"], result.table["total_eV"], rtol=0, atol=1e-8
        )
    (single,) = replicas([warm], Engine("PM3"), config)
    alone = dynamics(warm, MLSEQM(method="PM3"), config)
    np.testing.assert_allclose(single.atoms.positions, alone.atoms.positions, atol=1e-13)


def test_replicas_with_a_calculator():
    """All its keywords count, as with dynamics(); other calculators are refused."""
    water = molecule("H2O")
    config = MDConfig(steps=5)
    keywords = {"method": "PM3", "charge": 1, "field": (0.0, 0.0, 0.5), "tolerance": 1e-9}
    (found,) = replicas([water], MLSEQM(**keywords), config)
    alone = dynamics(found.atoms, MLSEQM(**keywords), MDConfig(steps=1, keep_velocities=True))
    assert found.point.charge == 1
    assert alone.table["potential_eV"][0] == pytest.approx(found.table["potential_eV"][-1])
    with pytest.raises(InputError, match="need MLSEQM or an Engine, not Springs"):
        replicas([water], Springs(water.positions), config)


def test_failed_replica_stops_alone(grid, tmp_path):
    stems = [tmp_path / name for name in "abc"]
    engine = SpringEngine(grid.positions, lose=[(5, 1)])
    first = replicas([grid] * 3, engine, COLD, stems=stems)
    assert [result.completed for result in first] == [True, False, True]
    assert first[1].message.startswith("stopped after step 3, the SCF did not converge")
    assert first[1].failed is not None and first[1].steps == 3
    whole = replicas([grid] * 3, SpringEngine(grid.positions), COLD)
    same(first[0], whole[0])
    same(first[2], whole[2])
    # going on, this time without failure
    again = replicas([grid] * 3, SpringEngine(grid.positions), COLD, stems=stems)
    for one, other in zip(again, whole, strict=True):
        same(one, other)


def test_colliding_replica_stops_alone():
    close = Atoms("HH", [(0, 0, 0), (0, 0, 0.74)], momenta=[(0, 0, 1.2), (0, 0, -1.2)])
    calm = Atoms("HH", [(0, 0, 0), (0, 0, 0.74)], momenta=np.zeros((2, 3)))
    config = MDConfig(steps=30, keep_velocities=True, max_heating=1e9)
    results = replicas([close, calm], SpringEngine(close.positions), config)
    assert "Angstrom apart: remove the duplicate" in results[0].message
    assert results[1].completed


def test_extrapolation():
    assert weights(1) == [1]
    assert weights(3) == [3, -3, 1]

    # idempotent densities on a great circle: a rotation between two orbitals
    def density(angle):
        orbital = np.array([np.cos(angle), np.sin(angle)])
        return np.outer(orbital, orbital)[None]

    errors = []
    for length in (1, 2, 4, 6):
        history = DensityHistory(length)
        assert history.predict() is None
        for step in range(8):
            history.add(density(0.05 * step))
        predicted = history.predict()
        np.testing.assert_allclose(np.trace(predicted[0]), 1.0, atol=0.05**2)
        errors.append(np.abs(predicted - density(0.4)).max())
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 125 * errors[3]
    history.add(np.eye(3)[None])
    assert len(history.densities) == 1


def test_extrapolation_saves_iterations(warm, monkeypatch):
    def iterations(length):
        monkeypatch.setattr(DensityHistory.__init__, "__defaults__", (length,))
        found = []
        calc = MLSEQM(method="PM3")
        config = MDConfig(steps=25, keep_velocities=True)
        dynamics(warm, calc, config, callback=lambda *_: found.append(calc._singlepoint.iterations))
        return np.mean(found[10:])

    assert iterations(6) < 0.75 * iterations(1)


def test_drift():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 5, 2001)
    slopes, errors = zip(
        *(drift(time, 0.3 * time + rng.standard_normal(2001)) for _ in range(200)), strict=True
    )
    assert np.mean(slopes) == pytest.approx(0.3, abs=0.005)
    assert np.mean(errors) == pytest.approx(np.std(slopes), rel=0.2)
    assert np.isnan(drift(time[:2], time[:2])).all()


def test_constraints(grid):
    grid.set_constraint(FixAtoms([0, 1]))
    result = dynamics(grid, Springs(grid.positions + 0.01), COLD)
    assert (result.atoms.positions[:2] == grid.positions[:2]).all()
    assert (result.atoms.positions[2:] != grid.positions[2:]).all()
    moved = SpringEngine(grid.positions + 0.01)
    for ensemble in ("nve", "langevin"):
        config = dataclasses.replace(COLD, ensemble=ensemble)
        (replica,) = replicas([grid], moved, config)
        assert (replica.atoms.positions[:2] == grid.positions[:2]).all()
        assert (replica.atoms.positions[2:] != grid.positions[2:]).all()
        assert replica.table["temperature_K"][0] == pytest.approx(300.0)
    grid.set_constraint(FixBondLengths([(0, 1)]))
    with pytest.raises(InputError, match="FixBondLengths is not for replicas, which know FixAtoms"):
        replicas([grid], moved, COLD)


def test_replicas_with_fixed_atoms_are_those_of_ase(warm, tmp_path):
    warm.set_constraint(FixAtoms([1]))
    config = MDConfig(steps=8, keep_velocities=True)
    (replica,) = replicas([warm], Engine("PM3"), config, stems=[tmp_path / "w"])
    alone = dynamics(warm, MLSEQM(method="PM3"), config)
    np.testing.assert_allclose(alone.atoms.positions, replica.atoms.positions, atol=1e-10)
    np.testing.assert_allclose(alone.table["total_eV"], replica.table["total_eV"], atol=1e-8)
    warm.set_constraint()
    with pytest.raises(InputError, match="other constraints: remove it"):
        replicas([warm], Engine("PM3"), config, stems=[tmp_path / "w"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ensemble": "npt"}, "unknown ensemble 'npt': choose one of nve, langevin"),
        ({"timestep": 0.0}, "timestep is 0.0: give a positive number"),
        ({"temperature": np.nan}, "temperature is nan"),
        ({"steps": 0}, "steps is 0: give 1 or more"),
        ({"interval": 0}, "interval is 0"),
        ({"max_heating": 1.0}, "max_heating is 1.0: give a number above 1"),
    ],
)
def test_settings_that_make_no_sense(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        MDConfig(**settings)
    assert set(field_docs(MDConfig)) == set(MDConfig.__dataclass_fields__)


def test_input_that_makes_no_sense(grid):
    with pytest.raises(InputError, match="no velocities to start with"):
        dynamics(grid, Springs(grid.positions), MDConfig(keep_velocities=True))
    with pytest.raises(InputError, match="O cannot move: use langevin"):
        dynamics(Atoms("O"), Springs(np.zeros((1, 3))), COLD)
    with pytest.raises(InputError, match="run nve or langevin, not bussi"):
        replicas([grid], SpringEngine(grid.positions), MDConfig(ensemble="bussi"))
    with pytest.raises(InputError, match="2 temperatures for 1 replicas"):
        replicas([grid], SpringEngine(grid.positions), COLD, temperatures=[1.0, 2.0])
    with pytest.raises(InputError, match="replica 1: "):
        replicas([grid, Atoms("XeH", [(0, 0, 0), (0, 0, 1)])], SpringEngine(grid.positions), COLD)


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    molecule("H2O").write("w.xyz")
    line = ["md", "w.xyz", "--method", "PM3", "--out", "o", "--interval", "1"]
    assert cli.main([*line, "--steps", "70"]) == 0
    assert "completed 70 steps" in capsys.readouterr().out
    for name in ("w_md.png", "w_power.png", "w_ir.png"):
        with Image.open(tmp_path / "o" / name) as image:
            assert min(image.size) > 500
    summary = json.loads((tmp_path / "o" / "mlseqm_md.json").read_text())
    assert summary["settings"]["timestep"] == 0.5
    assert cli.main([*line, "--steps", "75", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert found["dynamics"]["steps"] == 75
    assert cli.main([*line, "--steps", "75", "--seed", "1"]) == 2
    assert "belongs to a run with other seed" in capsys.readouterr().err
    batch = ["--replicas", "2", "--temperatures", "200,300", "--steps", "3", "--no-figure"]
    assert cli.main([*line, *batch]) == 0
    assert (tmp_path / "o" / "w_300K_01_md.csv").exists()
    capsys.readouterr()
    assert cli.main([*line, "--steps", "9", "--timestep", "9", "--out", "p"]) == 1
    assert "too hot" in capsys.readouterr().err
    assert cli.main([*line, *batch, "--ensemble", "bussi"]) == 2
    (tmp_path / "empty.xyz").write_text("")
    assert cli.main(["md", "empty.xyz", "--method", "PM3"]) == 2


def test_figure_of_a_run_that_was_stopped_at_once(grid, tmp_path):
    calc = Springs(grid.positions, fail={2: SCFError("lost")})
    plot_energies(dynamics(grid, calc, COLD), tmp_path / "e.png", "cube")
    assert (tmp_path / "e.png").stat().st_size > 1000
