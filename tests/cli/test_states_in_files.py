"""Charge and multiplicity that files state, or that what was computed in them tells."""

import gzip
import json
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import read, write
from commands import pdb

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli.app import main

PM3 = ["--method", "PM3"]
GAUSSIAN = "%mem=1GB\n# PM3 opt\n\nhydroxide\n\n-1 1\nO 0.0 0.0 0.0\nH 0.0 0.0 0.97\n\n"
MOL = """ammonium
  x

  5  4  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  0
    0.6000    0.6000    0.6000 H   0  0
   -0.6000   -0.6000    0.6000 H   0  0
   -0.6000    0.6000   -0.6000 H   0  0
    0.6000   -0.6000   -0.6000 H   0  0
  1  2  1  0
  1  3  1  0
  1  4  1  0
  1  5  1  0
M  CHG  1   1   1
M  END
$$$$
"""
OLD = MOL.replace("M  CHG  1   1   1\n", "").replace("N   0  0", "N   0  3")
WATER = """water
  x

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1190 O   0  0
    0.0000    0.7630   -0.4770 H   0  0
    0.0000   -0.7630   -0.4770 H   0  0
  1  2  1  0
  1  3  1  0
M  END
$$$$
"""


@pytest.mark.parametrize(
    ("name", "text", "charge"),
    [
        ("oh.gjf", GAUSSIAN, -1),
        ("oh.com", GAUSSIAN.replace("-1 1", " 0 2"), 0),
        ("windows.gjf", GAUSSIAN.replace("\n", "\r\n"), -1),
        ("viewer.gjf", "! a note\n\n" + GAUSSIAN.replace("hydroxide\n", "hydroxide\n2 1 b\n"), -1),
        ("parts.com", GAUSSIAN.replace("-1 1", "-1 1 -1 1"), -1),
        ("nh4.sdf", MOL, 1),
        ("nh4.mol", MOL, 1),
        ("old.mol", OLD, 1),
        ("oh.pdb", pdb("OH ", "1-"), -1),
    ],
)
def test_charges_that_a_file_states(name, text, charge, capsys):
    Path(name).write_text(text)
    assert main(["sp", name, *PM3, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert found["charge"] == charge
    assert read(f"{Path(name).stem}_sp.extxyz").info["charge"] == charge
    if charge:
        assert main(["sp", name, *PM3, "--charge", "0", "--out", "other"]) == 2
        assert "charge" in capsys.readouterr().err


def test_all_molecules_of_an_sdf_file(capsys):
    """ASE reads the first."""
    Path("two.sdf").write_text(MOL + WATER)
    with gzip.open("packed.sdf.gz", "wt") as file:
        file.write(WATER + MOL)
    assert main(["sp", "two.sdf", "packed.sdf.gz", *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    assert [(m["formula"], m["charge"]) for m in found] == [
        ("H4N", 1),
        ("H2O", 0),
        ("H2O", 0),
        ("H4N", 1),
    ]
    Path("broken.sdf").write_text(WATER + MOL.replace("V2000", "V3000"))
    assert main(["sp", "broken.sdf", *PM3]) == 2
    assert (
        "broken.sdf: cannot be read behind frame 0 (its format is V3000" in capsys.readouterr().err
    )
    assert len(read("broken_sp.extxyz", ":")) == 1


def test_models_of_a_pdb_file(capsys):
    """Which end with ENDMDL, and the file with END."""
    model = pdb("OH ", "1-").replace("END\n", "")
    Path("models.pdb").write_text("".join(f"MODEL {k}\n{model}ENDMDL\n" for k in (1, 2)) + "END\n")
    assert main(["sp", "models.pdb", *PM3, "--json"]) == 0
    assert [m["charge"] for m in json.loads(capsys.readouterr().out)["molecules"]] == [-1, -1]


@pytest.mark.parametrize("name", ["ion.json", "ion.db"])
def test_ions_in_files_that_keep_no_info(name, capsys):
    """What was computed as an ion is none of another charge when it is read again."""
    ion = Atoms("OH", [(0, 0, 0), (0, 0, 0.96)], info={"charge": -1})
    ion.calc = MLSEQM(method="PM3")
    energy = ion.get_potential_energy()
    write(name, ion)
    assert "charge" not in read(name).info
    assert main(["sp", name, *PM3, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert found["charge"] == -1 and found["energy"] == pytest.approx(energy, abs=1e-6)
    # nobody stated it, so that what the ion leaves behind can be computed, too
    for more in ((), ("--multiplicity", "2")):
        assert main(["sp", name, *PM3, "--json", "--charge", "0", *more]) == 0
        (found,) = json.loads(capsys.readouterr().out)["molecules"]
        assert (found["charge"], found["multiplicity"]) == (0, 2)


@pytest.mark.parametrize("name", ["ion.traj", "ion.extxyz"])
def test_ions_whose_charge_was_a_keyword(name, capsys):
    """No file keeps the keywords of a calculator: the dianion was computed as the molecule."""
    places = [(0, 0, 0), (1.3, 0, 0), (-0.65, 1.13, 0), (-0.65, -1.13, 0)]
    carbonate, oxygen = Atoms("CO3", places), Atoms("O2", [(0, 0, 0), (0, 0, 1.2)])
    carbonate.calc = MLSEQM(method="PM3", charge=-2)
    oxygen.calc = MLSEQM(method="PM3", multiplicity=3)
    ozone = molecule("O3")
    ozone.calc = SinglePointCalculator(ozone, charges=[0.4, -0.2, -0.1])  # no whole number
    energies = [carbonate.get_potential_energy(), oxygen.get_potential_energy()]
    write(name, [carbonate, oxygen, ozone])
    assert main(["sp", name, *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    states = [(m["charge"], m["multiplicity"]) for m in found]
    assert states == [(-2, 1), (0, 3), (0, 1)]
    assert [m["energy"] for m in found[:2]] == pytest.approx(energies, abs=1e-6)
    keywords = (("--charge", "-1", 0, (-1, 2)), ("--multiplicity", "1", 1, (0, 1)))
    for option, value, frame, state in (*keywords, ("--charge", "1", 1, (1, 2))):
        assert main(["sp", f"{name}@{frame}", *PM3, "--json", option, value]) == 0
        (found,) = json.loads(capsys.readouterr().out)["molecules"]
        assert (found["charge"], found["multiplicity"]) == state


def test_what_is_stated_counts_more_than_what_was_computed(capsys):
    oxygen = Atoms("O2", [(0, 0, 0), (0, 0, 1.2)], info={"spin": 1, "charge": 0})
    results = {"charges": [-1.0, -1.0], "magmom": 2.0}
    oxygen.calc = SinglePointCalculator(oxygen, **results)
    others = oxygen.copy()
    others.info = {}
    others.set_initial_charges([1, 1])
    others.set_initial_magnetic_moments([2, 2])
    others.calc = SinglePointCalculator(others, **results)
    write("oxygen.traj", [oxygen, others])
    assert main(["sp", "oxygen.traj", *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    assert [(m["charge"], m["multiplicity"]) for m in found] == [(0, 1), (2, 5)]


@pytest.mark.parametrize("name", ["oxygen.json", "oxygen.db"])
def test_triplets_in_files_that_keep_no_info(name, capsys):
    """They were computed again as singlets, an electronvolt higher; doublets take any charge."""
    oxygen = Atoms("O2", [(0, 0, 0), (0, 0, 1.2)], info={"multiplicity": 3})
    hydroxyl = Atoms("OH", [(0, 0, 0), (0, 0, 0.96)])
    for atoms in (oxygen, hydroxyl):
        atoms.calc = MLSEQM(method="PM3")
        atoms.get_potential_energy()
    write(name, [oxygen, hydroxyl])
    assert main(["sp", name, *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    assert [m["multiplicity"] for m in found] == [3, 2]
    assert found[0]["energy"] == pytest.approx(oxygen.get_potential_energy(), abs=1e-6)
    assert main(["sp", f"{name}@0", *PM3, "--multiplicity", "1"]) == 0
    assert main(["sp", f"{name}@1", *PM3, "--charge", "-1"]) == 0


@pytest.mark.parametrize("name", ["ion.json", "ion.db", "ion.json.gz"])
def test_charges_among_the_key_value_pairs_of_a_database(name, capsys):
    """ASE's reader leaves the pairs out, and its rows say zero where one is called charge."""
    plain = name.removesuffix(".gz")
    with connect(plain) as rows:
        rows.write(Atoms("OH", [(0, 0, 0), (0, 0, 0.96)]), charge=-1)
        rows.write(molecule("CH2_s1A1d"), multiplicity=3, level="wB97X")
        rows.write(molecule("H2O"), total_charge=1)
        rows.write(molecule("H2O"), note="no charge")
    if name != plain:
        Path(name).write_bytes(gzip.compress(Path(plain).read_bytes()))
    assert main(["sp", name, *PM3, "--json"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)["molecules"]
    assert [(m["frame"], m["charge"], m["multiplicity"]) for m in found] == [
        (0, -1, 1),
        (1, 0, 3),
        (3, 0, 1),
    ]
    assert f'{name}@2: atoms.info["total_charge"] is 1' in printed.err


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ("Charge=-1", 'atoms.info["Charge"] is -1, but the name of the charge is "charge"'),
        ("total_charge=-1", 'the name of the charge is "charge": rename or remove it'),
        ("spin_multiplicity=3", 'the name of the multiplicity is "multiplicity"'),
        ("mult=1", 'the name of the multiplicity is "multiplicity": rename or remove it'),
        ("total_charge=0 mult=2", None),
        ("total_charge=-1 charge=-1", None),
    ],
)
def test_names_that_are_nearly_right(info, sentence, capsys):
    """A charge that is ignored without a word gives a wrong answer that looks right."""
    Path("oh.xyz").write_text(f"2\n{info}\nO 0 0 0\nH 0 0 0.96\n")
    assert main(["sp", "oh.xyz", *PM3]) == (2 if sentence else 0)
    assert (sentence or "") in capsys.readouterr().err


def test_what_a_parser_says_is_a_sentence(capsys):
    Path("g.com").write_text(GAUSSIAN.replace(".0", "").replace(".97", ""))
    assert main(["sp", "g.com", *PM3]) == 2
    error = capsys.readouterr().err
    assert "g.com: cannot be read (" in error and "RuntimeError" not in error and "((" not in error
