"""Means of the weights of models (benchmarks/mean_of_weights.py)."""

import sys
import warnings
from pathlib import Path

import h5py
import pytest
import torch
from labelled import LEVEL, UNITS, group, write_h5
from learned import learned

from ase_mlseqm import InputError
from ase_mlseqm.models import model_file
from ase_mlseqm.nn.weights import save_model

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import mean_of_weights

sys.path.pop(0)  # names there, such as training, also are names of folders here

CARD = {"settings": {"validation_fraction": 0.5, "split_seed": 3}, "start": "0" * 64}


def test_mean_of_two_models(tmp_path, capsys):
    for seed in (0, 1):
        model = learned(order=1, std=0.02, seed=seed, smoothing=0.1 * (seed + 1))
        save_model(tmp_path / f"{seed}.safetensors", model, CARD | {"step": seed})
    labels = {name: group(name, 2) for name in ("H2O", "CH3CH2OH", "C6H6")}
    data = write_h5(tmp_path / "a.h5", labels, level=LEVEL, units=UNITS)
    first, second, out = (tmp_path / f"{name}.safetensors" for name in ("0", "1", "mean"))
    mean_of_weights.main(
        [f"{first}:3", f"{second}:1", "--smoothing", "0.05", "--data", str(data)]
        + ["--name", "both", "--out", str(out)]
    )
    parts = [model_file(path).model.network.state_dict() for path in (first, second)]
    found = model_file(out)
    assert found.model.name == "both" and found.model.config.network.smoothing == 0.05
    for name, value in found.model.network.state_dict().items():
        torch.testing.assert_close(value, 0.75 * parts[0][name] + 0.25 * parts[1][name])
    assert [(part["share"], part["step"]) for part in found.card["averaged"]] == [
        (0.75, 0),
        (0.25, 1),
    ]
    errors = found.card["validation"]
    assert errors["frames"] in (2, 4) and errors["unconverged"] == 0
    assert 0 < errors["force_mae"] < errors["force_rmse"] < 1  # labels are PM3's forces


def test_states_that_all_know(tmp_path):
    """The validation has no warning of them."""
    for seed, states in enumerate(([(0, 1), (0, 2), (1, 1)], [(0, 1), (0, 2), (0, 3)])):
        save_model(tmp_path / f"{seed}.safetensors", learned(seed=seed), CARD | {"states": states})
    path = write_h5(
        tmp_path / "a.h5", {n: group(n, 2) for n in ("OH", "CH3")}, level=LEVEL, units=UNITS
    )
    with h5py.File(path, "a") as file:
        for content in file.values():
            content.attrs["multiplicity"] = 2
    models = [f"{tmp_path}/{seed}.safetensors:1" for seed in (0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean_of_weights.main(
            [*models, "--data", str(path), "--out", f"{tmp_path}/mean.safetensors"]
        )
    assert model_file(tmp_path / "mean.safetensors").model.states == {(0, 1), (0, 2)}


def test_models_of_other_forms_are_refused():
    files = [type("File", (), {"model": learned(order=k), "sha256": "0" * 64}) for k in (0, 1)]
    with pytest.raises(InputError, match="differ in form"):
        mean_of_weights.mean(files, [1.0, 1.0], None)
