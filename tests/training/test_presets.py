"""Trainings that start from a model, of its form or with more tensor sensitivities."""

import dataclasses

import pytest
import torch
from ase.build import molecule
from learned import atoms_of, learned

from ase_mlseqm import InputError, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig
from ase_mlseqm.nn.hipnn import HIPNNConfig
from ase_mlseqm.nn.parameter_head import PAPER
from ase_mlseqm.nn.weights import save_model, seeded
from ase_mlseqm.training.config import TrainConfig
from ase_mlseqm.training.presets import start_from, starting_from


def grown(source, order):
    """A model with the weights of another and tensor sensitivities up to an order."""
    config = starting_from(TrainConfig(tensor_order=order), source.config)
    model = seeded(config.model, 7)
    start_from(model, source)
    return model


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2)])
def test_a_model_of_higher_order_begins_with_the_same_results(tmp_path, old, new):
    source = learned(order=old)
    model = grown(source, new)
    assert model.config.network.tensor_order == new
    found = []
    for number, of in enumerate((source, model)):
        path = tmp_path / f"{number}.safetensors"
        save_model(path, of, {})
        found.append(evaluate([molecule("CH3CH2OH")], model=str(path))[0])
    assert found[1].energy == pytest.approx(found[0].energy, abs=1e-10)
    assert found[1].forces == pytest.approx(found[0].forces, abs=1e-10)


@pytest.mark.parametrize(
    "change",
    [
        {"elements": (1, 6, 7, 9)},
        {"method": "AM1"},
        {"parameters": PAPER[::-1]},
        {"network": HIPNNConfig(n_features=8, n_sensitivities=5, n_atom_layers=2)},
    ],
)
def test_another_form_is_refused(change):
    """Even where the weights would fit: what was learned for oxygen is nothing for fluorine."""
    source = learned(order=1)
    other = seeded(dataclasses.replace(source.config, **change), 7)
    with pytest.raises(InputError, match="another model"):
        start_from(other, source)
    with pytest.raises(InputError, match="another model"):
        start_from(learned(order=0), source)


def test_smoothing_can_be_changed():
    source = learned(order=1)
    assert starting_from(TrainConfig(), source.config).model.network.smoothing == 0.03
    config = starting_from(TrainConfig(smoothing=0.1), source.config)
    model = seeded(config.model, 7)
    start_from(model, source)
    assert model.config.network == dataclasses.replace(source.config.network, smoothing=0.1)
    with pytest.raises(InputError, match=r"smoothing is -1\.0: give a positive number"):
        starting_from(TrainConfig(smoothing=-1.0), source.config)


def test_what_is_new_can_be_learned():
    source = learned(order=1)
    model = grown(source, 2)
    for of, counts in ((model, (True, True)), (grown(source, 1), (True,))):
        moment = of.network.network.blocks[0].interaction.moment
        known = source.network.network.blocks[0].interaction.moment
        assert moment.shape == (len(counts), 8) and torch.equal(moment[:1], known)
    assert bool((model.network.network.blocks[0].interaction.moment[1] == 0.0).all())
    # the slope of an output with respect to the weight of the second moments is not zero

    atoms = molecule("CH3CH2OH")
    layout, positions = atoms_of(Molecule(atoms.numbers, atoms.positions))
    model.corrections(layout, positions).square().sum().backward()
    for block in model.network.network.blocks:
        assert float(block.interaction.moment.grad[1].abs().max()) > 1e-6


def test_the_order_cannot_fall_and_none_keeps_it():
    config = learned(order=1).config
    assert starting_from(TrainConfig(), config).model.network == config.network
    with pytest.raises(InputError, match=r"tensor_order 0 is below that of the model.*give 1 or"):
        starting_from(TrainConfig(tensor_order=0), config)
    with pytest.raises(InputError, match="tensor_order is 3: give 0, 1 or 2"):
        starting_from(TrainConfig(tensor_order=3), config)


@pytest.mark.parametrize("freeze", [True, False])
def test_the_table_stays_if_the_settings_say_so(freeze):
    config = learned().config
    found = starting_from(TrainConfig(freeze_table=freeze), config).model
    assert found == dataclasses.replace(config, learn_table=not freeze)


def test_a_table_that_stayed_once_can_be_trained_later():
    once = starting_from(TrainConfig(), learned().config).model
    assert not once.learn_table
    assert starting_from(TrainConfig(freeze_table=False), once).model.learn_table


@pytest.mark.parametrize("name", ["seed", "split_seed"])
@pytest.mark.parametrize("value", [-1, 10**23])
def test_seeds_that_no_generator_takes(name, value):
    with pytest.raises(InputError, match=f"{name} is .*: give 0 or more"):
        TrainConfig(**{name: value})


def test_a_model_of_no_element():
    with pytest.raises(InputError, match="elements is empty: give atomic numbers"):
        HamiltonianConfig(elements=())
