"""Errors on labelled frames, against those of the engine."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from helpers import run
from learned import learned
from small import CPU, batch_gradient, frames

from ase_mlseqm.batch import Molecule
from ase_mlseqm.training.batches import n_orbitals
from ase_mlseqm.training.curves import _smooth, draw_curves
from ase_mlseqm.training.evaluate import Errors, evaluate_errors
from ase_mlseqm.training.loss import ErrorSums, LossConfig, term
from ase_mlseqm.training.parallel import Threads, World
from ase_mlseqm.training.step import GradientSettings

NAMES = ("H2O", "CH3CONH2", "NH3", "H2CO", "HCN")


def errors(data, model, indices, threads=1):
    config = batch_gradient(model, data).config
    return config, evaluate_errors(
        model, data, indices, n_orbitals(data), config, Threads(threads), World(), CPU
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_against_the_engine(threads):
    data, model, indices = frames(*NAMES), learned(), np.array([4, 0, 1, 3])
    config, found = errors(data, model, indices, threads)
    molecules = [Molecule(data.numbers[k], data.positions[k]) for k in indices]
    results = run(molecules, model, ("energy", "forces"))
    energy = np.array([r.atomization_energy for r in results]) - data.atomization[indices]
    force = np.concatenate(
        [r.forces - data.forces[k] for r, k in zip(results, indices, strict=True)]
    )
    expected = (energy**2).mean() ** 0.5, abs(energy).mean(), (force**2).mean() ** 0.5
    np.testing.assert_allclose(
        (found.energy_rmse, found.energy_mae, found.force_rmse), expected, rtol=1e-7
    )
    assert found.force_mae == pytest.approx(abs(force).mean(), rel=1e-7)
    assert (found.frames, found.unconverged) == (4, 0)
    result, _ = batch_gradient(model, data)(indices)
    assert found.loss(config.loss) == pytest.approx(result.loss, rel=1e-9)
    assert all(w.grad is None for w in model.network.parameters())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_slope_of_the_loss(share):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20, generator=generator, dtype=torch.float64).requires_grad_()
    sums = ErrorSums.of(values)
    (expected,) = torch.autograd.grad(term(sums.rmse, sums.mae, share), values)
    torch.testing.assert_close(
        ErrorSums.of(values.detach()).slope(values.detach(), share), expected
    )


@pytest.mark.parametrize(
    ("values", "rmse", "mae"), [([-3.0], 3.0, 3.0), ([3.0, -4.0], 12.5**0.5, 3.5)]
)
def test_errors_by_hand(values, rmse, mae):
    """A single one, too, as the energy of a batch of which one frame converged."""
    sums = ErrorSums.of(torch.tensor(values, dtype=torch.float64))
    assert (float(sums.rmse), float(sums.mae)) == (pytest.approx(rmse), pytest.approx(mae))


def test_no_errors():
    """A perfect fit, or nothing that converged: neither divides by zero."""
    for values in (torch.zeros(5, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)):
        sums = ErrorSums.of(values)
        assert float(term(sums.rmse, sums.mae, 0.5)) == 0.0 and not sums.slope(values, 0.5).any()


def test_what_is_not_known_is_no_number():
    """Dipoles that no frame has, forces between molecules where each is alone, and a batch of which
    nothing converged, are not without errors."""
    data, model, indices = frames(*NAMES), learned(), np.arange(3)
    _, found = errors(data, model, indices)
    result, _ = batch_gradient(model, data)(indices)
    for known in (found, result):
        assert np.isnan([known.dipole_rmse, known.dipole_mae]).all()
        assert np.isnan([known.contact_rmse, known.contact_mae]).all()
    weights = LossConfig(dipole_weight=2.0, contact_weight=3.0)
    assert found.loss(weights) == found.loss(LossConfig()) > 0
    given = dataclasses.replace(data, dipoles=np.full((len(data), 3), np.nan))
    given.dipoles[1] = 0.3
    (own,) = run([Molecule(data.numbers[1], data.positions[1])], model, ("energy", "dipole"))
    _, found = errors(given, model, indices)
    assert found.dipole_mae == pytest.approx(np.abs(own.dipole - 0.3).mean(), rel=1e-6)
    lost, gradient = batch_gradient(model, data, gradient=GradientSettings(max_iterations=1))(
        indices
    )
    assert lost.unconverged == 3
    assert np.isnan([lost.loss, lost.energy_mae, lost.force_rmse]).all()
    assert all(torch.isfinite(part).all() for part in gradient)


def test_curves_leave_out_what_is_no_number(tmp_path):
    rows = ["step,loss,force_mae,energy_mae"]
    rows += [f"{k},{v},{v},nan" for k, v in enumerate(["3.0", "nan", "1.0", "2.0"], 1)]
    (tmp_path / "steps.csv").write_text("\n".join(rows) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_curves(tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    np.testing.assert_allclose(_smooth(np.array([3.0, np.nan, 1.0, 2.0]), 3), [3, 3, 2, 1.5])


def test_frames_that_are_lost_make_no_model_better():
    whole = Errors(*[0.1] * 8, correction=0.0, frames=100, unconverged=0)
    config = LossConfig()
    half = dataclasses.replace(whole, unconverged=50)
    assert half.loss(config) == pytest.approx(2.0 * whole.loss(config))
    nothing = dataclasses.replace(whole, unconverged=100, energy_mae=0.0, force_mae=0.0)
    assert nothing.loss(config) == np.inf
