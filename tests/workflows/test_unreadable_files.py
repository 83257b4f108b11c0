"""Files from which a run was to go on, and which cannot be read: nothing is lost without a word."""

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import read, write
from reactions import hop
from springs import Springs

from ase_mlseqm.cli import app as cli
from ase_mlseqm.errors import InputError
from ase_mlseqm.workflows import checkpoints
from ase_mlseqm.workflows.interrupted import Interrupted
from ase_mlseqm.workflows.journal import Journal
from ase_mlseqm.workflows.md import dynamics
from ase_mlseqm.workflows.md_config import MDConfig
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.trajectory import Extxyz

WATER = molecule("H2O")


def cut(path):
    """A file that lacks its last half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path.read_bytes()


def stopped(file, steps, **files):
    """A relaxation with Ctrl-C behind some steps."""

    def step(number, *_):
        if number == steps:
            raise KeyboardInterrupt

    calc = Springs(np.zeros((3, 3)), k=1.0)
    with pytest.raises(Interrupted):
        relax(WATER, calc, checkpoint=file, callback=step, **files)


@pytest.mark.parametrize("many", [False, True])
def test_checkpoint_of_relaxations_that_is_a_file_of_structures(tmp_path, many):
    file = tmp_path / "water.xyz"
    write(file, WATER)
    content = file.read_bytes()
    systems = [WATER, WATER] if many else WATER
    with pytest.raises(InputError, match=r"water\.xyz cannot be read as a checkpoint of relax"):
        relax(systems, EMT(), RelaxConfig(max_steps=1), checkpoint=file)
    assert file.read_bytes() == content


def test_checkpoint_of_relaxations_that_was_cut_off(tmp_path):
    file = tmp_path / "c.extxyz"
    stopped(file, 3)
    content = cut(file)
    with pytest.raises(InputError, match="remove it to start anew, or write elsewhere"):
        relax(WATER, Springs(np.zeros((3, 3))), checkpoint=file)
    assert file.read_bytes() == content


def test_trajectory_of_a_relaxation_that_goes_on(tmp_path, monkeypatch):
    """Steps are not made once more because the file that is to have them was damaged."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    file, steps = tmp_path / "c.extxyz", tmp_path / "steps.traj"
    stopped(file, 4, trajectory=steps)
    kept, content = file.read_bytes(), cut(steps)
    calc = Springs(np.zeros((3, 3)), k=1.0)
    with pytest.raises(InputError, match=r"does not hold the \d steps from which the relaxation"):
        relax(WATER, calc, checkpoint=file, trajectory=steps)
    assert (file.read_bytes(), steps.read_bytes(), calc.calls) == (kept, content, 0)
    steps.unlink()
    with pytest.warns(UserWarning, match=r"steps\.traj is to have all steps"):
        relax(WATER, calc, checkpoint=file, trajectory=steps)
    assert (read(steps, 0).positions == WATER.positions).all()


def test_checkpoint_of_a_path(tmp_path):
    file = tmp_path / "path.extxyz"
    neb(*hop(), EMT(), NEBConfig(images=4, max_steps=2), path=file)
    stored = tmp_path / "path.checkpoint.npz"
    whole, images = stored.read_bytes(), file.read_bytes()
    for content in (b"nonsense", whole[: len(whole) // 2]):
        stored.write_bytes(content)
        with pytest.raises(InputError, match=r"npz cannot be read as a checkpoint of a path \(it"):
            neb(*hop(), EMT(), NEBConfig(images=4, max_steps=3), path=file)
        assert (stored.read_bytes(), file.read_bytes()) == (content, images)
    stored.unlink()
    with pytest.raises(InputError, match=r"path\.extxyz is there, but not path\.checkpoint\.npz"):
        neb(*hop(), EMT(), NEBConfig(images=4, max_steps=3), path=file)
    assert file.read_bytes() == images
    stored.write_bytes(whole)
    assert neb(*hop(), EMT(), NEBConfig(images=4, max_steps=3), path=file).steps == 3


def test_table_of_dynamics(tmp_path):
    config = MDConfig(steps=4, interval=1)
    calc = Springs(WATER.positions)
    files = dynamics(WATER, calc, config, stem=tmp_path / "w").files
    table = files.table.read_bytes()
    files.table.write_bytes(table.replace(b"\n2,", b"\nx,"))
    with pytest.raises(InputError, match=r"cannot be continued .* move it, w_md\.csv"):
        dynamics(WATER, calc, MDConfig(steps=8, interval=1), stem=tmp_path / "w")


def test_dynamics_without_their_checkpoint_are_not_removed(tmp_path, monkeypatch):
    """Hours of them were, in favour of a new start; what a run leaves at its begin goes."""
    config, calc = MDConfig(steps=4, interval=1), Springs(WATER.positions)
    files = dynamics(WATER, calc, config, stem=tmp_path / "w").files
    kept = files.checkpoint.read_bytes()
    files.checkpoint.unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"w_md\.csv is there, but not w_md\.checkpoint\.npz"):
        dynamics(WATER, calc, config, stem=tmp_path / "w")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    files.checkpoint.write_bytes(kept)
    assert dynamics(WATER, calc, config, stem=tmp_path / "w").completed

    begun = tmp_path / "begun"  # the first line was written, but no checkpoint of it
    monkeypatch.setattr(Extxyz, "append", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dynamics(WATER, calc, config, stem=begun)
    assert (tmp_path / "begun_md.csv").stat().st_size
    monkeypatch.undo()
    assert dynamics(WATER, calc, config, stem=begun).completed
    assert (tmp_path / "begun_md.csv").read_text() == files.table.read_text()


def test_journals_are_not_appended_to_other_files(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("Dear diary\n")
    with pytest.raises(InputError, match=r"notes\.txt has no results of an earlier run, but some"):
        Journal(file)
    for torn in ('["a', '["a\n["b"'):
        file.write_text(torn)
        with pytest.warns(UserWarning, match="was cut off"), Journal(file) as journal:
            journal.keep("key", "name", {"value": 1})
        assert Journal(file).known("key") == {"name": {"value": 1}}


@pytest.fixture
def vib(tmp_path, monkeypatch):
    """The command, in a folder that has a file of results of it."""
    monkeypatch.chdir(tmp_path)
    write("w.xyz", WATER)
    line = ["vib", "w.xyz", "--method", "PM3", "--no-spectrum", "--no-animate", "--out", "out"]
    assert cli.main(line) == 0
    return lambda: cli.main(line), tmp_path / "out" / "w_vib.json"


def test_results_of_the_command_line(vib, capsys, engine_calls):
    run, file = vib
    whole = json.loads(file.read_text())["result"]["frequencies"]
    capsys.readouterr()
    for content in ("", file.read_text()[:200], '{"theirs": 1}', "[]"):
        file.write_text(content)
        assert run() == 0
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and "w_vib.json holds no results that can be used" in said[0]
        assert json.loads(file.read_text())["result"]["frequencies"] == pytest.approx(whole, abs=1)


@pytest.mark.parametrize("number", [1, 2])
def test_relaxations_with_which_the_command_line_begins(vib, capsys, number):
    """They are refused, and not tidied away at the end either."""
    run, file = vib
    file.unlink()
    write("w.xyz", [WATER] * number)
    stored = file.with_name("w_vib_unfinished.jsonl.relaxation")
    stored.write_text("nonsense")
    capsys.readouterr()
    assert run() == 2
    told = capsys.readouterr().err
    assert "checkpoint of relaxations (line 1 is 'nonsense', where the number of atoms" in told
    assert stored.read_text() == "nonsense"
    stored.unlink()
    assert run() == 0


def test_results_that_cannot_be_opened_are_not_computed_again(vib, capsys, engine_calls):
    run, file = vib
    file.unlink()
    file.mkdir()  # as good as without permission, which the superuser always has
    engine_calls.clear()
    capsys.readouterr()
    assert run() == 2
    assert "w_vib.json cannot be read (Is a directory): make it readable" in capsys.readouterr().err
    assert sum(engine_calls) == 0
