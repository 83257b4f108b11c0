"""Transition states that go on: after SIGKILL, with more steps, and those that were finished."""

import dataclasses
import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from helpers import recorded
from killing import killed
from reactions import isomerisation

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli import app as cli
from ase_mlseqm.errors import InputError
from ase_mlseqm.workflows.ts import TSConfig, ts

GUESS = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
DIMER = TSConfig(refiner="dimer")
REFINED = """
    from ase.io import read
    from ase_mlseqm import MLSEQM
    from ase_mlseqm.workflows.ts import TSConfig, ts
    config = TSConfig(refiner=sys.argv[2])
    ts(read("guess.xyz"), MLSEQM(method="PM3"), config, checkpoint="ts.json")
"""


@pytest.fixture(scope="module")
def whole():
    """An undisturbed run, and the molecules computed before each of its sentences."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        calls = recorded(patch)
        note = lambda text: said.setdefault(text, sum(calls))  # noqa: E731
        result = ts(GUESS, MLSEQM(method="PM3"), DIMER, callback=note)
    return result, said, sum(calls)


def same(one, other):
    assert one.converged and other.converged
    assert one.energy == pytest.approx(other.energy, abs=1e-5)
    assert one.imaginary == pytest.approx(other.imaginary, abs=2.0)
    assert sorted(one.barriers) == pytest.approx(sorted(other.barriers), abs=1e-4)
    for name in ("enthalpies", "gibbs_energies"):
        numbers = (np.sort(getattr(found.activation, name)) for found in (one, other))
        np.testing.assert_allclose(*numbers, atol=1e-3)


@pytest.mark.parametrize("stage", ["refinement", "reaction coordinate"])
def test_killed_run_goes_on(tmp_path, whole, engine_calls, stage):
    undisturbed, said, every = whole
    first, last = (
        (19, said["Hessian"])  # behind the first Hessian
        if stage == "refinement"
        else (said["reaction coordinate, step 1"], said["minima"])
    )
    kill = (first + last) // 2
    write(tmp_path / "guess.xyz", GUESS)
    killed(tmp_path, kill, "dimer", code=REFINED)
    file = tmp_path / "ts.json"
    stored = json.loads(file.read_text())
    heard = []
    found = ts(GUESS, MLSEQM(method="PM3"), DIMER, checkpoint=file, callback=heard.append)
    same(found, undisturbed)
    assert not list(tmp_path.glob("ts.minima*"))
    # what a step of the dimer, or of the reaction coordinate, has computed may be lost
    assert sum(engine_calls) <= every - kill + 12
    if stage == "refinement":
        assert 0 < stored["steps"] < undisturbed.steps
        assert stored["saddle"] is None
        assert found.steps == pytest.approx(undisturbed.steps, abs=3)
        return
    kept = [len(side) for side in stored["sides"]]
    assert min(kept) > 10
    assert heard[0] == f"reaction coordinate, step {kept[0] + 1}"
    for minimum, frames in zip(found.minima, stored["sides"], strict=True):
        for atoms, frame in zip(minimum.path, frames, strict=False):
            np.testing.assert_array_equal(atoms.positions, frame["positions"])
    lengths = [[len(minimum.path) for minimum in run.minima] for run in (found, undisturbed)]
    assert lengths[0] == lengths[1]


@pytest.mark.slow
def test_killed_run_of_sella_goes_on(tmp_path, engine_calls):
    pytest.importorskip("sella")
    config = TSConfig(refiner="sella")
    undisturbed = ts(GUESS, MLSEQM(method="PM3"), config)
    every = sum(engine_calls)
    write(tmp_path / "guess.xyz", GUESS)
    for part in (0.15, 0.6):
        killed(tmp_path, int(part * every), "sella", code=REFINED)
    engine_calls.clear()
    found = ts(GUESS, MLSEQM(method="PM3"), config, checkpoint=tmp_path / "ts.json")
    same(found, undisturbed)
    assert sum(engine_calls) < 0.6 * every


def test_killed_command_for_path_and_transition_state_goes_on(tmp_path, monkeypatch, engine_calls):
    """Killed behind the path, in the transition state: neither is computed again."""
    monkeypatch.chdir(tmp_path)
    for name, atoms in zip(("hcn", "hnc"), isomerisation(), strict=True):
        write(f"{name}.xyz", atoms)
    line = ["neb", "hcn.xyz", "hnc.xyz", "--method", "PM3", "--images", "7"]

    def barriers(out):
        engine_calls.clear()
        assert cli.main([*line, "--ts", "--out", out]) == 0
        (file,) = (tmp_path / out).glob("*_ts.json")
        result = json.loads(file.read_text())["result"]
        return result["barriers"], sum(engine_calls)

    assert cli.main([*line, "--out", "path"]) == 0
    path = sum(engine_calls)
    undisturbed, every = barriers("whole")
    kill = (path + every) // 2
    killed(tmp_path, kill, *line, "--ts", "--out", "cut")
    assert not list((tmp_path / "cut").glob("*_ts.json"))
    found, rest = barriers("cut")
    assert found == pytest.approx(undisturbed, abs=1e-4)
    assert rest <= every - kill + 40


@pytest.mark.parametrize("refiner", ["dimer", pytest.param("sella", marks=pytest.mark.slow)])
def test_nothing_is_done_twice(tmp_path, engine_calls, refiner):
    """One that was given up goes on with more steps; what is finished is only read."""
    if refiner == "sella":
        pytest.importorskip("sella")
    file, calc = tmp_path / "ts.json", MLSEQM(method="PM3")
    config = TSConfig(refiner=refiner, irc=False)
    reactant, product = isomerisation()

    def run(**changes):
        engine_calls.clear()
        settings = dataclasses.replace(config, **changes)
        return ts(GUESS, calc, settings, reactant=reactant, product=product, checkpoint=file)

    part = run(max_steps=2)
    assert "not refined in 2 steps" in part.message
    found = run()
    assert found.converged
    assert found.steps > 2
    again = run(temperature=500.0, symmetry_numbers=(1, 1, 2))
    assert sum(engine_calls) == 0
    assert again.barriers == found.barriers
    assert again.activation.temperature == 500.0
    assert again.vibrations.atoms.calc.results.keys() == found.atoms.calc.results.keys()
    for one, other in zip(again.minima, found.minima, strict=True):
        np.testing.assert_array_equal(one.atoms.get_forces(), other.atoms.get_forces())
        np.testing.assert_array_equal(one.vibrations.hessian, other.vibrations.hessian)


def test_files_of_other_runs_are_not_used(tmp_path, engine_calls):
    file = tmp_path / "ts.json"
    config = dataclasses.replace(DIMER, irc=False, max_steps=1)

    def run(guess=GUESS, method="PM3", **changes):
        engine_calls.clear()
        ts(guess, MLSEQM(method=method), dataclasses.replace(config, **changes), checkpoint=file)
        return sum(engine_calls)

    assert run() > 20
    moved = GUESS.copy()
    moved.positions += 1e-6  # as much as a file of a path rounds
    assert run(moved) == 0
    moved.positions[0, 0] += 0.01
    assert run(moved) > 20
    assert run(method="AM1") > 20
    assert run(method="AM1", fmax=0.01) > 20
    file.write_text("")
    assert run(method="AM1", fmax=0.01) > 20
    whole = file.read_text()
    for content in ("nonsense", "[]", "{}", whole[: len(whole) // 2]):
        file.write_text(content)
        with pytest.raises(InputError, match=r"ts\.json cannot be read as a checkpoint of a trans"):
            run(method="AM1", fmax=0.01)
        assert file.read_text() == content
    file.write_text(whole)
    assert run(method="AM1", fmax=0.01) == 0


class Foreign(Calculator):
    """PM3, one molecule at a time, that stops when ``left`` is used up."""

    implemented_properties = ("energy", "forces")
    left = 1000

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        work = self.atoms.copy()
        work.calc = MLSEQM(method="PM3")
        self.results = {"energy": work.get_potential_energy(), "forces": work.get_forces()}


def test_displaced_results_are_kept(tmp_path):
    file = tmp_path / "ts.json"
    config = dataclasses.replace(DIMER, irc=False)
    calc = Foreign()
    said = []
    whole = ts(GUESS, calc, config, callback=lambda text: said.append(calc.left))
    cut = Foreign()
    cut.left = 1000 - said[1] + 15  # 15 of the 18 displacements at the saddle point
    with pytest.raises(KeyboardInterrupt):
        ts(GUESS, cut, config, checkpoint=file)
    rest = Foreign()
    found = ts(GUESS, rest, config, checkpoint=file)
    assert found.vibrations.frequencies == pytest.approx(whole.vibrations.frequencies, abs=0.01)
    assert 1000 - rest.left <= 5
    assert [path.name for path in tmp_path.iterdir()] == ["ts.json"]


def test_command_does_nothing_twice(tmp_path, monkeypatch, engine_calls):
    monkeypatch.chdir(tmp_path)
    other = GUESS.copy()
    other.positions[0, 1] += 0.03
    write("many.xyz", [GUESS, other])
    line = ["ts", "many.xyz", "--method", "PM3", "--no-irc", "--refiner", "dimer", "--out", "o"]

    def results():
        assert cli.main(line) == 0
        files = sorted((tmp_path / "o").glob("many_*_ts.json"))
        return [json.loads(file.read_text())["result"] for file in files]

    first = results()
    assert len(first) == 2
    engine_calls.clear()
    assert results() == first
    assert sum(engine_calls) == 2  # for the properties in the report
