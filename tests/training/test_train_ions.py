"""Training on ions and radicals."""

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
from ase_mlseqm.runs.report import models_table
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
        atoms.info["multiplicity"] = point.multiplicity
        apart = sum(KNOWN[LEVEL][symbol] for symbol in atoms.symbols) * HARTREE
        energy = point.atomization_energy + apart
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=point.forces)
        frames.append(atoms)
    ase.io.write(path, frames)


def test_a_model_knows_the_states_that_it_was_trained_on(tmp_path, monkeypatch, capsys):
    """Also after another training that has none of them; others are warned of."""
    monkeypatch.chdir(tmp_path)
    write_labels("data.extxyz", (("H2O", 0), ("NH3", 0), ("CH4", 0), ("HCN", 0)))
    write_labels("states.extxyz", (("NH4", 1), ("OH", -1), ("NH2", 0), ("NO", 0), ("O2", 0, 3)))
    (tmp_path / "small.yaml").write_text(MODEL + SETTINGS)
    data = ("--data", "data.extxyz", "--data", "states.extxyz")
    assert train("small.yaml", *data, "--out", "run") == 0
    assert "0 of unknown state or periodic" in capsys.readouterr().err
    # its labels are those of PM3, from which it begins
    errors = read_log(tmp_path / "run" / "epochs.csv")[0]
    assert 0 < float(errors["force_mae"]) < 0.05 and errors["unconverged"] == "0"
    start = ("--from", "run/model.safetensors")
    (tmp_path / "tune.yaml").write_text(SETTINGS)
    assert train("tune.yaml", "--data", "data.extxyz", "--out", "more", *start) == 0
    known = [build(*name) for name in (("CN", -1), ("NH4", 1), ("CH3", 0), ("O2", 0, 3))]
    others = [build(*name) for name in (("HCN", 2), ("NH3", 1), ("CH2_s3B1d", 0, 5))]
    for run in ("run", "more"):
        model = f"{run}/model.safetensors"
        file = load_model(model)
        assert file.model.states == {(0, 1), (1, 1), (-1, 1), (0, 2), (0, 3)}
        listed = models_table({run: file}).columns[3]
        assert list(listed.cells) == ["0/1 0/2 0/3 -1/1 +1/1"]
        with pytest.warns(UserWarning, match="ions and radicals like these"):
            points = evaluate(known + others, model=model)
        told = [point.status.name == "CONVERGED" for point in points]
        assert told == [True] * 4 + [False] * 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            evaluate(known, model=model)
