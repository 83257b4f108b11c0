"""Dynamics of lists: each as it is alone, shared batches, failures, going on."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from ase.constraints import FixBondLengths
from ase.io import read
from springs import Springs, same

from ase_mlseqm import MLSEQM, Engine, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows import Interrupted, MDConfig, checkpoints, dynamics
from ase_mlseqm.workflows.md_config import ENSEMBLES, End
from ase_mlseqm.workflows.side_by_side import side_by_side

NAMES = ("H2O", "NH3", "CH3OH")


def pm3():
    return MLSEQM(method="PM3")


def molecules():
    return [molecule(name) for name in NAMES]


def equal(found, expected, digits=1e-8):
    """Batches of another composition round differently."""
    assert found.end is expected.end and found.message == expected.message
    assert found.config == expected.config
    np.testing.assert_allclose(found.atoms.positions, expected.atoms.positions, atol=digits)
    for name, column in expected.table.items():
        np.testing.assert_allclose(found.table[name], column, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_each_moves_as_it_does_alone(ensemble, engine_calls):
    """With every integrator; a step of all is one call of the engine."""
    config = MDConfig(ensemble=ensemble, steps=8)
    found = dynamics(molecules(), pm3(), config)
    assert engine_calls == [3] * 9
    for atoms, one in zip(molecules(), found, strict=True):
        equal(one, dynamics(atoms, pm3(), config))


def test_who_is_done_leaves_the_batch(engine_calls, tmp_path):
    """Runs that go on from different steps share those that all have before them."""
    stems = [tmp_path / name for name in NAMES]
    dynamics(molecules()[0], pm3(), MDConfig(steps=6), stem=stems[0])
    engine_calls.clear()
    found = dynamics(molecules(), pm3(), MDConfig(steps=10), stem=stems)
    # at first one has a density to start from, and the others have none
    assert engine_calls == [1, 2] + [3] * 4 + [2] * 6
    for atoms, one, stem in zip(molecules(), found, stems, strict=True):
        equal(one, dynamics(atoms, pm3(), MDConfig(steps=10)))
        frames = read(f"{stem}_md.extxyz", ":")
        assert [frame.info["step"] for frame in frames] == [0, 4, 8]


def test_constraints_of_each():
    fixed, free = molecule("H2O"), molecule("NH3")
    fixed.set_constraint(FixBondLengths([(0, 1)]))
    found = dynamics((fixed, free), pm3(), MDConfig(steps=5))
    length = fixed.get_distance(0, 1)
    assert found[0].atoms.get_distance(0, 1) == pytest.approx(length, abs=1e-6)
    assert abs(found[0].atoms.get_distance(0, 2) - length) > 1e-4


def test_failures_belong_to_one(tmp_path):
    """One that cannot be computed, one that is stopped, one whose checkpoint is another's."""
    hot = molecule("NH3")
    hot.positions[1] *= 1.6
    starts = [molecule("H2O"), Atoms("XeH", [(0, 0, 0), (0, 0, 1.6)]), hot, molecule("CH4")]
    starts.append("nothing")
    stems = [tmp_path / str(k) for k in range(5)]
    dynamics(starts[3], pm3(), MDConfig(steps=2, seed=5), stem=stems[3])
    found = dynamics(starts, pm3(), MDConfig(steps=30), stem=stems)
    assert isinstance(found[1], CalculatorSetupError) and "Xe" in str(found[1])
    assert found[2].end is End.STOPPED and "too hot" in found[2].message
    assert isinstance(found[3], InputError) and "other seed" in str(found[3])
    assert isinstance(found[4], InputError)
    assert found[0].end is End.COMPLETED
    equal(found[0], dynamics(starts[0], pm3(), MDConfig(steps=30)))
    assert json.loads(json.dumps(found[2].to_dict()))["end"] == "stopped"
    last = read(f"{stems[2]}_failed.extxyz", 0)
    assert last.info["message"] == found[2].message


def test_lists_that_make_no_sense():
    with pytest.raises(InputError, match="stem: give a list of 3, one for each"):
        dynamics(molecules(), pm3(), stem="name")
    with pytest.raises(InputError, match="stem: give a list of 3"):
        dynamics(molecules(), pm3(), stem=["one", "two"])
    with pytest.raises(InputError, match="a callback is for one molecule"):
        dynamics(molecules(), pm3(), callback=print)
    assert dynamics([], pm3()) == []


def test_copies_are_warned_of(warm, grid):
    """With the same random numbers they would move alike."""
    calc, short = Springs(grid.positions), MDConfig(steps=2)
    with pytest.warns(UserWarning, match=r"equal molecules of the list move alike: replicas\(\)"):
        one, other = dynamics([grid, grid.copy()], calc, short)
    same(one, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dynamics(molecules(), pm3(), short)
        dynamics([warm, warm], pm3(), MDConfig(steps=2, keep_velocities=True))


def test_another_calculator_takes_them_in_turn(grid):
    """The results are those of each alone to the last bit, and an error stays where it is."""
    second = grid.copy()
    second.rattle(0.05, seed=4)
    config = MDConfig(ensemble="bussi", steps=20)
    for failing, place in ((1, 0), (22, 1)):
        calc = Springs(grid.positions, fail={failing: CalculatorError("lost")})
        found = dynamics([grid, second], calc, config)
        assert str(found[place]) == "lost"
        rest = dynamics([grid, second][1 - place], Springs(grid.positions), config)
        same(found[1 - place], rest)


def test_tblite():
    tblite = pytest.importorskip("tblite.ase")
    config = MDConfig(steps=6)

    def gfn2():
        return tblite.TBLite(method="GFN2-xTB", verbosity=0)

    starts = [molecule("H2O"), molecule("NH3")]
    for atoms, found in zip(starts, dynamics(starts, gfn2(), config), strict=True):
        equal(found, dynamics(atoms, gfn2(), config), digits=1e-7)


def test_interrupted_list_goes_on(tmp_path, monkeypatch):
    """Ctrl-C leaves checkpoints of the last step of all, however short the time since the last."""
    monkeypatch.setattr(checkpoints, "SECONDS", 1e6)
    config, stems = MDConfig(steps=12), [tmp_path / name for name in NAMES]
    run, calls = Engine.run, []

    def interrupted(self, *args, **keywords):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return run(self, *args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dynamics(molecules(), pm3(), config, stem=stems)
    for stem in stems:
        assert len((stem.with_name(f"{stem.name}_md.csv")).read_text().splitlines()) == 1 + 7
    calls.clear()
    found = dynamics(molecules(), pm3(), config, stem=stems)
    for atoms, one in zip(molecules(), found, strict=True):
        equal(one, dynamics(atoms, pm3(), config))


def test_functions_side_by_side_hear_of_the_end():
    """When nobody listens any more they may keep what they have, as after Ctrl-C."""
    kept = []

    def work(atoms, calc):
        try:
            return dynamics(atoms, calc, MDConfig(steps=3 if len(atoms) == 3 else 50))
        except Interrupted as stop:
            kept.append(stop.result)
            raise

    results = side_by_side(work, molecules(), pm3())
    number, first = next(results)
    results.close()
    assert (number, first.end) == (0, End.COMPLETED)
    assert [result.end for result in kept] == [End.INTERRUPTED] * 2
    assert [result.steps for result in kept] == [3, 3]


COMMAND = ["md", "a.xyz", "b.xyz", "c.xyz", "--method", "PM3", "--ensemble", "bussi", "--out", "o"]


def result(name):
    return json.loads(Path("o", f"{name}_md.json").read_text())["result"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, atoms in zip("abc", molecules(), strict=True):
        atoms.write(f"{name}.xyz")


def test_command(files, engine_calls, capsys):
    """Its files share batches with any integrator, and one that fails does no harm."""
    Atoms("XeH", [(0, 0, 0), (0, 0, 1.6)]).write("b.xyz")
    assert cli.main([*COMMAND, "--steps", "6", "--json"]) == 2
    # what one of them cannot be asked for, each is asked for by itself
    assert engine_calls[:4] == [3, 1, 1, 1] and engine_calls[4:10] == [2] * 6
    told = capsys.readouterr()
    assert "mlseqm: b.xyz: " in told.err and "Xe" in told.err
    found = json.loads(told.out)["molecules"]
    assert [one["trajectory"] for one in found] == ["a", "c"]
    config = MDConfig(ensemble="bussi", steps=6)
    for name, k in (("a", 0), ("c", 2)):
        positions = dynamics(molecules()[k], pm3(), config).atoms.positions
        np.testing.assert_allclose(result(name)["positions"], positions, atol=1e-7)


def test_interrupted_command_goes_on(files, monkeypatch):
    """All that were under way are reported, and the same command finishes them."""
    run, calls = Engine.run, []

    def interrupted(self, *args, **keywords):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return run(self, *args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", interrupted)
        assert cli.main([*COMMAND, "--steps", "9"]) == 130
    ends = [result(name) for name in "abc"]
    assert [(one["end"], one["steps"]) for one in ends] == [("interrupted", 3)] * 3
    assert cli.main([*COMMAND, "--steps", "9"]) == 0
    for name, atoms in zip("abc", molecules(), strict=True):
        alone = dynamics(atoms, pm3(), MDConfig(ensemble="bussi", steps=9))
        assert result(name)["end"] == "completed"
        np.testing.assert_allclose(result(name)["positions"], alone.atoms.positions, atol=1e-7)
