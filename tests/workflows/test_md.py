"""Dynamics on any calculator: physics, restart, bounds, replicas, the command."""

import dataclasses
import functools
import json
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import SCFError
from ase.constraints import FixAtoms, FixBondLengths
from ase.io import read
from PIL import Image
from springs import SpringEngine, Springs, same

from ase_mlseqm import MLSEQM, Engine, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.options import field_docs
from ase_mlseqm.workflows import (
    Interrupted,
    MDConfig,
    checkpoints,
    dynamics,
    md_log,
    read_h5md,
    trajectory,
)
from ase_mlseqm.workflows.extrapolation import DensityHistory, weights
from ase_mlseqm.workflows.md_config import ENSEMBLES, set_velocities
from ase_mlseqm.workflows.md_figures import plot_energies
from ase_mlseqm.workflows.replicas import replicas

COLD = MDConfig(temperature=300.0, steps=40)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_restart_equals_an_uninterrupted_run(ensemble, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
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


def test_a_run_leaves_the_files_of_another_one_alone(grid, tmp_path, monkeypatch):
    """As when the same job was submitted twice."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    whole = dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "whole")
    found = []

    def other(step, *_):
        if step == 7:
            found.append(dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "one"))

    with pytest.raises(InputError, match=r"one_md\.checkpoint\.npz was written by another run"):
        dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "one", callback=other)
    same(found[0], whole)
    for end in ("_md.csv", "_md.extxyz"):
        assert (tmp_path / f"one{end}").read_text() == (tmp_path / f"whole{end}").read_text()


def test_checkpoints_of_many_replicas_take_little_of_the_time(grid, tmp_path, monkeypatch):
    """On a disk where one takes half a second; a step takes one."""
    now = {"computing": 0.0, "writing": 0.0}
    clock = types.SimpleNamespace(monotonic=lambda: sum(now.values()))
    monkeypatch.setattr(checkpoints, "time", clock)
    run, write = SpringEngine.run, checkpoints.write_whole

    def computed(self, *args, **keywords):
        now["computing"] += 1.0
        return run(self, *args, **keywords)

    def written(*args):
        now["writing"] += 0.5
        write(*args)

    monkeypatch.setattr(SpringEngine, "run", computed)
    monkeypatch.setattr(checkpoints, "write_whole", written)
    config = MDConfig(steps=800, interval=400)
    stems = [tmp_path / f"{k}" for k in range(10)]
    for result in replicas([grid] * 10, SpringEngine(grid.positions), config, stems=stems):
        assert result.completed
    # those at the beginning and at the end are written in any case
    assert now["writing"] - 10 * 3 * 0.5 < 0.05 * now["computing"]


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from ase_mlseqm.workflows import MDConfig, checkpoints, dynamics, read_h5md, trajectory
checkpoints.SECONDS = 0.0
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
from ase_mlseqm.workflows import MDConfig, checkpoints, md_log
from ase_mlseqm.workflows.replicas import replicas
checkpoints.SECONDS = 0.0
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


@pytest.mark.parametrize("file_format", trajectory.FORMATS)
@pytest.mark.parametrize("place", ["frames", "table", "checkpoint", "first force"])
def test_interrupted_while_it_writes(grid, tmp_path, monkeypatch, place, file_format):
    """Half of what it was about to write is there: no line and no frame is missing or doubled."""
    if file_format == "h5md":
        pytest.importorskip("h5py")
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    kind = type(trajectory.trajectory(tmp_path / f"a.{file_format}"))
    config = dataclasses.replace(COLD, interval=1, format=file_format)
    short, stem = dataclasses.replace(config, steps=3), tmp_path / "a"
    dynamics(grid, Springs(grid.positions), short, stem=stem)
    owner, name = {
        "frames": (kind, "append"),
        "table": (md_log.Log, "add"),
        "checkpoint": (np, "savez"),
        "first force": (Springs, "calculate"),
    }[place]
    whole, calls = getattr(owner, name), []

    def interrupted(*args, **keywords):
        calls.append(1)
        if place == "first force" or len(calls) == 5:
            if place == "frames":
                whole(*args, **keywords)
            raise KeyboardInterrupt
        return whole(*args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            dynamics(grid, Springs(grid.positions), config, stem=stem)
    if place == "first force":
        assert not isinstance(caught.value, Interrupted)
    else:
        result = caught.value.result
        assert result.table["step"].tolist() == list(range(result.steps + 1))
        assert result.atoms.info["step"] == result.steps
    result = dynamics(grid, Springs(grid.positions), config, stem=stem)
    same(result, dynamics(grid, Springs(grid.positions), COLD))
    frames = read_h5md if file_format == "h5md" else functools.partial(read, index=":")
    steps = [atoms.info["step"] for atoms in frames(tmp_path / f"a_md.{file_format}")]
    assert steps == list(range(COLD.steps + 1))


def test_another_run_is_not_continued(grid, tmp_path):
    dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "a")
    config = MDConfig(timestep=1.0, seed=3)
    with pytest.raises(InputError, match="other timestep, seed: move it"):
        dynamics(grid, Springs(grid.positions), config, stem=tmp_path / "a")
    with pytest.raises(InputError, match="other calculator: move it"):
        dynamics(grid, MLSEQM(method="PM3"), COLD, stem=tmp_path / "a")
    other = grid.copy()
    other.set_cell([9.0, 9.0, 9.0])
    with pytest.raises(InputError, match="other cell: move it"):
        dynamics(other, Springs(grid.positions), COLD, stem=tmp_path / "a")
    path = tmp_path / "a_md.checkpoint.npz"
    for content in (b"broken", path.read_bytes()[:-50], path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"npz is damaged: move it, .* to start anew"):
            dynamics(grid, Springs(grid.positions), COLD, stem=tmp_path / "a")


def heavier(atoms):
    atoms.set_masses([2.0] * len(atoms))


def charged(atoms):
    atoms.info["charge"] = 2


def faster(atoms):
    atoms.set_momenta(2 * atoms.get_momenta())


def one_replica(atoms, calc, config, stem):
    return replicas([atoms], calc, config, stems=[stem])


@pytest.mark.parametrize("run", [dynamics, one_replica])
def test_another_molecule_is_not_continued(warm, tmp_path, run):
    """At the same positions: with other masses, charge or velocities, or another calculator."""
    calc, config = MLSEQM(method="PM3"), MDConfig(steps=2, keep_velocities=True)
    run(warm, calc, config, stem=tmp_path / "a")
    for change, word in {
        heavier: "masses",
        charged: "charge or spin",
        faster: "velocities",
    }.items():
        other = warm.copy()
        change(other)
        with pytest.raises(InputError, match=f"other {word}"):
            run(other, calc, config, stem=tmp_path / "a")
    for keywords in ({"field": (0.0, 0.0, 0.1)}, {"charge": 2}, {"tolerance": 1e-5}):
        calc = MLSEQM(method="PM3", **keywords)
        with pytest.raises(InputError, match="other calculator: move it"):
            run(warm, calc, config, stem=tmp_path / "a")


def test_keywords_of_other_calculators_count(grid, tmp_path):
    """Those that are plain; of an object the class."""
    calc = Springs(grid.positions)
    calc.parameters = {"k": 5.0, "matrix": np.eye(2), "object": object()}
    dynamics(grid, calc, COLD, stem=tmp_path / "a")
    calc.parameters = {"k": 5.0, "matrix": np.eye(2), "object": object()}
    dynamics(grid, calc, COLD, stem=tmp_path / "a")
    calc.parameters = {"k": 6.0}
    with pytest.raises(InputError, match="other calculator: move it"):
        dynamics(grid, calc, COLD, stem=tmp_path / "a")


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


def test_frames_of_replicas_state_what_was_computed(tmp_path):
    """As those of a single run: a charge that was a keyword was in no file of an ion."""
    ion = Atoms("CO3", [(0, 0, 0), (1.3, 0, 0), (-0.65, 1.13, 0), (-0.65, -1.13, 0)])
    config, water = MDConfig(steps=4), molecule("H2O")
    (found,) = replicas([ion], MLSEQM(method="PM3", charge=-2), config, stems=[tmp_path / "a"])
    frame = read(tmp_path / "a_md.extxyz", 0)
    assert (frame.info["charge"], frame.info["multiplicity"]) == (-2, 1)
    frame.calc = MLSEQM(method="PM3")
    first = found.table["potential_eV"][0]
    assert frame.get_potential_energy() == pytest.approx(first, abs=1e-6)
    replicas([water], MLSEQM(method="PM3"), config, stems=[tmp_path / "b"])
    frame = read(tmp_path / "b_md.extxyz", 0)  # the charge zero, which nobody gave, gives way
    frame.calc = MLSEQM(method="PM3", charge=1)
    frame.get_potential_energy()
    assert frame.calc.singlepoint.charge == 1
    water.info["charge"] = 1
    with pytest.raises(InputError, match="replica 0: the charge is given twice"):
        replicas([water], MLSEQM(method="PM3", charge=-1))


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


def test_forces_of_fixed_atoms_are_written_as_they_are(warm, tmp_path):
    """With and without batches: a constraint is no property of the molecule."""
    warm.set_constraint(FixAtoms([1]))
    config = MDConfig(steps=2, keep_velocities=True)
    dynamics(warm, MLSEQM(method="PM3"), config, stem=tmp_path / "one")
    replicas([warm], Engine("PM3"), config, stems=[tmp_path / "many"])
    one, many = (read(tmp_path / f"{name}_md.extxyz", ":") for name in ("one", "many"))
    for alone, replica in zip(one, many, strict=True):
        forces = alone.get_forces(apply_constraint=False)
        assert np.abs(forces[1]).max() > 1e-3
        np.testing.assert_allclose(forces, replica.get_forces(apply_constraint=False), atol=1e-5)


def test_replicas_with_fixed_atoms_are_those_of_ase(warm, tmp_path):
    warm.set_constraint(FixAtoms([1]))
    config = MDConfig(steps=8, keep_velocities=True)
    (replica,) = replicas([warm], Engine("PM3"), config, stems=[tmp_path / "w"])
    alone = dynamics(warm, MLSEQM(method="PM3"), config)
    np.testing.assert_allclose(alone.atoms.positions, replica.atoms.positions, atol=1e-10)
    np.testing.assert_allclose(alone.table["total_eV"], replica.table["total_eV"], atol=1e-8)
    warm.set_constraint()
    with pytest.raises(InputError, match="other constraints: move it"):
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
    end = json.loads((tmp_path / "o" / "w_md.json").read_text())["result"]
    assert end["completed"] and end["message"] == "completed 70 steps"
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


@pytest.mark.parametrize("copies", [["--replicas", "2"], ["--temperatures", "200,300"]])
def test_velocities_that_are_kept_make_no_replicas(tmp_path, capsys, monkeypatch, copies):
    """Without random forces they would all be the same trajectory."""
    monkeypatch.chdir(tmp_path)
    atoms = molecule("H2O")
    atoms.set_momenta(0.1 * np.random.default_rng(0).normal(size=(3, 3)))
    atoms.write("w.extxyz")
    line = ["md", "w.extxyz", "--method", "PM3", "--steps", "2", "--keep-velocities", *copies]
    assert cli.main(line) == 2
    assert "keep_velocities makes all replicas and temperatures one" in capsys.readouterr().err
    assert cli.main([*line, "--ensemble", "langevin", "--no-figure"]) == 0
    ends = [json.loads(file.read_text())["result"] for file in tmp_path.glob("w_*.json")]
    assert len(ends) == 2 and ends[0]["positions"] != ends[1]["positions"]


def test_figure_of_a_run_that_was_stopped_at_once(grid, tmp_path):
    calc = Springs(grid.positions, fail={2: SCFError("lost")})
    plot_energies(dynamics(grid, calc, COLD), tmp_path / "e.png", "cube")
    assert (tmp_path / "e.png").stat().st_size > 1000
