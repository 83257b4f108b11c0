"""Steps of the weights, by hand."""

import pytest
import torch
from learned import learned

from ase_mlseqm.training.config import OptimizerConfig
from ase_mlseqm.training.optimizer import Optimizer

KINDS = ("adamw", "muon")


def started(kind: str, **options) -> tuple[Optimizer, list[torch.Tensor]]:
    """An optimiser of a small network, and its weights before any step."""
    network = learned().network
    optimizer = Optimizer(network, OptimizerConfig(kind, **options))
    return optimizer, [weight.detach().clone() for weight in network.trained()]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_decay_where_there_is_no_gradient(kind):
    """By the product of rate and decay: decoupled, of the matrices inside as of all others."""
    optimizer, before = started(kind, weight_decay=0.5)
    assert len(optimizer.parts) == 1 + (kind == "muon")
    optimizer.step([torch.zeros_like(weight) for weight in before], 0.0, 0.1)
    for weight, old in zip(optimizer.weights, before, strict=True):
        torch.testing.assert_close(weight.detach(), 0.95 * old, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("norm", "factor"), [(5.0, 1.0), (10.0, 1.0), (40.0, 0.25)])
def test_gradients_that_are_too_long_are_shortened(kind, norm, factor):
    """To a norm of ten, and none is made longer."""
    optimizer, before = started(kind)
    gradient = [torch.full_like(weight, 0.3) for weight in before]
    optimizer.step(gradient, norm, 1e-3)
    for weight, slope in zip(optimizer.weights, gradient, strict=True):
        torch.testing.assert_close(weight.grad, factor * slope, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_first_steps_are_as_long_as_the_rate(kind):
    """AdamW's against the sign of the gradient; Muon's like it in size, downhill."""
    optimizer, before = started(kind, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    gradient = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in before]
    optimizer.step(gradient, 1.0, 1e-3)
    inside = {
        id(w) for part in optimizer.parts[:-1] for g in part.param_groups for w in g["params"]
    }
    assert bool(inside) == (kind == "muon")
    for weight, old, slope in zip(optimizer.weights, before, gradient, strict=True):
        change = weight.detach() - old
        if id(weight) in inside:
            assert 0.05e-3 < change.square().mean().sqrt() < 0.5e-3
            assert (change * slope).sum() < 0
        else:
            torch.testing.assert_close(change, -1e-3 * slope.sign(), rtol=1e-3, atol=1e-9)
