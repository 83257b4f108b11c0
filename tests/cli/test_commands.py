"""The command line: what the commands say and write."""

import json
import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write
from commands import names, several
from PIL import Image

from ase_mlseqm import MLSEQM, Engine, SCFSettings, evaluate
from ase_mlseqm.files.frames import output_stems, read_frames
from ase_mlseqm.models import DEFAULT
from ase_mlseqm.options import CalculatorOptions, field_docs
from ase_mlseqm.singlepoint import PROPERTIES
from ase_mlseqm.units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL
from ase_mlseqm.workflows.relax import RelaxConfig

# info


def test_info(mlseqm):
    code, out, err = mlseqm("info")
    assert (code, err) == (0, "")
    for word in ("torch", "ase-mlseqm", "MNDO", "AM1", "PM3", "H C N O F", "cpu"):
        assert word in out
    code, out, _ = mlseqm("info", "--json")
    found = json.loads(out)
    assert code == 0
    assert "B" in found["methods"]["MNDO"]
    assert "B" not in found["methods"]["PM3"]
    assert set(found["versions"]) >= {"python", "torch", "ase", "ase-mlseqm"}
    assert "cpu" in found["devices"]


def test_version_of_the_package(mlseqm):
    told = f"mlseqm {metadata.version('ase-mlseqm')}\n"
    assert mlseqm("--version") == (0, told, "")
    line = [sys.executable, "-m", "ase_mlseqm", "--version"]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == told


def test_help_is_made_of_the_field_docs(mlseqm, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "1000")
    monkeypatch.setenv("COLUMNS", "1000")
    docs = field_docs(CalculatorOptions)
    for command, more in (("sp", {}), ("relax", field_docs(RelaxConfig))):
        code, out, err = mlseqm(command, "--help")
        assert (code, err) == (0, "")
        text = " ".join(out.split())
        for name in ("method", "charge", "multiplicity", "unrestricted", "field", "device"):
            assert f"--{name}" in text
            assert docs[name] in text
        assert "--unrestricted / --restricted" in text
        assert "--field X Y Z" in text
        assert all(doc in text for doc in more.values())
    assert "--max-steps, --steps" in text
    code, out, _ = mlseqm()
    assert code == 0
    assert "relax" in out


# single points


def test_sp_writes_results_and_a_summary(mlseqm, folder):
    write("ethanol.xyz", molecule("CH3CH2OH"))
    code, out, err = mlseqm("sp", "ethanol.xyz", "--method", "am1")
    assert (code, err) == (0, "")
    assert names(folder) == ["ethanol.xyz", "ethanol_sp.extxyz", "mlseqm_sp.json"]
    atoms = read("ethanol.xyz")
    atoms.calc = MLSEQM(method="AM1")
    back = read("ethanol_sp.extxyz")
    assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(back.get_forces(), atoms.get_forces(), atol=1e-5)
    np.testing.assert_allclose(back.get_charges(), atoms.get_charges(), atol=1e-5)
    np.testing.assert_allclose(back.get_dipole_moment(), atoms.get_dipole_moment(), atol=1e-5)
    point = atoms.calc.singlepoint
    assert back.info["heat_of_formation"] == pytest.approx(point.heat_of_formation, abs=1e-6)
    assert back.info["gap"] == pytest.approx(point.gap, abs=1e-5)
    assert back.info["method"] == "AM1"
    assert back.info["multiplicity"] == 1
    assert back.info["converged"]
    # the same numbers, with their units, on the terminal
    dipole = np.linalg.norm(point.dipole)
    for number in (
        f"{point.energy:.5f}",
        f"{np.linalg.norm(point.forces, axis=1).max():.4f}",
        f"{dipole * E_ANGSTROM_TO_DEBYE:.3f}",
        f"{dipole:.4f}",
        f"{point.gap:.3f}",
        f"{point.heat_of_formation * EV_TO_KCAL:.3f}",
    ):
        assert number in out
    for unit in ("eV", "eV/Å", "kcal/mol", "e·Å"):
        assert unit in out
    summary = json.loads((folder / "mlseqm_sp.json").read_text())
    assert summary["method"] == "AM1"
    assert summary["command"] == ["mlseqm", "sp", "ethanol.xyz", "--method", "am1"]
    assert set(summary["versions"]) >= {"python", "torch", "ase", "ase-mlseqm"}
    assert summary["units"]["dipole"] == "e*Angstrom"
    assert summary["settings"]["tolerance"] == SCFSettings().tolerance
    assert summary["results"]["converged"] == 1
    assert summary["files"] == ["ethanol_sp.extxyz", "mlseqm_sp.json"]
    assert set(summary["timings"]) == {"read", "compute", "write"}


def test_json_is_all_there_is_on_stdout(mlseqm):
    frames = several("H2O", "CH4", "CH3")
    write("some.extxyz", frames)
    code, out, err = mlseqm("sp", "some.extxyz", "--json", "--out", "deep/er")
    assert (code, err) == (0, "")
    report = json.loads(out)
    expected = evaluate(frames, "PM3", properties=("energy", "forces", "charges"))
    assert [entry["frame"] for entry in report["molecules"]] == [0, 1, 2]
    for entry, point in zip(report["molecules"], expected, strict=True):
        assert entry["energy"] == pytest.approx(point.energy, abs=1e-6)
        np.testing.assert_allclose(entry["forces"], point.forces, atol=1e-5)
        np.testing.assert_allclose(entry["charges"], point.charges, atol=1e-5)
        assert entry["multiplicity"] == point.multiplicity
        assert entry["converged"] is True
    assert report["files"] == ["deep/er/some_sp.extxyz", "deep/er/mlseqm_sp.json"]


def test_sp_computes_what_is_asked(mlseqm):
    write("w.xyz", molecule("H2O"))
    code, out, _ = mlseqm("sp", "w.xyz", "--json", "--properties", "dipole,bond_orders")
    (entry,) = json.loads(out)["molecules"]
    assert code == 0
    assert np.array(entry["bond_orders"]).shape == (3, 3)
    assert "forces" not in entry
    assert "forces" not in read("w_sp.extxyz").calc.results


def test_every_number_has_a_unit(mlseqm):
    write("w.xyz", molecule("H2O"))
    pure = {"frame", "n_atoms", "multiplicity", "iterations", "density", "bond_orders"}
    # those of the parameters are in the table of the method
    pure |= {"spin_squared", "parameters"}
    for model in (("--method", "PM3"), ("--model", DEFAULT)):
        asked = ("--json", "--properties", ",".join(PROPERTIES))
        _, out, _ = mlseqm("sp", "w.xyz", *model, *asked)
        report = json.loads(out)
        (entry,) = report["molecules"]
        numbers = {k for k, v in entry.items() if not isinstance(v, str | bool)}
        assert numbers - pure == numbers & set(report["units"])
        assert ("uncertainty" in numbers) == (model[1] == DEFAULT)


def test_sp_is_one_batch(mlseqm, engine_calls):
    write("a.extxyz", several("H2O", "CH4", "NH3"))
    write("b.extxyz", several("HF", "CO"))
    code, out, _ = mlseqm("sp", "a.extxyz", "b.extxyz")
    assert code == 0
    assert engine_calls == [5]
    assert [atoms.get_chemical_formula() for atoms in read("b_sp.extxyz", ":")] == ["HF", "CO"]
    for name in ("a.extxyz@0", "a.extxyz@2", "b.extxyz@1"):
        assert name in out


def test_frames_can_be_chosen(mlseqm):
    write("a.extxyz", several("H2O", "CH4", "NH3", "HF"))
    for spec, expected in (
        ("a.extxyz@1", ["CH4"]),
        ("a.extxyz@-1", ["HF"]),
        ("a.extxyz@1:3", ["CH4", "H3N"]),
        ("a.extxyz@::2", ["H2O", "H3N"]),
    ):
        assert mlseqm("sp", spec)[0] == 0
        frames = read("a_sp.extxyz", ":")
        assert [atoms.get_chemical_formula() for atoms in frames] == expected
    write("at@1.xyz", molecule("H2O"))
    assert mlseqm("sp", "at@1.xyz")[0] == 0


def test_charge_and_spin_and_field(mlseqm):
    ion = molecule("H2O")
    ion.info["charge"] = 1
    write("ion.extxyz", ion)
    write("w.xyz", molecule("H2O"))
    code, out, _ = mlseqm("sp", "ion.extxyz", "--json")
    (from_file,) = json.loads(out)["molecules"]
    code, out, _ = mlseqm("sp", "w.xyz", "--json", "--charge", "1", "--multiplicity", "2")
    (from_option,) = json.loads(out)["molecules"]
    assert code == 0
    assert from_file["energy"] == pytest.approx(from_option["energy"], abs=1e-6)
    assert (from_file["charge"], from_file["multiplicity"]) == (1, 2)
    code, _, err = mlseqm("sp", "ion.extxyz", "--charge", "-1")
    assert code == 2
    assert "given twice and differently" in err
    energies = []
    for z in (-0.01, 0.01):
        arguments = ("--field", 0, 0, z, "--tolerance", 1e-9)
        _, out, _ = mlseqm("sp", "w.xyz", "--json", *arguments)
        energies += [entry["energy"] for entry in json.loads(out)["molecules"]]
    dipole = read("w_sp.extxyz").get_dipole_moment()[2]
    assert (energies[0] - energies[1]) / 0.02 == pytest.approx(dipole, abs=1e-2)
    _, out, _ = mlseqm("sp", "w.xyz", "--json", "--unrestricted")
    assert json.loads(out)["molecules"][0]["unrestricted"] is True


def test_any_format_of_ase(mlseqm):
    atoms = molecule("NH3")
    atoms.set_cell([9, 9, 9])
    for name in ("a.pdb", "a.traj", "a.gen", "a.json", "a.sdf", "a.xyz.gz"):
        if name != "a.sdf":
            write(name, atoms)
    code, out, err = mlseqm("sp", "a.pdb", "a.traj", "a.gen", "a.json", "a.xyz.gz", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    energies = [entry["energy"] for entry in report["molecules"]]
    assert energies == pytest.approx([energies[1]] * 5, abs=2e-3)  # pdb has three digits
    assert report["files"][:5] == [
        f"{stem}_sp.extxyz" for stem in ("a", "a_2", "a_3", "a_4", "a_5")
    ]


def test_results_can_be_input_again(mlseqm):
    ion = molecule("H2O")
    ion.info["charge"] = 1
    write("a.extxyz", ion)
    assert mlseqm("sp", "a.extxyz")[0] == 0
    code, out, err = mlseqm("sp", "a_sp.extxyz", "--method", "AM1", "--json")
    assert (code, err) == (0, "")
    (entry,) = json.loads(out)["molecules"]
    assert (entry["method"], entry["charge"]) == ("AM1", 1)
    back = read("a_sp_sp.extxyz")
    assert back.info["method"] == "AM1"
    assert back.get_potential_energy() == pytest.approx(entry["energy"], abs=1e-9)


# relaxation


def test_relax(mlseqm, folder):
    write("w.xyz", molecule("H2O"))
    code, out, err = mlseqm(
        "relax", "w.xyz", "--out", "demo", "--fmax", "1e-3", "--trajectory", "--optimizer", "lbfgs"
    )
    assert (code, err) == (0, "")
    assert names(folder / "demo") == [
        "mlseqm_relax.json",
        "w.traj",
        "w_convergence.png",
        "w_relaxed.extxyz",
    ]
    back = read("demo/w_relaxed.extxyz")
    assert back.info["relaxed"]
    steps = back.info["steps"]
    frames = read("demo/w.traj", ":")
    assert len(frames) == steps + 1
    np.testing.assert_allclose(frames[-1].positions, back.positions, atol=1e-7)
    again = back.copy()
    again.calc = MLSEQM(method="PM3")
    assert np.linalg.norm(again.get_forces(), axis=1).max() < 1.05e-3
    point = again.calc.singlepoint
    dipole = np.linalg.norm(point.dipole)
    for label, unit, number in (
        ("energy", "eV", point.energy),
        ("largest force", "eV/Å", np.linalg.norm(point.forces, axis=1).max()),
        ("dipole", "D", dipole * E_ANGSTROM_TO_DEBYE),
        ("dipole", "e·Å", dipole),
        ("HOMO-LUMO gap", "eV", point.gap),
        ("heat of formation", "kcal/mol", point.heat_of_formation * EV_TO_KCAL),
        ("steps", "", steps),
    ):
        (row,) = re.findall(rf"^ +{label} +{unit} +(-?[\d.]+) *$", out, re.MULTILINE)
        assert float(row) == pytest.approx(number, abs=2e-3)
    assert re.search("converged +yes", out)
    with Image.open("demo/w_convergence.png") as image:
        assert image.format == "PNG"
    summary = json.loads((folder / "demo/mlseqm_relax.json").read_text())
    assert summary["settings"]["fmax"] == 1e-3
    assert summary["settings"]["optimizer"] == "LBFGS"


def test_relax_several(mlseqm, folder):
    write("a.extxyz", several("H2O", "HF", "CH3", "CO"))
    code, out, err = mlseqm("relax", "a.extxyz", "--no-figure")
    assert (code, err) == (0, "")
    assert names(folder) == ["a.extxyz", "a_relaxed.extxyz", "mlseqm_relax.json"]
    assert [a.info["multiplicity"] for a in read("a_relaxed.extxyz", ":")] == [1, 1, 2, 1]
    assert all(f"a.extxyz@{k}" in out for k in range(4))
    # one molecule does not depend on the one before
    alone = json.loads(mlseqm("relax", "a.extxyz@3", "--no-figure", "--json")[1])
    together = json.loads(mlseqm("relax", "a.extxyz", "--no-figure", "--json")[1])
    together = together["molecules"][3]["energy"]
    assert alone["molecules"][0]["energy"] == pytest.approx(together, abs=1e-9)


# parts


def test_names_of_output_files():
    stems = output_stems(["x/a.xyz", "y/a.xyz", "a.extxyz.gz", "x/a.xyz", "a_2.xyz"])
    assert stems == {"x/a.xyz": "a", "y/a.xyz": "a_2", "a.extxyz.gz": "a_3", "a_2.xyz": "a_2_2"}


def test_numbered_frames_are_not_taken_for_other_files():
    assert output_stems(["m.xyz", "m_0000.xyz", "m_1.xyz"], {"m.xyz"}) == {
        "m.xyz": "m",
        "m_0000.xyz": "m_0000_2",
        "m_1.xyz": "m_1",
    }
    assert list(output_stems(["m_0003.xyz", "m.xyz"], {"m.xyz"}).values()) == ["m_0003", "m_2"]
    assert list(output_stems(["m.xyz", "m_0000.xyz"]).values()) == ["m", "m_0000"]


def test_thousands_of_files_of_one_name_are_told_apart():
    # in a process of its own: names that are never free would be looked for without end
    code = """
from ase_mlseqm.files.frames import output_stems
files = [f"{k}/m.xyz" for k in range(3000)]
for several in ((), files[:1], files):
    found = output_stems(files, set(several))
    stems, numbered = set(found.values()), {f"m_{k:04d}" for k in range(3000)}
    assert len(stems) == 3000 and (not several or not stems & numbered)
    others = {f"other_{k}.xyz": f"other_{k}" for k in range(3000)}
    assert output_stems(others, others) == others
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_frame_that_is_named_twice_is_taken_once(mlseqm):
    write("two.extxyz", several("H2O", "HF"))
    out = mlseqm("sp", "two.extxyz@1", "two.extxyz", "--json")[1]
    assert [point["frame"] for point in json.loads(out)["molecules"]] == [1, 0]


def test_names_of_frames():
    write("one.xyz", molecule("H2O"))
    write("two.extxyz", several("H2O", "HF"))
    assert [frame.name for frame in read_frames("one.xyz")[0]] == ["one.xyz"]
    assert [frame.name for frame in read_frames("two.extxyz@1")[0]] == ["two.extxyz@1"]
    assert [frame.name for frame in read_frames("two.extxyz")[0]] == [
        "two.extxyz@0",
        "two.extxyz@1",
    ]


def test_other_errors_are_not_hidden(mlseqm, monkeypatch):
    def broken(*args, **keywords):
        raise ZeroDivisionError

    write("a.xyz", molecule("H2O"))
    monkeypatch.setattr(Engine, "run", broken)
    with pytest.raises(ZeroDivisionError):
        mlseqm("sp", "a.xyz")


def test_help_does_not_wait_for_torch():
    """Nor for anything else that only some commands need."""
    heavy = ("torch", "h5py", "sklearn", "pymatgen", "phonopy", "pyscf", "sella")
    code = f"import sys, ase_mlseqm.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_radicals_with_the_learned_model_are_warned_of(tmp_path):
    """Of all in one line, of unsure ones by name, and in what is written."""
    write(tmp_path / "a.xyz", molecule("CH3"))
    line = [sys.executable, "-m", "ase_mlseqm", "sp", "a.xyz"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
    of_all, by_name = done.stderr.splitlines()
    assert of_all == (
        "mlseqm: warning: ions and radicals like these are not in the training data of hipnn-pm3: "
        "check these results against another method"
    )
    assert by_name.startswith("mlseqm: warning: unlike what hipnn-pm3 was trained on: a.xyz (± ")
    assert read(tmp_path / "a_sp.extxyz").info["status"] == "not_in_training"
