"""Hessians and phonons that were cut off: what was computed is not computed again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculatorError
from ase.io import write
from helpers import recorded
from killing import COMMAND, killed
from reactions import planar

from ase_mlseqm import MLSEQM, displaced
from ase_mlseqm.cli import app as cli
from ase_mlseqm.engine import Engine
from ase_mlseqm.workflows import fingerprint
from ase_mlseqm.workflows.hessians import second_derivatives
from ase_mlseqm.workflows.phonons import PhononsConfig, phonons
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

CAFFEINE = Path(__file__).parents[2] / "examples" / "caffeine.xyz"
DISPLACED, FIELDS = 6 * 24, 13
OPTIONS = {
    "vib": ["--no-spectrum", "--no-animate"],
    "thermo": ["--no-figure", "--symmetry-number", "1"],
    "phonons": ["--no-figure"],
}


def line(command, out):
    return [command, "caffeine.xyz", "--method", "PM3", *OPTIONS[command], "--out", out]


def results(out, suffix):
    """Frequencies above 50 cm-1, below which a relaxed structure is too soft, and intensities."""
    found = json.loads((Path(out) / f"caffeine_{suffix}.json").read_text())["result"]
    frequencies = np.array(found["frequencies"])
    high = frequencies > 50.0
    return frequencies[high], np.array(found.get("intensities", frequencies))[high]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work where caffeine.xyz is."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(CAFFEINE, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder with the results of a run of a command on caffeine, and the molecules it computed."""
    known = {}

    def get(command):
        if command not in known:
            with pytest.MonkeyPatch.context() as patch:
                folder = tmp_path_factory.mktemp(command)
                patch.chdir(folder)
                shutil.copy(CAFFEINE, folder)
                calls = recorded(patch)
                assert cli.main(line(command, "whole")) == 0
                known[command] = folder / "whole", sum(calls)
        return known[command]

    return get


@pytest.fixture
def small_parts(monkeypatch):
    """One displacement a part."""
    monkeypatch.setattr(displaced, "FIRST", 1.0)
    monkeypatch.setattr(displaced, "PART_SECONDS", 0.0)


@pytest.fixture
def stop(monkeypatch, engine_calls):
    """Let Ctrl-C come when the engine is asked for more than so many molecules from now on."""
    run = Engine.run

    def after(left):
        def stopping(self, molecules, *args, **keywords):
            if left is not None and sum(engine_calls) + len(molecules) > left:
                raise KeyboardInterrupt
            return run(self, molecules, *args, **keywords)

        monkeypatch.setattr(Engine, "run", stopping)
        engine_calls.clear()

    return after


def kept(path):
    """Names of the results in a file."""
    return [json.loads(text)[1] for text in Path(path).read_text().splitlines()]


@pytest.mark.parametrize(
    ("first", "second"), [("vib", "vib"), ("vib", "thermo"), ("phonons", "phonons")]
)
def test_killed_hessian_goes_on(folder, undisturbed, engine_calls, first, second):
    """Caffeine, killed behind half of its displacements; thermo goes on where vib was."""
    whole, every = undisturbed(first)
    suffix = "phonons" if first == "phonons" else "vib"
    killed(folder, every - DISPLACED // 2, *line(first, "cut"))
    relaxed, *numbers = kept(Path("cut") / f"caffeine_{suffix}_unfinished.jsonl")
    assert relaxed == "relaxed" and len(set(numbers)) == len(numbers)
    assert DISPLACED // 4 < len(numbers) < DISPLACED
    engine_calls.clear()
    assert cli.main(line(second, "cut")) == 0
    # the undisplaced molecule with all properties, and with the tight SCF
    assert sum(engine_calls) == 2 + DISPLACED - len(numbers)
    for found, expected in zip(results("cut", suffix), results(whole, suffix), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert not list(folder.glob("*/*unfinished*"))


def test_killed_relaxation_goes_on(folder, undisturbed, engine_calls):
    whole, every = undisturbed("vib")
    steps = every - DISPLACED
    killed(folder, steps // 2, *line("vib", "cut"))
    assert [path.suffix for path in Path("cut").iterdir()] == [".relaxation"]
    engine_calls.clear()
    assert cli.main(line("vib", "cut")) == 0
    assert sum(engine_calls) < every - steps // 4
    for found, expected in zip(results("cut", "vib"), results(whole, "vib"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1.0)
    assert not list(folder.glob("*/*unfinished*"))


def test_killed_raman_goes_on(folder, engine_calls):
    """In the middle of the calculations in fields: all that was before is only read."""
    write("caffeine.xyz", molecule("CH3OH"))
    assert cli.main([*line("vib", "whole"), "--raman"]) == 0
    every = sum(engine_calls)
    killed(folder, every - FIELDS // 2, *line("vib", "cut"), "--raman")
    assert len(kept("cut/caffeine_vib_unfinished.jsonl")) == 1 + 36
    engine_calls.clear()
    assert cli.main([*line("vib", "cut"), "--raman"]) == 0
    assert sum(engine_calls) == 1 + FIELDS
    one, other = (
        json.loads(Path(out, "caffeine_vib.json").read_text())["result"] for out in ("whole", "cut")
    )
    for name, digits in {
        "frequencies": 1e-4,
        "raman_activities": 1e-2,
        "polarizability": 1e-5,
    }.items():
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=digits)


def test_torn_file(folder, capsys, engine_calls, small_parts, stop):
    """Of a file that was cut off somewhere the whole lines are used; one sentence says so."""
    write("caffeine.xyz", molecule("CH3OH"))
    assert cli.main(line("vib", "whole")) == 0
    stop(sum(engine_calls) - 10)
    assert cli.main(line("vib", "cut")) == 130
    file = Path("cut/caffeine_vib_unfinished.jsonl")
    content = file.read_bytes()
    file.write_bytes(content[:-40])
    assert len(kept_before := content.splitlines()) == 1 + 36 - 10
    stop(None)
    capsys.readouterr()
    assert cli.main(line("vib", "cut")) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "unfinished.jsonl was cut off: 1 broken line of it is ign" in said[0]
    # both of the pair that lacks one
    assert sum(engine_calls) == 2 + 36 - (len(kept_before) - 1) + 2
    for found, expected in zip(results("cut", "vib"), results("whole", "vib"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    # nothing of it is of use
    file.parent.joinpath("caffeine_vib.json").unlink()
    for torn in (b"", b"[", b'["a', b'["a\n["b", 3'):
        file.write_bytes(torn)
        engine_calls.clear()
        assert cli.main(line("vib", "cut")) == 0
        assert sum(engine_calls) > 36
        file.parent.joinpath("caffeine_vib.json").unlink()
    # it is something else
    for content in (b"nonsense", b'{"key": 1}\n[1, 2]\n[1, 2, 3]', b"\xff\x00\n"):
        file.write_bytes(content)
        capsys.readouterr()
        assert cli.main(line("vib", "cut")) == 2
        assert "unfinished.jsonl has no results of an earlier run" in capsys.readouterr().err
        assert file.read_bytes() == content


def test_files_of_other_calculations_are_not_used(tmp_path, monkeypatch, engine_calls):
    cache = tmp_path / "cache.jsonl"
    water = molecule("H2O")

    def count(atoms=water, step=None, **keywords):
        engine_calls.clear()
        found = second_derivatives(atoms, MLSEQM(**{"method": "PM3"} | keywords), step, cache=cache)
        return sum(engine_calls), found

    first, expected = count()
    assert first == 2 + 18
    again, found = count()
    assert again == 1
    np.testing.assert_array_equal(found.hessian, expected.hessian)
    np.testing.assert_array_equal(found.dipole_derivatives, expected.dipole_derivatives)
    moved, radical = water.copy(), water.copy()
    moved.positions[0, 0] += 1e-7
    radical.info["charge"] = 1
    changes = [
        {"atoms": moved},
        {"atoms": radical},
        {"step": 2e-3},
        {"method": "AM1"},
        {"method": None},
        {"tolerance": 1e-10},
        {"field": (0.0, 0.0, 0.1)},
        {"multiplicity": 3},
        {"unrestricted": True},
    ]
    for change in changes:
        assert count(**change)[0] == 2 + 18, change
        assert count(**change)[0] == 1, change
    # a model of the same name that was trained on

    class Other:
        sha256 = "other"

    monkeypatch.setattr(fingerprint, "model_file", lambda name: Other)
    assert count(method=None)[0] == 2 + 18
    assert count()[0] == 1


def test_many_molecules_go_on(tmp_path, engine_calls, small_parts, stop):
    """With two that fail, relaxed and displaced together."""
    unclear = Atoms("H", charges=[0.3])
    some = [molecule("H2O"), Atoms("U"), molecule("HCN"), molecule("NH3"), unclear]
    config = VibrationsConfig(fmax=1e-4)
    whole = vibrations(some, MLSEQM(method="PM3"), config)
    every, cache = sum(engine_calls), tmp_path / "cache.jsonl"
    for left in (20, every - 20):
        stop(left)
        with pytest.raises(KeyboardInterrupt):
            vibrations(some, MLSEQM(method="PM3"), config, cache=cache)
    stop(None)
    found = vibrations(some, MLSEQM(method="PM3"), config, cache=cache)
    assert sum(engine_calls) <= 3 + 3 + 20
    assert isinstance(found[1], CalculatorError) and "whole number" in str(found[4])
    for k in (0, 2, 3):
        np.testing.assert_allclose(found[k].frequencies, whole[k].frequencies, atol=0.05)
    engine_calls.clear()
    again = vibrations(some, MLSEQM(method="PM3"), config, cache=cache)
    assert sum(engine_calls) == 3
    np.testing.assert_array_equal(again[3].frequencies, found[3].frequencies)
    assert [path.name for path in tmp_path.iterdir()] == ["cache.jsonl"]


def test_following_goes_on(tmp_path, engine_calls, small_parts, stop):
    """Cut off in the second round, behind the imaginary mode: the first is only read."""
    config, cache = VibrationsConfig(follow=1), tmp_path / "cache.jsonl"
    whole = vibrations(planar(), MLSEQM(method="PM3"), config)
    stop(sum(engine_calls) - 6)
    with pytest.raises(KeyboardInterrupt):
        vibrations(planar(), MLSEQM(method="PM3"), config, cache=cache)
    stop(None)
    found = vibrations(planar(), MLSEQM(method="PM3"), config, cache=cache)
    # before and behind the push once each, both sides, the tight SCF, and what was missing
    assert sum(engine_calls) == 1 + 2 + 1 + 1 + 6
    np.testing.assert_allclose(found.frequencies, whole.frequencies, atol=1e-4)
    assert not found.messages


def test_phonons_with_symmetry_go_on(tmp_path, engine_calls, small_parts, stop):
    config, cache = PhononsConfig(fmax=1e-4), tmp_path / "cache.jsonl"
    seen = []
    whole = phonons(molecule("CH4"), MLSEQM(method="PM3"), config)
    assert whole.calculations < 30
    stop(sum(engine_calls) - 2)
    with pytest.raises(KeyboardInterrupt):
        phonons(molecule("CH4"), MLSEQM(method="PM3"), config, cache=cache)
    stop(None)
    found = phonons(
        molecule("CH4"),
        MLSEQM(method="PM3"),
        config,
        cache=cache,
        callback=lambda *step: seen.append(step),
    )
    assert sum(engine_calls) == 2 + 2
    assert seen == [(whole.calculations - 1, whole.calculations), (whole.calculations,) * 2]
    np.testing.assert_allclose(found.internal, whole.internal, atol=1e-4)


@pytest.mark.parametrize("stage", ["relaxation", "displacements"])
def test_frames_behind_some_that_fail_go_on(folder, engine_calls, capsys, stage):
    """These are computed again, by themselves; what is kept of those behind them stays."""
    frames = [molecule("H2O"), Atoms("U"), Atoms("U"), molecule("CH3OH"), molecule("HCN")]
    write("caffeine.xyz", frames)
    assert cli.main(line("vib", "whole")) == 2
    every = sum(engine_calls)
    ends = 2 + 2 + 36 + 18  # of the last chunk, relaxed: all properties, tight SCF, displaced
    kill = every - 2 - (ends + 1 if stage == "relaxation" else 20)  # 2 for the table of results
    killed(folder, kill, *line("vib", "cut"), code="displaced.FIRST = 1.0\n" + COMMAND)
    file = Path("cut/caffeine_vib_unfinished.jsonl")
    done = len(kept(file))
    engine_calls.clear()
    assert cli.main(line("vib", "cut")) == 2
    # than if all were relaxed; 1 for water's table, 1 for each that fails, as they are alone now,
    # and HCN, which is alone, too, is computed once less
    more = sum(engine_calls) - (1 + ends + 2 + 2 - 1)
    if stage == "relaxation":
        assert done == 1  # HCN
        assert 0 < more <= 5
    else:
        assert done - 2 == 36 + 18 - 20 == -more
    for k in (3, 4):
        runs = (Path(out) / f"caffeine_{k:04d}_vib.json" for out in ("whole", "cut"))
        one, other = (json.loads(path.read_text())["result"]["frequencies"] for path in runs)
        np.testing.assert_allclose(one, other, atol=0.5 if stage == "relaxation" else 1e-4)
    assert not list(folder.glob("*/*unfinished*"))
