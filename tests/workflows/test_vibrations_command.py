"""The command ``mlseqm vib``: its files, bad input, and that it goes on where it stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write
from PIL import Image
from reactions import planar

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli import app as cli
from ase_mlseqm.runs import vibrations as runs_vibrations
from ase_mlseqm.workflows.normal_modes import (
    spectrum,
)
from ase_mlseqm.workflows.vibrations import (
    VibrationsConfig,
    VibrationsResult,
    mode_frames,
    vibrations,
)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("water.xyz", molecule("H2O"))
    assert cli.main(["vib", "water.xyz", "--method", "PM3", "--out", "o"]) == 0
    assert "1742.1" in capsys.readouterr().out
    stored = json.loads(Path("o/water_vib.json").read_text())
    result = VibrationsResult.from_dict(stored["result"])
    assert stored["units"]["intensities"] == "km/mol" and stored["method"] == "PM3"
    rows = np.loadtxt("o/water_spectrum.csv", delimiter=",", skiprows=1)
    expected = spectrum(result.frequencies, result.intensities, rows[:, 0], 20.0)
    np.testing.assert_allclose(rows[:, 1], expected, rtol=1e-4, atol=1e-5)
    with Image.open("o/water_spectrum.png") as image:
        assert min(image.size) > 500
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert (0x1F, 0x4E, 0x79) in colours
    for index in range(3):
        frames = read(f"o/water_modes/mode_{index + 1:03d}.extxyz", ":")
        assert len(frames) == 20
        assert frames[0].info["frequency"] == pytest.approx(result.frequencies[index], abs=1e-4)
        furthest = frames[5].positions - frames[0].positions
        overlap = (furthest * result.modes[index]).sum() / np.linalg.norm(furthest)
        assert overlap == pytest.approx(1.0, abs=1e-5)
        assert np.linalg.norm(furthest, axis=1).max() == pytest.approx(0.25, abs=1e-4)
    assert read("o/water_vib.extxyz").get_potential_energy() == pytest.approx(result.energy)
    assert len(mode_frames(result, 0, 4)) == 4


def test_command_with_bad_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("planar.xyz", [planar(), Atoms("U")])
    line = ["vib", "planar.xyz", "--method", "PM3", "--no-spectrum", "--no-animate", "--json"]
    assert cli.main(line) == 2
    out, err = capsys.readouterr()
    (only,) = json.loads(out)["molecules"]
    assert only["vibrations"]["n_imaginary"] == 1
    assert "planar.xyz@0: 1 imaginary mode" in err and "planar.xyz@1: " in err
    assert cli.main([*line[:2], "--shape", "square"]) == 2
    assert "unknown shape 'square'" in capsys.readouterr().err
    assert cli.main([*line, "--max-steps", "0"]) == 2
    assert "not converged in 0 steps" in capsys.readouterr().err


def test_command_computes_frames_together(tmp_path, monkeypatch, capsys, engine_calls):
    """The first frame alone, then two, then the rest; a bad one harms no other."""
    monkeypatch.chdir(tmp_path)
    frames = [molecule("H2O"), Atoms("U"), molecule("HCN"), molecule("NH3"), molecule("H2CO")]
    write("many.xyz", frames)
    line = ["vib", "many.xyz", "--method", "PM3", "--no-spectrum", "--no-animate", "--json"]
    assert cli.main([*line, "--out", "a"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [entry["frame"] for entry in report["molecules"]] == [0, 2, 3, 4]
    displaced = [size for size in engine_calls if size > 4]
    assert displaced == [9, 9, 9, 9, 3 * (4 + 4), 3 * (4 + 4)]
    for entry in report["molecules"]:
        config = VibrationsConfig()
        single = vibrations(frames[entry["frame"]], MLSEQM(method="PM3"), config)
        np.testing.assert_allclose(
            entry["vibrations"]["frequencies"], single.frequencies, rtol=1e-6
        )
        assert entry["energy"] == pytest.approx(single.energy, abs=1e-6)
    # an interruption keeps the chunks that are done
    original, calls = runs_vibrations.vibrations, []

    def stopped(structures, *args, **keywords):
        calls.append(len(structures))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(structures, *args, **keywords)

    monkeypatch.setattr(runs_vibrations, "vibrations", stopped)
    assert cli.main([*line, "--out", "b"]) == 130
    assert [path.name for path in sorted(Path("b").glob("*_vib.json"))] == [
        "many_0000_vib.json",
        "mlseqm_vib.json",
    ]
    assert cli.main([*line, "--out", "b"]) == 2
    # the first frame is not computed again, and says nothing of how many to compute together
    assert calls == [1, 2, 1, 2, 1]


def test_frames_that_are_read_make_no_large_chunks(tmp_path, monkeypatch, capsys):
    """Thousands that are known would be followed by thousands that are computed at once."""
    monkeypatch.chdir(tmp_path)
    frames = [Atoms("H2", [(0, 0, 0), (0, 0, 0.7 + 0.001 * k)]) for k in range(40)]
    write("many.xyz", frames)
    line = ["--method", "PM3", "--no-spectrum", "--no-animate", "--json", "--no-relax"]
    assert cli.main(["vib", "many.xyz@:36", *line]) == 0
    original, calls = runs_vibrations.vibrations, []

    def counted(structures, *args, **keywords):
        calls.append(len(structures))
        return original(structures, *args, **keywords)

    monkeypatch.setattr(runs_vibrations, "vibrations", counted)
    assert cli.main(["vib", "many.xyz", *line]) == 0
    assert calls == [1, 2, 1]
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [entry["frame"] for entry in report["molecules"]] == list(range(40))


def test_killed_run_goes_on(tmp_path, monkeypatch):
    """What was written is used; the rest is computed; the answers are those of one run."""
    names = ["CH3OH", "C2H6", "CH3CHO", "H2CO"]
    write(tmp_path / "many.xyz", [molecule(name) for name in names])
    line = [sys.executable, "-m", "ase_mlseqm", "vib", "many.xyz", "--method", "PM3"]
    line += ["--no-animate", "--no-spectrum", "--out"]
    first = tmp_path / "a" / "many_0000_vib.json"
    job = subprocess.Popen([*line, "a"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not first.exists() and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not (tmp_path / "a" / "mlseqm_vib.json").exists()
    kept = first.stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    for out in "ab":
        assert cli.main([*line[3:], out]) == 0
    assert first.stat().st_mtime_ns == kept
    for index in range(len(names)):
        runs = (tmp_path / run / f"many_{index:04d}_vib.json" for run in "ab")
        one, other = (json.loads(path.read_text())["result"] for path in runs)
        np.testing.assert_allclose(one["frequencies"], other["frequencies"], atol=0.01)
