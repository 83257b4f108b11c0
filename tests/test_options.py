"""Settings take values of the types that their annotations say, and refuse others by name."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ase_mlseqm.errors import InputError
from ase_mlseqm.labelling import LabelSettings
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig
from ase_mlseqm.nn.hipnn import HIPNNConfig
from ase_mlseqm.training.config import OptimizerConfig, TrainConfig
from ase_mlseqm.training.loss import LossConfig
from ase_mlseqm.training.run import DataOptions
from ase_mlseqm.training.step import GradientSettings
from ase_mlseqm.workflows.md_config import MDConfig
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig

NAN = float("nan")


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        (HIPNNConfig, {"n_blocks": "2"}, "n_blocks is '2': give a whole number"),
        (HIPNNConfig, {"n_features": 80.5}, "n_features is 80.5: give a whole number"),
        (HIPNNConfig, {"cutoff": NAN}, "cutoff is nan: give a number"),
        (HamiltonianConfig, {"elements": "H"}, "elements is 'H': give a list"),
        (HamiltonianConfig, {"elements": [1, 6.5]}, "an item of elements is 6.5: give a whole"),
        (HamiltonianConfig, {"elements": [1, 6, 1]}, "elements holds 1 twice"),
        (HamiltonianConfig, {"parameters": "U_ss"}, "parameters is 'U_ss': give a list"),
        (HamiltonianConfig, {"network": None}, "network is None: give a HIPNNConfig"),
        (LossConfig, {"force_weight": "1"}, "force_weight is '1': give a number"),
        (GradientSettings, {"max_iterations": 2.5}, "max_iterations is 2.5: give a whole number"),
        (OptimizerConfig, {"warm_up": 0.5}, "warm_up is 0.5: give a whole number"),
        (OptimizerConfig, {"learning_rate": True}, "learning_rate is True: give a number"),
        (TrainConfig, {"batch_size": True}, "batch_size is True: give a whole number"),
        (TrainConfig, {"epochs": np.inf}, "epochs is inf: give a whole number"),
        (TrainConfig, {"repeats": 2}, "repeats is 2: give a list"),
        (TrainConfig, {"repeats": [1, "x"]}, "an item of repeats is 'x': give a number"),
        (TrainConfig, {"contacts": "yes"}, "contacts is 'yes': give a list"),
        (TrainConfig, {"loss": {"force_weight": 1}}, "loss is {.*}: give a LossConfig"),
        (TrainConfig, {"keep_densities": "no"}, "keep_densities is 'no': give True or False"),
        (TrainConfig, {"validation_fraction": 1.0}, "validation_fraction is 1.0: give a number"),
        (TrainConfig, {"checkpoint_seconds": NAN}, "checkpoint_seconds is nan: give a number"),
        (TrainConfig, {"checkpoint_seconds": -1}, "checkpoint_seconds is -1.0: give zero or more"),
        (TrainConfig, {"tensor_order": 3}, "tensor_order is 3: give 0, 1 or 2"),
        (TrainConfig, {"split_by": None}, "split_by is None: give text"),
        (TransferabilityConfig, {"tests": "size"}, "tests is 'size': give a list"),
        (TransferabilityConfig, {"samples": 0.5}, "samples is 0.5: give a whole number"),
        (TransferabilityConfig, {"worst": "3"}, "worst is '3': give a whole number"),
        (TransferabilityConfig, {"level": 6}, "level is 6: give text"),
        (DataOptions, {"isolated": {"H": "-0.5"}}, r"isolated\['H'\] is '-0.5': give a number"),
        (DataOptions, {"gradients": "no"}, "gradients is 'no': give True or False"),
        (LabelSettings, {"functional": None}, "functional is None: give text"),
        (LabelSettings, {"charge": 0.5}, "charge is 0.5: give a whole number"),
        (LabelSettings, {"multiplicity": 0}, "multiplicity is 0: give 1 or more"),
        (MDConfig, {"ensemble": None}, "ensemble is None: give text"),
        (MDConfig, {"max_heating": "3"}, "max_heating is '3': give a number"),
    ],
)
def test_values_of_wrong_types(settings, given, words):
    with pytest.raises(InputError, match=words):
        settings(**given)


def test_values_as_they_come_from_other_libraries():
    config = TrainConfig(
        seed=np.int64(3),
        epochs=torch.tensor(2),
        repeats=np.array([1, 2]),
        checkpoint_seconds=np.float32(1.5),
        contacts=[np.True_],
    )
    assert (config.seed, config.epochs, config.checkpoint_seconds) == (3, 2, 1.5)
    assert config.repeats == (1.0, 2.0) and config.contacts == (True,)
    assert hash(config) == hash(config)
    assert {type(value) for value in (config.seed, config.epochs)} == {int}
    assert TransferabilityConfig(model=[Path("a.safetensors")]).model == ("a.safetensors",)
    assert HamiltonianConfig(elements=[1, 6]).elements == (1, 6)
