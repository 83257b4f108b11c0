"""Dynamics that cannot go on: the frame and the reason, in the result and in the files."""

import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import CalculatorError, SCFError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import read, write
from springs import SpringEngine, Springs, same

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.geometry import widest_gap
from ase_mlseqm.workflows.replicas import replicas

COLD = MDConfig(temperature=300.0, steps=40)


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


@pytest.mark.parametrize(("freedom", "limit"), [(72, 4.0), (8, 8.0), (2, 14.0), (0, 18.971)])
def test_what_is_too_hot(freedom, limit):
    """Twice the temperature and six times sqrt(2 / freedom) of that: fewer degrees, more noise."""
    bounds = MDConfig(temperature=100.0, max_heating=2.0).bounds(freedom)
    assert bounds.broken(100.0 * limit - 0.1, 1.0) is None
    reason = f"too hot: {100 * limit:.0f} K, allowed are {100 * limit:.0f} K"
    assert bounds.broken(100.0 * limit + 0.1, 1.0) == reason
    assert bounds.broken(100.0, 6.01) and bounds.broken(100.0, 5.99) is None
    assert bounds.broken(np.nan, 1.0) == "the velocities are not finite numbers"


@pytest.mark.parametrize("excess", [-1e-3, 1e-3])
def test_a_run_at_the_edge_of_what_is_too_hot(excess):
    """One free atom: three degrees, all of them in one direction."""
    atoms = Atoms("Ar", [(0, 0, 0)])
    limit = 300.0 * 3.0 * (1.0 + 6.0 * np.sqrt(2.0 / 3.0)) * (1.0 + excess)
    speed = np.sqrt(3.0 * units.kB * limit / atoms.get_masses()[0])
    atoms.set_velocities([(speed, 0, 0)])
    config = MDConfig(steps=1, keep_velocities=True)
    result = dynamics(atoms, Springs(atoms.positions, k=1e-12), config)
    assert result.table["temperature_K"][0] == pytest.approx(limit, rel=1e-9)
    assert result.completed == (excess < 0) == ("too hot" not in result.message)


def test_what_cannot_move_is_cold(grid):
    """All atoms are held: no degree of freedom is left that could have a temperature."""
    grid.set_constraint(FixAtoms(range(8)))
    grid.set_momenta(np.zeros((8, 3)))
    result = dynamics(grid, Springs(grid.positions), MDConfig(steps=2, keep_velocities=True))
    assert result.completed and (result.table["temperature_K"] == 0.0).all()
    np.testing.assert_array_equal(result.atoms.positions, grid.positions)


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


def test_what_never_started_has_no_energy_of_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-2079.1, forces=np.ones((3, 3)))
    write("w.extxyz", atoms)
    line = ["md", "w.extxyz", "--method", "PM3", "--steps", "2", "--max-iterations", "1"]
    assert cli.main(line) == 1
    assert "-2079" not in (tmp_path / "w_failed.extxyz").read_text()
    assert read("w_failed.extxyz").calc is None


def test_failed_replica_stops_alone(grid, tmp_path):
    stems = [tmp_path / name for name in "abc"]
    engine = SpringEngine(grid.positions, lose=[(5, 1)])
    first = replicas([grid] * 3, engine, COLD, stems=stems)
    assert [result.completed for result in first] == [True, False, True]
    assert first[1].message.startswith("stopped after step 3, the SCF did not converge")
    assert first[1].failed is not None and first[1].steps == 3
    frames = read(tmp_path / "b_failed.extxyz", ":")
    assert [frame.info["message"] for frame in frames] == [first[1].message] * 2
    np.testing.assert_allclose(frames[1].positions, first[1].failed.positions, atol=1e-7)
    whole = replicas([grid] * 3, SpringEngine(grid.positions), COLD)
    same(first[0], whole[0])
    same(first[2], whole[2])
    # going on, this time without failure
    again = replicas([grid] * 3, SpringEngine(grid.positions), COLD, stems=stems)
    for one, other in zip(again, whole, strict=True):
        same(one, other)
    assert not list(tmp_path.glob("*_failed.extxyz"))


def test_colliding_replica_stops_alone():
    close = Atoms("HH", [(0, 0, 0), (0, 0, 0.74)], momenta=[(0, 0, 1.2), (0, 0, -1.2)])
    calm = Atoms("HH", [(0, 0, 0), (0, 0, 0.74)], momenta=np.zeros((2, 3)))
    config = MDConfig(steps=30, keep_velocities=True, max_heating=1e9)
    results = replicas([close, calm], SpringEngine(close.positions), config)
    assert "Angstrom apart: remove the duplicate" in results[0].message
    assert results[1].completed


def test_lost_scf_of_pm3_is_in_the_file(tmp_path):
    calc = MLSEQM(method="PM3")

    def callback(step, *_):
        if step == 2:
            calc.parameters |= {"max_iterations": 1, "tolerance": 1e-15}

    result = dynamics(molecule("H2O"), calc, COLD, stem=tmp_path / "w", callback=callback)
    assert result.message.startswith("stopped after step 2, the calculator gave up: ")
    last, failed = read(tmp_path / "w_failed.extxyz", ":")
    assert "did not converge" in last.info["message"] == result.message
    # the trajectory has frames 0 and 4 alone
    assert last.info["step"] == 2
    assert last.get_potential_energy() == pytest.approx(result.table["potential_eV"][2])
    assert np.abs(failed.positions - last.positions).max() > 1e-3
    dynamics(molecule("H2O"), MLSEQM(method="PM3"), MDConfig(steps=3), stem=tmp_path / "v")
    assert not (tmp_path / "v_failed.extxyz").exists()


def leaving():
    """Two molecules of water on their way to opposite sides."""
    pair, other = molecule("H2O"), molecule("H2O")
    other.positions[:, 2] += 4.0
    pair += other
    speeds = np.repeat([-0.2, 0.2], 3)
    pair.set_momenta(np.outer(speeds * pair.get_masses(), (0, 0, 1)))
    return pair


STOPPED = {
    "hot": (molecule("H2O"), ["--timestep", "9"], "stopped at step 1, too hot: "),
    "apart": (
        leaving(),
        ["--keep-velocities", "--max-heating", "100", "--max-gap", "3.6"],
        "flown apart: a gap of 3.6",
    ),
    "lost": (
        molecule("H2O"),
        ["--max-iterations", "1", "--tolerance", "1e-15"],
        "the SCF did not converge",
    ),
}


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("name", STOPPED)
def test_command_writes_the_frame_and_the_reason(tmp_path, monkeypatch, name, copies):
    monkeypatch.chdir(tmp_path)
    atoms, words, reason = STOPPED[name]
    atoms.write("w.extxyz")
    line = ["md", "w.extxyz", "--method", "PM3", "--steps", "40", "--no-figure", *words]
    if copies > 1 and name == "apart":  # random forces: those that keep velocities are the same
        line += ["--ensemble", "langevin", "--friction", "1e-6"]
    assert cli.main([*line, "--out", "o", "--interval", "50", "--replicas", str(copies)]) == 1
    names = ["w"] if copies == 1 else ["w_300K_00", "w_300K_01"]
    for stem in names:
        found = json.loads((tmp_path / "o" / f"{stem}_md.json").read_text())["result"]
        assert not found["completed"]
        assert reason in found["message"]
        last = read(tmp_path / "o" / f"{stem}_failed.extxyz", 0)
        assert last.info["message"] == found["message"]
        if name != "lost":
            np.testing.assert_allclose(last.positions, found["positions"], atol=1e-7)
            assert last.info["step"] == found["steps"] > 0


def test_replicas_that_stopped_are_told_by_name(tmp_path, monkeypatch, capsys):
    """A stretched bond heats up: beyond what is allowed at 10 K, not at 5000 K."""
    monkeypatch.chdir(tmp_path)
    write("h2.xyz", Atoms("H2", [(0, 0, 0), (0, 0, 1.0)]))
    line = "md h2.xyz --method PM3 --temperatures 10,5000 --replicas 2 --steps 100 --no-figure"
    assert cli.main(line.split()) == 1
    printed = capsys.readouterr()
    for name in ("h2_10K_00", "h2_10K_01"):
        assert f"mlseqm: {name}: stopped at step" in printed.err
    assert "h2.xyz" not in printed.out + printed.err
    assert printed.err.count("no spectrum of the velocities of 26 frames") == 1
    summary = json.loads((tmp_path / "mlseqm_md.json").read_text())
    assert summary["results"]["unconverged"] == ["h2_10K_00", "h2_10K_01"]
