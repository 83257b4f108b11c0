"""What one calculation writes or returns is what the next one takes it for."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from ase_mlseqm import MLSEQM, evaluate
from ase_mlseqm.cli.app import main
from ase_mlseqm.workflows import relax
from ase_mlseqm.workflows.phonons import PhononsResult, phonons
from ase_mlseqm.workflows.vibrations import vibrations

PM3 = ["--method", "PM3"]


@pytest.mark.parametrize("command", ["sp", "relax", "md"])
def test_results_of_labelled_structures_have_not_their_level(command):
    """Training took the energies of the isolated atoms from it, which are those of another zero."""
    water = molecule("H2O")
    water.calc = SinglePointCalculator(water, energy=-2078.5, forces=np.zeros((3, 3)))
    water.info |= {"level": "wB97X/6-31G*", "program": "PySCF 2.14.0", "max_force": 0.1, "id": 7}
    write("w.extxyz", water)
    assert main([command, "w.extxyz", *PM3, *(["--steps", "4"] if command == "md" else [])]) == 0
    (found,) = Path().glob("w_*.extxyz")
    info = read(found, 0).info
    assert info["method"] == "PM3" and info["id"] == 7
    assert not info.keys() & {"level", "program", "max_force"}


def test_results_from_python_have_no_notes_of_earlier_ones():
    """Of a file of results they said method, dispersion and charge of the calculation before."""
    hydroxide = Atoms("OH", [(0, 0, 0), (0, 0, 0.96)])
    before = {"method": "AM1", "status": "converged", "charge": 0, "multiplicity": 2}
    hydroxide.info = before | {"dispersion": -0.1, "level": "AM1", "id": 7}
    calc = MLSEQM(method="PM3", charge=-1)
    alone = relax(hydroxide, calc, trajectory="steps.traj")
    found = [*read("steps.traj", ":"), alone.atoms, relax([hydroxide], calc)[0].atoms]
    found += [vibrations(hydroxide, calc).atoms, vibrations([hydroxide, hydroxide], calc)[1].atoms]
    found.append(phonons(hydroxide, calc).atoms)
    now = {"method": "PM3", "status": "converged", "charge": -1, "multiplicity": 1, "id": 7}
    assert [atoms.info for atoms in found] == [now] * len(found)
    (again,) = evaluate([alone.atoms], "PM3")
    assert again.energy == pytest.approx(alone.energy, abs=1e-6)
    assert hydroxide.info["dispersion"] == -0.1
    water = molecule("H2O")
    water.info["id"] = 8  # no file of results: nothing is stated that nobody gave
    assert relax(water, MLSEQM(method="PM3")).atoms.info == {"id": 8}


@pytest.mark.parametrize(
    ("formula", "keyword", "state"),
    [
        ("NH3", ["--charge", "1"], (1, 2)),
        ("CH2_s1A1d", ["--multiplicity", "3"], (0, 3)),
        ("H2O", [], (0, 1)),
    ],
)
def test_animated_modes_are_those_of_the_same_molecule(formula, keyword, state, capsys):
    """Frames of ions and triplets were read as the neutral molecule and the singlet."""
    write("m.xyz", molecule(formula))
    assert main(["vib", "m.xyz", *PM3, *keyword, "--isotopes", "H=D", "--no-spectrum"]) == 0
    (lowest,) = [read("m_vib.extxyz").get_potential_energy()]
    assert main(["sp", "m_modes/mode_001.extxyz@0:6:5", *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["molecules"]
    assert {(m["charge"], m["multiplicity"]) for m in found} == {state}
    assert found[0]["energy"] == pytest.approx(lowest, abs=1e-6) and found[1]["energy"] > lowest
    assert read("m_modes/mode_001.extxyz", 0).get_masses()[-1] == pytest.approx(2.014, abs=1e-3)


def test_phonons_that_are_read_again_are_those_of_the_ion():
    """The dictionary, and so the JSON of the command, had neither charge nor multiplicity."""
    carbene = molecule("CH2_s1A1d")
    for atoms, keyword in ((molecule("NH3"), {"charge": 1}), (carbene, {"multiplicity": 3})):
        result = phonons(atoms, MLSEQM(method="PM3", **keyword))
        again = PhononsResult.from_dict(json.loads(json.dumps(result.to_dict())))
        (point,) = evaluate([again.atoms], "PM3")
        assert point.energy == pytest.approx(result.energy, abs=1e-6)
        assert all(getattr(point, name) == value for name, value in keyword.items())


def inversion(energies):
    """A path of ammonia through its plane, with these energies."""
    images = []
    for k, height in enumerate(np.linspace(-0.38, 0.38, len(energies))):
        image = molecule("NH3")
        image.positions[:, 2] = [0.0, height, height, height]
        image.info["neb_image"] = k
        image.calc = SinglePointCalculator(image, **energies[k])
        images.append(image)
    return images


def test_two_paths_in_one_file(capsys):
    """One transition state was all that came of them; other frames are guesses."""
    path = inversion([{"energy": e} for e in (0.0, 0.4, 0.0)])
    plane = path[1].copy()
    plane.info = {}
    write("all.extxyz", [*path, *path, plane])
    line = ["ts", "all.extxyz", *PM3, "--no-irc", "--json"]
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    assert len(found) == 3
    assert [each["file"] for each in found] == ["all.extxyz@0:3", "all.extxyz@3:6", "all.extxyz@6"]
    names = ["all_0000", "all_0003", "all_0006"]
    assert all(Path(f"{name}_ts.extxyz").exists() for name in names)


@pytest.mark.parametrize("energies", [[{}, {}, {}], [{"energy": 0.0}, {}, {"energy": 0.0}]])
def test_paths_without_energies(energies, capsys):
    """Which converters leave out, and sp where it does not converge."""
    write("p_path.extxyz", inversion(energies))
    assert main(["ts", "p_path.extxyz", *PM3]) == 2
    assert "p_path.extxyz: not all images of the path have an energy" in capsys.readouterr().err
