"""The command line: exit codes, messages, and that nothing computed is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write
from commands import NEVER, names, several
from helpers import interruptible

from ase_mlseqm import Engine

# bad input


def with_info(**info):
    atoms = molecule("H2O")
    atoms.info.update(info)
    return atoms


def periodic():
    atoms = molecule("H2O")
    atoms.set_cell([9, 9, 9])
    atoms.pbc = True
    return atoms


REFUSED = {
    "element": (Atoms("FeO", [(0, 0, 0), (0, 0, 1.6)]), "PM3 has no parameters for Fe"),
    "odd": (with_info(charge=1, multiplicity=1), "multiplicity 1 is impossible"),
    "duplicate": (Atoms("H2", [(0, 0, 0), (0, 0, 0.01)]), "0.010 Angstrom apart"),
    "nan": (Atoms("H2", [(0, 0, 0), (0, 0, np.nan)]), "atom 1 is not a finite number"),
    "periodic": (periodic(), "periodic cells are not supported yet"),
    "spin": (with_info(spin=0), "give 2S + 1"),
}


@pytest.mark.parametrize("command", ["sp", "relax"])
@pytest.mark.parametrize("name", REFUSED)
def test_molecules_that_cannot_be_computed(mlseqm, folder, command, name):
    atoms, message = REFUSED[name]
    write("bad.extxyz", atoms)
    code, out, err = mlseqm(command, "bad.extxyz")
    assert code == 2
    assert out == ""
    assert err.startswith("mlseqm: bad.extxyz: ")
    assert message in err
    assert err.count("\n") == 1
    assert names(folder) == ["bad.extxyz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sp", "none.xyz"], "none.xyz: no such file"),
        (["relax", "none.xyz@3"], "none.xyz: no such file"),
        (["sp", "broken.xyz"], "broken.xyz: cannot be read"),
        (["sp", "text.txt"], "text.txt: cannot be read"),
        (["sp", "empty.xyz"], "empty.xyz: "),
        (["sp", "w.xyz@5"], "w.xyz@5: no such frame, there are 1"),
        (["sp", "w.xyz@x"], "'x' is no index"),
        (["sp", "w.xyz", "--method", "PM6"], "unknown method 'PM6': choose one of MNDO, AM1, PM3"),
        (["relax", "w.xyz", "--method", "PM6"], "unknown method 'PM6'"),
        (["sp", "w.xyz", "--device", "abacus"], "unknown device 'abacus'"),
        (["relax", "w.xyz", "--device", "abacus"], "unknown device 'abacus'"),
        (["sp", "w.xyz", "--frobnicate"], "--frobnicate"),
        (["sp", "w.xyz", "--charge", "1.5"], "--charge"),
        (["sp", "w.xyz", "--multiplicity", "0"], "multiplicity is 0"),
        (["sp", "w.xyz", "--field", "0", "0"], "--field"),
        (["sp", "w.xyz", "--field", "0", "0", "nan"], "three finite numbers"),
        (["sp", "w.xyz", "--properties", "colour"], "unknown property 'colour'"),
        (["sp", "w.xyz", "--out", "w.xyz"], "cannot write to w.xyz"),
        (["relax", "w.xyz", "--optimizer", "Newton"], "unknown optimizer 'Newton'"),
        (["relax", "w.xyz", "--fmax", "0"], "fmax is 0.0: give a positive number"),
        (["relax", "w.xyz", "--steps", "-1"], "max_steps is -1"),
        (["sp"], "FILE"),
        (["optimise", "w.xyz"], "optimise"),
    ],
)
def test_input_that_makes_no_sense(mlseqm, folder, arguments, message):
    write("w.xyz", molecule("H2O"))
    (folder / "broken.xyz").write_text("3\n\nO 0 0 0\nH 0 0\n")
    (folder / "text.txt").write_text("Dear reader,\n")
    (folder / "empty.xyz").write_text("")
    before = names(folder)
    code, out, err = mlseqm(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("mlseqm: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert names(folder) == before


@pytest.mark.parametrize("command", ["sp", "relax"])
def test_one_bad_frame_does_not_lose_the_others(mlseqm, folder, command):
    good = several("H2O", "HF")
    write("mixed.extxyz", [good[0], REFUSED["element"][0], REFUSED["duplicate"][0], good[1]])
    code, out, err = mlseqm(command, "none.xyz", "mixed.extxyz", "--json")
    assert code == 2
    report = json.loads(out)
    assert [entry["frame"] for entry in report["molecules"]] == [0, 3]
    assert report["results"]["converged"] == 2
    lines = err.splitlines()
    assert len(lines) == len(report["results"]["refused"]) == 3
    for start in ("none.xyz: ", "mixed.extxyz@1: ", "mixed.extxyz@2: "):
        assert sum(line.startswith(f"mlseqm: {start}") for line in lines) == 1
    suffix = {"sp": "sp", "relax": "relaxed"}[command]
    frames = read(f"mixed_{suffix}.extxyz", ":")
    assert [atoms.get_chemical_formula() for atoms in frames] == ["H2O", "HF"]


def test_frames_before_a_broken_one_are_computed(mlseqm, folder):
    write("a.traj", several("H2O", "HF"))
    with open("a.xyz", "w") as file:
        file.write("1\n\nC 0 0 0\n1\n\nO 0 0 zero\n")
    code, _, err = mlseqm("sp", "a.traj", "a.xyz")
    assert code == 2
    assert "a.xyz: cannot be read" in err
    assert len(read("a_sp.extxyz", ":")) == 2


# what does not converge


def test_unconverged_single_points(mlseqm):
    write("a.extxyz", several("H2O", "HF"))
    code, out, err = mlseqm("sp", "a.extxyz", "--json", *NEVER)
    assert code == 1
    assert len(err.splitlines()) == 2
    assert "a.extxyz@0: the SCF did not converge" in err
    report = json.loads(out)
    assert report["results"]["unconverged"] == ["a.extxyz@0", "a.extxyz@1"]
    for entry in report["molecules"]:
        assert entry["converged"] is False
        assert entry["energy"] is None
        assert entry["iterations"] > 0
    for atoms in read("a_sp.extxyz", ":"):
        assert not atoms.info["converged"]
        assert atoms.info["status"] == "unconverged"
        assert atoms.calc is None
    assert "NO" in mlseqm("sp", "a.extxyz", *NEVER)[1]


def test_unconverged_relaxations(mlseqm):
    write("a.extxyz", several("H2O", "HF"))
    code, out, err = mlseqm("relax", "a.extxyz", "--steps", "1", "--fmax", "1e-5", "--json")
    assert code == 1
    assert [line[:20] for line in err.splitlines()] == [
        "mlseqm: a.extxyz@0: ",
        "mlseqm: a.extxyz@1: ",
    ]
    for entry in json.loads(out)["molecules"]:
        assert entry["converged"] is False
        assert entry["relaxation"]["steps"] == 1
        assert entry["energy"] == pytest.approx(entry["relaxation"]["energies"][-1], abs=1e-9)
    for atoms in read("a_relaxed.extxyz", ":"):
        assert not atoms.info["relaxed"]
        assert atoms.info["converged"]  # the SCF, not the relaxation
    code, out, err = mlseqm("relax", "a.extxyz", *NEVER)
    assert code == 1
    assert "a.extxyz@1: HF: the SCF did not converge" in err
    for atoms in read("a_relaxed.extxyz", ":"):
        assert not atoms.info["converged"]
        assert atoms.calc is None


# interruption


def interrupt_after(monkeypatch, calls):
    """Ctrl-C instead of a batch, after some of them."""
    done = []
    original = Engine._run_batch

    def run(self, *args, **keywords):
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(None)
        return original(self, *args, **keywords)

    monkeypatch.setattr(Engine, "_run_batch", run)


def test_interrupted_single_points_are_kept(mlseqm, monkeypatch):
    write("a.extxyz", several("H2O", "C6H6", "CH4"))  # of sizes that do not go into one batch
    interrupt_after(monkeypatch, 1)
    code, out, err = mlseqm("sp", "a.extxyz", "--json")
    assert code == 130
    assert "interrupted; 1 molecules were computed" in err
    report = json.loads(out)
    assert report["results"]["interrupted"] is True
    (frame,) = read("a_sp.extxyz", ":")
    assert frame.get_chemical_formula() == "C6H6"
    assert report["molecules"][0]["frame"] == 1


def test_what_did_not_converge_does_not_count(mlseqm, monkeypatch):
    write("a.extxyz", several("H2O", "C6H6"))
    interrupt_after(monkeypatch, 1)
    code, _, err = mlseqm("sp", "a.extxyz", *NEVER)
    assert code == 130
    assert "interrupted; 0 molecules were computed" in err


def test_interrupted_relaxations_are_kept(mlseqm, monkeypatch):
    write("a.extxyz", several("H2", "C2H6", "CH4"))
    first = json.loads(mlseqm("relax", "a.extxyz@0", "--json")[1])["molecules"][0]
    # one more for whether its state is the lowest
    interrupt_after(monkeypatch, first["relaxation"]["steps"] + 2 + 3)
    code, out, err = mlseqm("relax", "a.extxyz", "--json", "--trajectory")
    assert code == 130
    assert "C2H6" not in err
    assert "interrupted; the same command goes on from what was written" in err
    report = json.loads(out)
    assert [entry["relaxation"]["steps"] for entry in report["molecules"]] == [
        first["relaxation"]["steps"],
        2,
    ]
    frames = read("a_relaxed.extxyz", ":")
    assert [bool(atoms.info["relaxed"]) for atoms in frames] == [True, False]
    assert len(read("a_0001.traj", ":")) == 3


def test_interruption_before_anything(mlseqm, monkeypatch, folder):
    write("a.xyz", molecule("H2O"))
    interrupt_after(monkeypatch, 0)
    for command in ("sp", "relax"):
        code, out, _ = mlseqm(command, "a.xyz")
        assert code == 130
        assert out == ""
    assert names(folder) == ["a.xyz"]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_control_c(folder, name):
    write("a.xyz", molecule("C6H6"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ase_mlseqm", "relax", "a.xyz", "--trajectory"]
        + ["--fmax", "1e-12", "--steps", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=interruptible,
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    trajectory = folder / "a.traj"
    while process.poll() is None and not (trajectory.exists() and trajectory.stat().st_size > 2e4):
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate()
    watchdog.cancel()
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "NO" in out
    assert not read("a_relaxed.extxyz").info["relaxed"]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_scheduler_that_ends_the_run_takes_no_single_points(folder):
    write("a.extxyz", several("H2O", "C6H6"))  # of sizes that do not go into one batch
    program = """
import os, signal, sys
from ase_mlseqm import Engine
from ase_mlseqm.entry import main

original, done = Engine._run_batch, []

def run(self, *args, **keywords):
    if done:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:  # as timeout does, which sends it to the process and to its group
            os.kill(os.getpid(), signal.SIGTERM)
    done.append(None)
    return original(self, *args, **keywords)

Engine._run_batch = run
sys.argv[1:] = ["sp", "a.extxyz", "--method", "PM3"]
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted; 1 molecules were computed" in done.stderr
    assert read("a_sp.extxyz").get_chemical_formula() == "C6H6"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("module", ["typer", "torch", "ase_mlseqm.engine"])
def test_control_c_while_modules_are_imported(module, folder):
    """Which takes seconds; the signal comes when this one begins."""
    write("a.xyz", molecule("H2O"))
    program = f"""
import os, signal, sys
from ase_mlseqm.entry import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["sp", "a.xyz"]
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=interruptible,
    )
    assert done.returncode == 130
    assert (done.stdout, done.stderr) == ("", "")


def test_what_is_true_of_all_is_said_once(mlseqm):
    write("h2.extxyz", several(*["H2"] * 7))
    code, _, err = mlseqm("thermo", "h2.extxyz", "--method", "PM3", "--no-figure")
    assert code == 0
    assert "h2.extxyz@3, h2.extxyz@4 and 2 more: the energies of this method are fitted" in err
    assert err.count("\n") == 1


def test_a_warning_is_said_once_in_a_run(mlseqm):
    write("radicals.extxyz", several("OH", "NO", "OH"))
    for out in ("one", "two"):
        code, _, err = mlseqm("vib", "radicals.extxyz", "--out", out)
        assert code in (0, 1) and err.count("ions and radicals") == 1
