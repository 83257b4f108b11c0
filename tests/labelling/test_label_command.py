"""`mlseqm label`: files in and out, and that no label is lost."""

import contextlib
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
from helpers import hydrogens, interruptible

from ase_mlseqm import InputError
from ase_mlseqm.labelling import Label, LabelSettings, label
from ase_mlseqm.labelling import run as label_run
from ase_mlseqm.labelling.files import write_labels
from ase_mlseqm.units import HARTREE

pytest.importorskip("pyscf")
h5py = pytest.importorskip("h5py")

NEVER = ("--max-iterations", "1")
"""Options with which nothing converges."""


def test_hdf5_has_the_layout_of_the_training_data(mlseqm):
    frames = [*hydrogens(0.7, 0.8), Atoms("O", info={"multiplicity": 3}), molecule("H2O")]
    frames[3].info["smiles"] = "O"
    write("in.extxyz", frames)
    code, out, err = mlseqm("label", "in.extxyz", "--out", "labels.h5")
    assert (code, err) == (0, "")
    assert "wB97X/6-31G*" in out
    with h5py.File("labels.h5") as file:
        assert set(file) == {"dihydrogen", "O", "H2O"}
        level = "wB97X/6-31G* (PySCF, Cartesian d functions, density fitting, grid level 3)"
        assert file.attrs["level"] == level
        assert file.attrs["units"] == "Hartree, Angstrom, Hartree/Angstrom, e*Angstrom, e"
        assert file.attrs["program"].startswith("PySCF ")
        assert json.loads(file.attrs["settings"])["basis"] == "6-31G*"
        assert file["H2O"].attrs["smiles"] == "O"
        assert file["O"].attrs["multiplicity"] == 3
        group = file["dihydrogen"]
        shapes = {name: data.shape for name, data in group.items()}
        assert shapes == {
            "species": (2,),
            "coordinates": (2, 2, 3),
            "energies": (2,),
            "forces": (2, 2, 3),
            "dipoles": (2, 3),
            "charges": (2, 2),
            "homo": (2,),
            "lumo": (2,),
        }
        want = label(frames[1])
        np.testing.assert_allclose(group["coordinates"][1], frames[1].positions)
        assert group["energies"][1] * HARTREE == pytest.approx(want.energy, abs=1e-6)
        np.testing.assert_allclose(group["forces"][1] * HARTREE, want.forces, atol=1e-5)
        assert group["homo"][1] * HARTREE == pytest.approx(want.homo, abs=1e-5)


def test_extxyz_is_in_units_of_ase(mlseqm):
    write("in.xyz", hydrogens(0.7, 0.8, 0.9))
    code, _, err = mlseqm("label", "in.xyz@1:", "--out", "folder/labels.extxyz")
    assert (code, err) == (0, "")
    first, second = read("folder/labels.extxyz", ":")
    want = label(hydrogens(0.8)[0])
    assert first.get_potential_energy() == pytest.approx(want.energy, abs=1e-6)
    np.testing.assert_allclose(first.get_forces(), want.forces, atol=1e-5)
    assert first.info["level"].startswith("wB97X/6-31G* (PySCF")
    assert second.positions[1, 2] == 0.9


def test_json_and_summary(mlseqm):
    write("in.xyz", hydrogens(0.7))
    code, out, err = mlseqm(
        "label", "in.xyz", "--out", "labels.h5", "--functional", "pbe", "--json"
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["settings"]["level"].startswith("pbe/6-31G*")
    assert report["settings"]["program"].startswith("PySCF")
    assert report["molecules"][0]["converged"]
    with open("mlseqm_label.json") as file:
        assert json.load(file)["results"]["converged"] == 1


def test_files_of_others_are_not_overwritten(mlseqm, tmp_path):
    write("in.xyz", hydrogens(0.7))
    before = (tmp_path / "in.xyz").read_bytes()
    code, _, err = mlseqm("label", "in.xyz", "--out", "in.xyz")
    assert code == 2 and "another name" in err
    assert (tmp_path / "in.xyz").read_bytes() == before
    code, _, err = mlseqm("label", "in.xyz", "--out", "labels.json")
    assert code == 2 and ".extxyz" in err
    # nor are frames lost of a file that has a journal, being a run's own
    write("two.xyz", hydrogens(0.7, 0.8))
    assert mlseqm("label", "two.xyz", "--out", "labels.xyz")[0] == 0
    code, _, err = mlseqm("label", "./labels.xyz@0:1", "--out", "labels.xyz")
    assert code == 2 and "is read and would be overwritten" in err
    assert len(read("labels.xyz", ":")) == 2


# going on


def test_only_missing_frames_are_computed(mlseqm, computed):
    write("in.extxyz", hydrogens(0.7, 0.8))
    assert mlseqm("label", "in.extxyz", "--out", "labels.h5")[0] == 0
    assert len(computed) == 2
    # the same frame again is known; another geometry, spin, or level is not
    more = [*hydrogens(0.9, 0.7), hydrogens(0.7)[0]]
    more[2].info["multiplicity"] = 3
    write("more.extxyz", more)
    assert mlseqm("label", "in.extxyz", "more.extxyz", "--out", "labels.h5")[0] == 0
    assert len(computed) == 4
    with h5py.File("labels.h5") as file:
        assert file["dihydrogen"]["energies"].shape == (4,)
        assert file["dihydrogen_2"].attrs["multiplicity"] == 3
    # other limits do not make other labels, another grid does
    mlseqm("label", "in.extxyz", "--out", "labels.h5", "--max-iterations", "50")
    assert len(computed) == 4
    mlseqm("label", "in.extxyz", "--out", "labels.h5", "--grid", "2")
    assert len(computed) == 6


@pytest.mark.parametrize("lost", [1, 30, 300])
def test_a_truncated_journal_loses_one_label(mlseqm, computed, tmp_path, lost):
    write("in.extxyz", hydrogens(0.7, 0.8))
    assert mlseqm("label", "in.extxyz", "--out", "labels.h5")[0] == 0
    with h5py.File("labels.h5") as file:
        before = file["dihydrogen"]["energies"][:]
    journal = tmp_path / "labels.h5.journal"
    journal.write_bytes(journal.read_bytes()[:-lost])
    (tmp_path / "labels.h5").unlink()
    assert mlseqm("label", "in.extxyz", "--out", "labels.h5")[0] == 0
    assert len(computed) == (2 if lost == 1 else 3)  # without its newline a record is still whole
    assert mlseqm("label", "in.extxyz", "--out", "labels.h5")[0] == 0
    assert len(computed) == (2 if lost == 1 else 3)
    with h5py.File("labels.h5") as file:
        np.testing.assert_allclose(file["dihydrogen"]["energies"][:], before, atol=1e-9)


def test_unconverged_frames_are_listed_and_tried_again(mlseqm, computed, tmp_path):
    write("in.extxyz", hydrogens(0.7, 0.8))
    write("water.extxyz", molecule("H2O"))
    assert mlseqm("label", "in.extxyz", "--out", "labels.h5")[0] == 0
    both = ("label", "in.extxyz", "water.extxyz", "--out", "labels.h5")
    code, out, err = mlseqm(*both, *NEVER)
    assert code == 1
    assert "water.extxyz: the SCF did not converge" in err
    assert "NO" in out
    with h5py.File("labels.h5") as file:
        assert set(file) == {"dihydrogen"}
    summary = json.loads((tmp_path / "mlseqm_label.json").read_text())
    assert summary["results"]["unconverged"] == ["water.extxyz"]
    assert mlseqm(*both)[0] == 0
    assert computed == ["H2", "H2", "OH2", "OH2"]
    with h5py.File("labels.h5") as file:
        assert set(file) == {"dihydrogen", "H2O"}


def test_bad_frames_do_not_stop_the_others(mlseqm):
    write("in.extxyz", [Atoms("U"), *hydrogens(0.7)])
    code, _, err = mlseqm("label", "in.extxyz", "--out", "labels.h5")
    assert code == 2
    assert "in.extxyz@0: PySCF has no basis set '6-31G*' for U" in err
    with h5py.File("labels.h5") as file:
        assert set(file) == {"dihydrogen"}


def test_an_interrupted_run_keeps_its_labels(mlseqm, monkeypatch):
    write("in.extxyz", hydrogens(0.7, 0.8))
    count = []

    def interrupted(atoms, settings):
        if count:
            raise KeyboardInterrupt
        count.append(1)
        return label(atoms, settings)

    monkeypatch.setattr(label_run, "label", interrupted)
    code, _, err = mlseqm("label", "in.extxyz", "--out", "labels.h5")
    assert code == 130
    assert "the same command goes on from what was written" in err
    with h5py.File("labels.h5") as file:
        assert file["dihydrogen"]["energies"].shape == (1,)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_stopped_process_goes_on(mlseqm, computed, tmp_path, name):
    write("in.extxyz", [molecule("H2O") for _ in range(20)])
    frames = read("in.extxyz", ":")
    for k, atoms in enumerate(frames):
        atoms.rattle(0.02, seed=k)
    write("in.extxyz", frames)
    journal = tmp_path / "labels.h5.journal"
    command = [sys.executable, "-m", "ase_mlseqm", "label", "in.extxyz", "--out", "labels.h5"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=interruptible,
    )
    try:
        deadline = time.monotonic() + 120
        while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        code = process.wait(60)
    finally:
        process.kill()
    assert code == (130 if name == "SIGINT" else -signal.SIGKILL)
    assert (tmp_path / "labels.h5").exists() == (name == "SIGINT")
    done = journal.read_bytes().count(b"\n")
    assert mlseqm("label", "in.extxyz@:3", "--out", "labels.h5")[0] == 0
    assert len(computed) == max(0, 3 - done)


def test_unrestricted_singlets_on_the_command_line(mlseqm):
    write("far.xyz", hydrogens(4.0))
    assert mlseqm("label", "far.xyz", "--out", "far.extxyz", "--unrestricted")[0] == 0
    frame = read("far.extxyz")
    settings = LabelSettings(unrestricted=True)
    assert frame.get_potential_energy() == pytest.approx(label(hydrogens(4.0)[0], settings).energy)
    assert "unrestricted" in frame.info["level"]


def test_without_pyscf_the_extra_is_named(mlseqm, monkeypatch):
    write("h2.xyz", hydrogens(0.74))
    for name in ("pyscf", "pyscf.dft"):
        monkeypatch.setitem(sys.modules, name, None)  # what an import of it fails on
    with pytest.raises(InputError, match=r"ase-mlseqm\[label\]"):
        label(Atoms("H"))
    code, _, err = mlseqm("label", "h2.xyz", "--out", "labels.h5")
    assert code == 2
    assert err.startswith("mlseqm: labels need PySCF")
    assert "ase-mlseqm[label]" in err


def test_isomers_without_names_have_groups_of_their_own(tmp_path):
    """With their atoms in one order nothing else tells them apart."""
    chain, branched = molecule("trans-butane"), molecule("isobutane")
    frames = [a[np.argsort(a.numbers != 6, kind="stable")] for a in (chain, branched, chain)]
    assert (frames[0].numbers == frames[1].numbers).all()
    zeros = np.zeros((14, 3))
    done = [
        (
            atoms,
            Label(-1.0, zeros, zeros[0], zeros[:, 0], 0.0, 1.0, 0.0, 0, 1, 5, "diis", "x", True),
        )
        for atoms in frames
    ]
    write_labels(tmp_path / "a.h5", done, LabelSettings())
    with h5py.File(tmp_path / "a.h5") as file:
        assert sorted(len(group["energies"]) for group in file.values()) == [1, 2]


FAST = ("--functional", "PBE", "--basis", "STO-3G", "--grid", "0")


def test_labels_of_another_command_are_told_of(mlseqm):
    """The file has the structures of the last command; no label is lost."""
    for name in ("H2O", "NH3"):
        write(f"{name}.xyz", molecule(name))
    line = ("--out", "l.h5", *FAST)
    assert mlseqm("label", "H2O.xyz", *line)[2] == ""
    code, _, err = mlseqm("label", "NH3.xyz", *line)
    assert code == 0 and "l.h5.journal has 1 more label, of other structures" in err
    assert mlseqm("label", "H2O.xyz", "NH3.xyz", *line)[2] == ""
    with h5py.File("l.h5") as file:
        assert set(file) == {"H2O", "H3N"}


def test_names_that_a_parser_takes_for_truth_values(mlseqm):
    frames = hydrogens(0.7, 0.8, 0.9)
    for atoms, name in zip(frames, ("F", "T", "7"), strict=True):
        atoms.info["name"] = name
    write("in.extxyz", frames)
    assert mlseqm("label", "in.extxyz", "--out", "l.h5", *FAST)[0] == 0
    with h5py.File("l.h5") as file:
        assert {name: group.attrs["name"] for name, group in file.items()} == {
            name: name for name in "FT7"
        }


def test_a_structure_in_two_files_is_one_label(mlseqm):
    write("a.xyz", hydrogens(0.7))
    write("b.xyz", hydrogens(0.7))
    write("c.xyz", hydrogens(0.8))
    line = ("--out", "l.xyz", *FAST)
    assert mlseqm("label", "a.xyz", "b.xyz", *line)[2] == ""
    assert len(Path("l.xyz.journal").read_text().splitlines()) == 1
    assert mlseqm("label", "c.xyz", *line)[0] == 0
    assert "has 1 more label, of" in mlseqm("label", "a.xyz", "b.xyz", *line)[2]
    assert len(read("l.xyz", ":")) == 2


@pytest.mark.parametrize("name", ["L.H5", "L.XYZ"])
def test_endings_in_capitals(mlseqm, name):
    write("in.xyz", hydrogens(0.7))
    assert mlseqm("label", "in.xyz", "--out", name, *FAST)[::2] == (0, "")
    assert h5py.is_hdf5(name) == (name == "L.H5")
    if name == "L.XYZ":
        assert np.isfinite(read(name, format="extxyz").get_potential_energy())


def test_what_cannot_be_computed_leaves_the_others(mlseqm, monkeypatch):
    """Two electrons of one spin have no place in the one orbital of a minimal basis."""
    steps = []
    bar = contextlib.nullcontext(lambda count=1, text="": steps.append(count))
    monkeypatch.setattr(label_run, "progress_bar", lambda total, label: bar)
    helium = Atoms("He", info={"multiplicity": 3})
    write("in.extxyz", [*hydrogens(0.7), helium, *hydrogens(0.8)])
    code, _, err = mlseqm("label", "in.extxyz", "--out", "l.extxyz", *FAST)
    assert code == 2 and "in.extxyz@1: PySCF cannot compute PBE/STO-3G" in err
    assert [atoms.positions[1, 2] for atoms in read("l.extxyz", ":")] == [0.7, 0.8]
    assert sum(steps) == 3


def test_functions_of_a_fit_that_are_nearly_dependent(mlseqm):
    """One warning that says what to do; forces are those without the fit."""
    structure = molecule("SH2")
    structure.positions[1, 2] += 0.1
    write("in.extxyz", [structure, molecule("SiH4")])
    code, _, err = mlseqm("label", "in.extxyz", "--out", "l.extxyz", *FAST)
    assert code == 0 and len(err.splitlines()) == 1
    assert "the Cartesian functions with which PySCF fits the density" in err
    for option in ("--spherical", "--no-density-fitting"):
        assert option in err
        assert mlseqm("label", "in.extxyz", "--out", f"l{option}.xyz", *FAST, option)[2] == ""
    fitted, exact = (read(name, 0) for name in ("l.extxyz", "l--no-density-fitting.xyz"))
    np.testing.assert_allclose(fitted.get_forces(), exact.get_forces(), atol=1e-3)


def test_a_label_that_is_not_whole(mlseqm):
    write("H2O.xyz", molecule("H2O"))
    line = ("label", "H2O.xyz", "--out", "l.h5", *FAST)
    assert mlseqm(*line)[0] == 0
    journal = Path("l.h5.journal")
    key, name, _ = json.loads(journal.read_text())
    journal.write_text(json.dumps([key, name, {"energy": 1.0}]) + "\n")
    code, _, err = mlseqm(*line)
    assert code == 0 and "l.h5.journal has a label that is not whole: it is computed again" in err
    assert mlseqm(*line)[2] == ""
    journal.write_text("something else\n")
    code, _, err = mlseqm(*line)
    assert code == 2 and "has no results of an earlier run, but something else" in err
