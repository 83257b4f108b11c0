"""Labels mixed with what models say (benchmarks/distilled_labels.py), on made-up labels."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm import evaluate
from ase_mlseqm.models import DEFAULT
from ase_mlseqm.training.isolated import known_level
from ase_mlseqm.training.readers import read
from ase_mlseqm.units import HARTREE

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import distilled_labels

LEVEL = "made up, a model of wB97X/6-31G*"


@pytest.fixture
def file(tmp_path):
    """Water and ammonia, three and two frames, with labels that mean nothing."""
    path, rng = tmp_path / "labels.h5", np.random.default_rng(0)
    with h5py.File(path, "w") as out:
        out.attrs["level"], out.attrs["units"] = LEVEL, "Hartree, Angstrom, Hartree/Angstrom"
        for name, count in (("H2O", 3), ("NH3", 2)):
            atoms, group = molecule(name), out.create_group(name)
            group.attrs["smiles"] = {"H2O": "O", "NH3": "N"}[name]
            frames = atoms.positions + 0.05 * rng.normal(size=(count, len(atoms), 3))
            isolated = sum(known_level(LEVEL)[s] for s in atoms.symbols)
            group["species"] = atoms.numbers.astype("i1")
            group["coordinates"] = frames.astype("f4")
            group["energies"] = isolated - 0.3 + 0.01 * rng.normal(size=count)
            group["forces"] = 0.01 * rng.normal(size=frames.shape).astype("f4")
    return path


def test_mixture_is_that_of_labels_and_models(file, monkeypatch, capsys):
    """Every number is the weighted mean; the rest of the file is that of the old one."""
    out = file.with_name("mixed.h5")
    line = [str(file), "--model", DEFAULT, "--model", DEFAULT, "--out", str(out)]
    line += ["--energies", "0.75", "--forces", "0.25", "--against", str(file)]
    monkeypatch.setattr(sys, "argv", ["distilled_labels.py", *line])
    distilled_labels.main()
    printed = capsys.readouterr().out
    assert "5 frames, 0 failed" in printed
    assert "labels.h5 errs by 0.00 kcal/mol and 0.00 kcal/mol/Angstrom (5 frames)" in printed
    assert not out.with_suffix(".part").exists()
    old, new = read([str(file)]), read([str(out)])
    assert new.smiles == old.smiles
    assert "energies 0.75 and forces 0.25 times that" in new.level[0]
    atoms = [Atoms(n, x) for n, x in zip(old.numbers, old.positions, strict=True)]
    for k, found in enumerate(evaluate(atoms)):
        np.testing.assert_array_equal(new.positions[k], old.positions[k])
        energy = 0.75 * old.atomization[k] + 0.25 * found.atomization_energy
        assert new.atomization[k] == pytest.approx(energy, abs=1e-6)
        forces = 0.25 * old.forces[k] + 0.75 * found.forces
        np.testing.assert_allclose(new.forces[k], forces, atol=1e-5)


def test_what_a_model_cannot_do_keeps_its_label(file):
    """The second frame of water, of which one of two models has no energy."""
    with h5py.File(file) as labels:
        water = labels["H2O"]
        energies = np.array([[-1.0, np.nan, -1.0], [-3.0, -3.0, -3.0]]) / HARTREE
        forces = np.ones((2, 3, 3, 3)) * np.array([1.0, 3.0])[:, None, None, None]
        found, found_forces, failed = distilled_labels.mixed(water, energies, forces, (0.5, 0.0))
        kept, kept_forces = water["energies"][()], water["forces"][()]
    assert failed == 1
    np.testing.assert_allclose(found[[0, 2]], 0.5 * kept[[0, 2]] - 1.0 / HARTREE)
    assert found[1] == kept[1]
    np.testing.assert_array_equal(found_forces[1], kept_forces[1])
    np.testing.assert_array_equal(found_forces[[0, 2]], 2.0)
