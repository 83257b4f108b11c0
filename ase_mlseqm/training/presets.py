"""Settings with a name."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..errors import InputError
from ..nn.hamiltonian import HamiltonianConfig, LearnedHamiltonian
from ..nn.hipnn import HIPNNConfig
from ..nn.parameter_head import CORRECTIONS
from .config import OptimizerConfig, TrainConfig
from .loss import LossConfig

SHIPPED = tuple(CORRECTIONS)
PRESETS = {
    "paper": TrainConfig(model=HamiltonianConfig(), epochs=30),
    "hipnn-pm3": TrainConfig(
        model=HamiltonianConfig(HIPNNConfig(tensor_order=1), SHIPPED),
        loss=LossConfig(dipole_weight=0.5),
        optimizer=OptimizerConfig("muon", 4e-3, weight_decay=0.02, clip=100.0),
        epochs=14,
        patience=20,
    ),
    "fine-tune": TrainConfig(
        optimizer=OptimizerConfig(learning_rate=1e-4, final_learning_rate=1e-6, warm_up=20),
        epochs=50,
        patience=8,
        validation_fraction=0.1,
        batch_size=32,
    ),
}
"""``paper``: Zhou et al., PNAS 119 (2022) e2120333119.  ``hipnn-pm3``: the shipped model's.
``fine-tune``: what ``--from`` takes."""


def preset(name: str) -> TrainConfig:
    """The settings called ``name``."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def starting_from(config: TrainConfig, model: HamiltonianConfig) -> TrainConfig:
    """``config`` for the form of an existing model, whose table is trained if it says so.

    Raises
    ------
    InputError
        When the order of its tensor sensitivities were to fall.
    """
    model = dataclasses.replace(model, learn_table=not config.freeze_table)
    order, now = config.tensor_order, model.network.tensor_order
    if order is not None and order < now:
        raise InputError(
            f"tensor_order {order} is below that of the model to start from: give {now} or more"
        )
    asked: dict[str, Any] = {"tensor_order": order, "smoothing": config.smoothing}
    network = dataclasses.replace(
        model.network, **{name: value for name, value in asked.items() if value is not None}
    )
    return dataclasses.replace(config, model=dataclasses.replace(model, network=network))


def start_from(model: LearnedHamiltonian, source: LearnedHamiltonian) -> None:
    """Give ``model`` the weights of ``source``.

    Tensor sensitivities of an order that ``source`` lacks get the weight zero: the results are the
    same until it is trained.

    Raises
    ------
    InputError
        When ``model`` has another form: what is trained for one element would stand for another.
    """
    order = model.config.network.tensor_order
    if order < source.config.network.tensor_order or _form(model) != _form(source):
        raise InputError(
            f"the settings have another model (network, parameters, elements or table) than "
            f"{source.name}, which the training starts from: take starting_from(settings, "
            "its config)"
        )
    weights = source.network.state_dict()
    for name, new in model.network.state_dict().items():
        if name.endswith(".moment"):
            known = weights.get(name, new[:0])
            weights[name] = torch.cat((known, torch.zeros_like(new[len(known) :])))
    model.network.load_state_dict(weights)


def _form(model: LearnedHamiltonian) -> HamiltonianConfig:
    """What a training that starts from a model cannot change."""
    usual = HIPNNConfig()
    network = dataclasses.replace(
        model.config.network, tensor_order=usual.tensor_order, smoothing=usual.smoothing
    )
    return dataclasses.replace(model.config, network=network, learn_table=True)
