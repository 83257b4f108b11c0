"""Training on ions."""

import warnings

import ase.io
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import build
from labelled import LEVEL

from ase_mlseqm import evaluate
from ase_mlseqm.cli import app as cli
from ase_mlseqm.nn.weights import load_model
from ase_mlseqm.training.checkpoint import read_log
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.units import HARTREE

MODEL = """
model:
  network: {n_features: 8, n_sensitivities: 4, n_atom_layers: 1}
  parameters: [U_ss, U_pp, alpha]
"""
SETTINGS = """
optimizer: {learning_rate: 5e-3, warm_up: 2}
batch_size: 4
epochs: 2
validation_fraction: 0.3
"""


def train(*more):
    return cli.main(["train", *more])


def write_labels(path, names):
    """Shaken molecules of some charges with labels of PM3."""
    molecules = [build(*name, seed=k) for k in range(5) for name in names]
    frames = []
    for one, point in zip(molecules, evaluate(molecules, "PM3"), strict=True):
        atoms = Atoms(one.numbers, one.positions, info={"charge": one.charge, "level": LEVEL})
        apart = sum(KNOWN[LEVEL][symbol] for symbol in atoms.symbols) * HARTREE
        energy = point.atomization_energy + apart
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=point.forces)
        frames.append(atoms)
    ase.io.write(path, frames)


def test_a_model_that_was_trained_on_ions_knows_these(tmp_path, monkeypatch, capsys):
    """Also after another training that has none; others and radicals are warned of."""
    monkeypatch.chdir(tmp_path)
    write_labels("data.extxyz", (("H2O", 0), ("NH3", 0), ("CH4", 0), ("HCN", 0)))
    write_labels("ions.extxyz", (("NH4", 1), ("OH", -1)))
    (tmp_path / "small.yaml").write_text(MODEL + SETTINGS)
    data = ("--data", "data.extxyz", "--data", "ions.extxyz")
    assert train("small.yaml", *data, "--out", "run") == 0
    assert " 0 radicals or periodic" in capsys.readouterr().err
    # its labels are those of PM3, from which it begins
    errors = read_log(tmp_path / "run" / "epochs.csv")[0]
    assert 0 < float(errors["force_mae"]) < 0.05
    start = ("--from", "run/model.safetensors")
    (tmp_path / "tune.yaml").write_text(SETTINGS)
    assert train("tune.yaml", "--data", "data.extxyz", "--out", "more", *start) == 0
    ions = {name: build(*name) for name in (("NH4", 1), ("OH", -1), ("CN", -1), ("HCN", 2))}
    ions["CH3"] = build("CH3")
    known = {("NH4", 1), ("OH", -1), ("CN", -1)}
    for run in ("run", "more"):
        model = f"{run}/model.safetensors"
        assert load_model(model).model.charges == {-1, 0, 1}
        with pytest.warns(UserWarning, match="ions and radicals like these"):
            points = evaluate(list(ions.values()), model=model)
        told = {name for name, p in zip(ions, points, strict=True) if p.status.name == "CONVERGED"}
        assert told == known
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            evaluate([ions[name] for name in known], model=model)
