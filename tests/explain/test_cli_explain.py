"""``mlseqm explain``: files, numbers in them, pictures, and errors in one sentence."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as g2
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from learned import learned
from PIL import Image
from test_survey import MOLECULES

from ase_mlseqm import evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.cli import app as cli
from ase_mlseqm.explain import correlation, statistics
from ase_mlseqm.explain.parameters import atom_parameters
from ase_mlseqm.explain.picture import draw_molecule, project
from ase_mlseqm.nn.weights import save_model
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.units import HARTREE

LEVEL = "wB97X/6-31G*"

HCNO = [name for name, m in MOLECULES.items() if max(m["numbers"]) < 9]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model, to run in."""
    monkeypatch.chdir(tmp_path)
    save_model("model.safetensors", learned(std=0.1), {})
    return tmp_path


@pytest.fixture
def explain(folder, capsys):
    """Run the command; exit code, stdout and stderr."""

    def run(*arguments: str):
        code = cli.main(["explain", *arguments, "--model", "model.safetensors"])
        return code, *capsys.readouterr()

    return run


def rows(path: str) -> list[dict[str, str]]:
    """Lines of a CSV file."""
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def colours(path: str) -> int:
    """Number of different colours of a picture."""
    image = np.asarray(Image.open(path).convert("RGB"))
    assert min(image.shape[:2]) > 200
    return len(np.unique(image @ [1 << 16, 1 << 8, 1]))


def test_file(explain):
    atoms = g2("CH3CONH2")
    write("amide.xyz", atoms)
    code, out, err = explain("amide.xyz", "--parameter", "g_sp")
    assert (code, err) == (0, "")
    assert "U_pp" in out and "PM3 table" in out and "Wrote amide_parameters.csv" in out
    (found,) = atom_parameters(learned(std=0.1), [Molecule(atoms.numbers, atoms.positions)])
    lines = rows("amide_parameters.csv")
    assert len(lines) == 4 * 9 + 5 * 2  # hydrogen has two of the nine
    for line in lines:
        a, k = int(line["atom"]), found.column(line["parameter"])
        assert line["element"] == atoms.symbols[a]
        assert float(line["value"]) == pytest.approx(found.values[a, k], abs=1e-7)
        assert float(line["table"]) == pytest.approx(found.table[a, k], abs=1e-7)
        assert float(line["correction"]) == pytest.approx(found.corrections[a, k], abs=1e-7)
    assert {x["environment"] for x in lines if x["element"] in "NO"} == {"sp2"}
    summary = json.loads(Path("mlseqm_explain.json").read_text())
    (molecule,) = summary["results"]["molecules"]
    assert molecule["parameters"]["g_sp"]["unit"] == "eV"
    np.testing.assert_allclose(
        np.array(molecule["parameters"]["U_ss"]["value"]), found.values[:, found.column("U_ss")]
    )
    assert molecule["parameters"]["U_pp"]["value"][-1] is None  # hydrogen
    assert summary["model"]["name"] == "model.safetensors"
    assert summary["command"][:3] == ["mlseqm", "explain", "amide.xyz"]
    assert colours("amide_g_sp.png") > 100


def test_frames_and_json(explain):
    write("two.xyz", [g2("H2O"), g2("CH4")])
    code, out, _ = explain("two.xyz", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(Path("mlseqm_explain.json").read_text())
    assert {line["frame"] for line in rows("two_parameters.csv")} == {"0", "1"}
    assert Path("two_0000_U_pp.png").exists() and Path("two_0001_U_pp.png").exists()


def test_what_cannot_be_computed_is_refused_in_one_sentence(explain):
    write("good.xyz", g2("H2O"))
    write("fluorine.xyz", g2("CF4"))
    code, _, err = explain("good.xyz", "fluorine.xyz", "nowhere.xyz", "--no-figure")
    assert code == 2
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [
        "fluorine.xyz",
        "nowhere.xyz",
    ]
    assert Path("good_parameters.csv").exists() and not list(Path().glob("*.png"))
    for arguments, sentence in (
        (("good.xyz", "--parameter", "U_dd"), "does not learn 'U_dd': choose from U_ss"),
        (("good.xyz", "--dataset", "--parameter", "U_pp"), "omit --dataset"),
        (("good.xyz", "--dataset", "--no-pbc"), "omit it with --dataset"),
        (("good.xyz", "--dataset", "--max-frames", "-1"), "--max-frames is -1"),
        (("nowhere.h5", "--dataset"), "no such file"),
        (("nowhere.xyz",), "no such file"),
    ):
        code, out, err = explain(*arguments)
        assert code == 2 and out == "" and err.count("\n") == 1 and sentence in err


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A frame each of all molecules of environments.json; PM3's forces, made-up energies."""
    rng = np.random.default_rng(3)
    frames = [
        Atoms(m["numbers"], np.array(m["positions"]) + 0.03 * rng.standard_normal((n, 3)))
        for m in (MOLECULES[name] for name in HCNO)
        for n in [len(m["numbers"])]
    ]
    for atoms, point in zip(frames, evaluate(frames, "PM3"), strict=True):
        isolated = sum(KNOWN[LEVEL][s] for s in atoms.symbols) * HARTREE
        atoms.calc = SinglePointCalculator(
            atoms, energy=isolated - 4.0 * len(atoms), forces=point.forces
        )
    path = tmp_path_factory.mktemp("data") / "set.extxyz"
    write(path, frames, format="extxyz")
    return str(path)


def test_dataset(explain, labelled, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 20)
    monkeypatch.setattr(correlation, "DRAWS", 20)
    code, out, err = explain("--dataset", labelled, "--level", LEVEL, "--max-frames", "46")
    assert (code, err) == (0, "")
    assert "Hybridisation told from the parameters" in out and "C-C" in out
    results = json.loads(Path("mlseqm_explain.json").read_text())["results"]
    assert results["frames"] == 46 and results["unconverged"] == []
    lines = rows("explain_parameters.csv")
    assert list(lines[0]) == [
        *("molecule", "frame", "atom", "element", "environment", "neighbours"),
        *("parameter", "value"),
    ]
    assert len({(x["frame"], x["atom"]) for x in lines}) == results["atoms"]
    carbon = results["hybridisation"]["C"]
    kinds = {(x["frame"], x["atom"]): x["environment"] for x in lines if x["element"] == "C"}
    assert carbon["counts"] == Counter(kinds.values()) - Counter(carbon["left_out"])
    assert len(carbon["untrained_linear"]) == 3
    bonds = rows("explain_bonds.csv")
    found = next(c for c in results["correlations"] if c["bond"] == "C-C")
    assert found["bonds"] == sum(b["bond"] == "C-C" for b in bonds)
    pictures = sorted(path.name for path in Path().glob("explain_*.png"))
    assert pictures == [
        "explain_C_hybridisation.png",
        "explain_C_neighbours.png",
        "explain_H_hybridisation.png",
        "explain_N_hybridisation.png",
        "explain_N_neighbours.png",
        "explain_O_hybridisation.png",
        "explain_O_neighbours.png",
        "explain_bonds.png",
    ]
    assert min(colours(name) for name in pictures) > 100


def test_what_is_left_out_of_a_dataset_is_said(explain, labelled, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 2)
    monkeypatch.setattr(correlation, "DRAWS", 2)
    first, broken, other = read(labelled, "0:3")
    broken.calc.results["energy"] = np.nan
    other.numbers[other.numbers > 1] = 16
    write("few.xyz", [first, broken, other], format="extxyz")
    known = ("--isolated", "S=-398.0")
    code, _, err = explain("--dataset", "few.xyz", "--level", LEVEL, *known)
    assert (code, err) == (0, "mlseqm: left out of the files: 1 broken, 1 of other elements\n")
    ion = read(labelled, "0")
    ion.info["charge"] = 2
    write("ions.xyz", [first, ion], format="extxyz")
    code, _, err = explain("--dataset", "ions.xyz", "--level", LEVEL)
    assert code == 0 and err.startswith("mlseqm: left out of the statistics: 1 of ions and")
    write("ions.xyz", [ion], format="extxyz")
    code, _, err = explain("--dataset", "ions.xyz", "--level", LEVEL)
    assert code == 2 and "no frame is left to explain" in err


def test_dataset_of_a_model_that_leaves_hydrogen_as_it_is(explain, labelled, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 20)
    monkeypatch.setattr(correlation, "DRAWS", 20)
    save_model("model.safetensors", learned(("U_pp", "zeta_p"), std=0.1), {})
    assert explain("--dataset", labelled, "--level", LEVEL, "--max-frames", "46")[0] == 0
    found = json.loads(Path("mlseqm_explain.json").read_text())["results"]["correlations"]
    kinds = {each["bond"] for each in found}
    assert "C-C" in kinds and not any("H" in kind for kind in kinds)
    elements = {path.name.split("_")[1] for path in Path().glob("explain_?_*.png")}
    assert elements == set("CNO")  # of hydrogen there is nothing to draw


def test_pictures_show_the_numbers(tmp_path):
    """Blue below zero, red above, grey where there is none."""
    atoms = g2("CO2")
    linked = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)
    path = tmp_path / "co2.png"
    values = np.array([np.nan, -1.0, 1.0])
    draw_molecule(atoms.numbers, atoms.positions, linked, values, path, "U_pp (eV)")
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    image = image[:, : int(0.7 * image.shape[1])]  # without the colour bar
    red, green, blue = np.moveaxis(image, 2, 0)
    assert ((blue - red) > 60).sum() > 1000
    assert ((red - blue) > 60).sum() > 1000
    assert ((red == 217) & (green == 217) & (blue == 217)).sum() > 1000


@pytest.mark.parametrize("name", ["methane", "ethane", "benzene", "adenine", "biphenyl"])
def test_projection(name):
    positions = np.array(MOLECULES[name]["positions"])
    view = project(positions)
    np.testing.assert_allclose(  # a rotation
        np.linalg.norm(view[:, None] - view, axis=-1),
        np.linalg.norm(positions[:, None] - positions, axis=-1),
        atol=1e-12,
    )
    assert np.ptp(view[:, 0]) >= 0.9 * np.ptp(view[:, 1])
    heavy = np.array(MOLECULES[name]["numbers"]) > 1
    i, j = np.triu_indices(heavy.sum(), 1)
    flat = view[heavy, :2]
    assert np.linalg.norm(flat[i] - flat[j], axis=1).min(initial=9.0) > 0.9


def test_projection_of_an_atom():
    assert project(np.ones((1, 3))).tolist() == [[0.0, 0.0, 0.0]]
