"""Options of the workflows' commands that change what is computed, and cells, which none takes."""

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.io import write

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

PM3 = ("--method", "PM3", "--out", "o")


def result(folder, name):
    return json.loads((folder / "o" / name).read_text())["result"]


def flat():
    """Ammonia at the top of its inversion, where symmetry holds it."""
    atoms = molecule("NH3")
    atoms.positions[0, 2] = atoms.positions[1, 2]
    return atoms


def test_isotopes(mlseqm, folder):
    """One of the hydrogens of water, and oxygen."""
    write("w.xyz", molecule("H2O"))
    code, _, err = mlseqm("vib", "w.xyz", "--isotopes", "2=D,O=17.99916", *PM3)
    assert (code, err) == (0, "")
    config = VibrationsConfig(isotopes=("2=D", "O=17.99916"))
    expected = vibrations(molecule("H2O"), MLSEQM(method="PM3"), config)
    found = result(folder, "w_vib.json")
    np.testing.assert_allclose(found["masses"], [17.99916, 1.008, 2.014], atol=1e-3)
    np.testing.assert_allclose(found["frequencies"], expected.frequencies, atol=0.1)
    plain = vibrations(molecule("H2O"), MLSEQM(method="PM3"))
    assert np.abs(plain.frequencies - expected.frequencies).max() > 500
    code, _, err = mlseqm("vib", "w.xyz", "--isotopes", "7=D", *PM3)
    assert code == 2 and "7" in err and err.count("\n") == 1


def test_follow(mlseqm, folder):
    """Down from a saddle point, to the minimum that a relaxation finds from elsewhere."""
    write("flat.xyz", flat())
    code, _, err = mlseqm("vib", "flat.xyz", *PM3)
    assert code == 0 and "imaginary" in err
    assert result(folder, "flat_vib.json")["frequencies"][0] < -100
    code, _, err = mlseqm("vib", "flat.xyz", "--follow", "1", *PM3)
    assert (code, err) == (0, "")
    expected = vibrations(molecule("NH3"), MLSEQM(method="PM3"))
    found = result(folder, "flat_vib.json")
    assert found["energy"] == pytest.approx(expected.energy, abs=1e-5)
    np.testing.assert_allclose(found["frequencies"], expected.frequencies, atol=2.0)


@pytest.mark.parametrize(("formula", "group", "number"), [("H2O", "C2v", 2), ("NH3", "C3v", 3)])
def test_symmetry_numbers_of_pymatgen(mlseqm, folder, formula, group, number):
    pytest.importorskip("pymatgen")
    write("m.xyz", molecule(formula))
    entropies = {}
    for options in ((), ("--symmetry-number", "1")):
        code, _, _ = mlseqm("thermo", "m.xyz", *options, *PM3)
        assert code == 0
        found = result(folder, "m_thermo.json")
        entropies[options] = np.array(found["entropies"])
        if not options:
            assert (found["point_group"], found["symmetry_number"]) == (group, number)
    given, counted = entropies.values()
    np.testing.assert_allclose(counted - given, 8.617333e-5 * np.log(number), atol=1e-9)


def test_path_without_steps(mlseqm, folder):
    """The first path is written, and not called converged."""
    up, down = molecule("NH3"), molecule("NH3")
    down.positions[:, 2] *= -1
    write("up.xyz", up)
    write("down.xyz", down)
    code, _, err = mlseqm("neb", "up.xyz", "down.xyz", "--images", "5", "--max-steps", "0", *PM3)
    assert code == 1
    assert "not converged in 0 steps: largest force" in err
    found = result(folder, "up_down_neb.json")
    assert (found["converged"], found["steps"], len(found["energies"])) == (False, 0, 5)


@pytest.mark.parametrize(
    "line", ["relax", "vib", "thermo", "neb", "ts", "md", "md --replicas 2", "phonons"]
)
def test_periodic_cells(mlseqm, folder, line):
    command, *options = line.split()
    if command == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    atoms = flat()
    atoms.set_cell([9, 9, 9])
    atoms.pbc = True
    write("a.extxyz", atoms)
    atoms.rattle(0.1)
    write("b.extxyz", atoms)
    files = ["a.extxyz", "b.extxyz"][: 1 + (command == "neb")]
    code, out, err = mlseqm(command, *files, *options, *PM3)
    assert (code, out) == (2, "")
    assert err.startswith("mlseqm: a.extxyz")
    free = command in ("vib", "thermo", "ts")
    told = "switch periodicity off" if free else "periodic cells are not"
    assert told in err and "--no-pbc" in err
    assert err.count("\n") == 1 and "Traceback" not in err
