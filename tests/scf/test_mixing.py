"""DIIS against the constrained least-squares problem it stands for."""

import numpy as np
import pytest
import torch
from helpers import build

from ase_mlseqm.engine import Engine
from ase_mlseqm.scf import mixing
from ase_mlseqm.scf.mixing import DIIS

GENERATOR = torch.Generator().manual_seed(5)


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


@pytest.fixture(params=[0, mixing.FEW], ids=["triangles", "whole"], autouse=True)
def few(request, monkeypatch):
    monkeypatch.setattr(mixing, "FEW", request.param)


def pair(*shape):
    """A symmetric and an antisymmetric matrix, as Fock matrices and their commutators are."""
    fock, error = noise(*shape), noise(*shape)
    return fock + fock.mT, error - error.mT


def add(diis, fock, error):
    return diis.extrapolate(fock, error, error.abs().amax((0, 2, 3)))


def best_combination(focks, errors):
    """min |sum w e| with sum w = 1, by eliminating the last weight."""
    e = np.stack([x.flatten() for x in errors])
    reduced = (e[:-1] - e[-1]).T
    weights, *_ = np.linalg.lstsq(reduced, -e[-1], rcond=None)
    weights = np.append(weights, 1 - weights.sum())
    return sum(w * f for w, f in zip(weights, focks, strict=True))


def test_extrapolation_is_the_constrained_least_squares_solution():
    n_spin, n_b, n = 2, 3, 4
    diis = DIIS(6, torch.zeros(n_spin, n_b, n, n, dtype=torch.float64))
    focks, errors = [], []
    for _ in range(5):
        fock, error = pair(n_spin, n_b, n, n)
        focks.append(fock)
        errors.append(error)
        mixed = add(diis, focks[-1], errors[-1])
    for b in range(n_b):
        expected = best_combination(
            [f[:, b].numpy() for f in focks], [e[:, b].numpy() for e in errors]
        )
        np.testing.assert_allclose(mixed[:, b], expected, rtol=0, atol=1e-9)


def test_errors_of_very_different_size():
    """As close to convergence: ten orders of magnitude between the first error and the last."""
    diis = DIIS(8, torch.zeros(1, 1, 5, 5, dtype=torch.float64))
    focks, errors = [], []
    for k in range(6):
        fock, error = pair(1, 1, 5, 5)
        focks.append(fock)
        errors.append(10.0 ** (-2 * k) * error)
        mixed = add(diis, focks[-1], errors[-1])
    expected = best_combination([f.numpy() for f in focks], [e.numpy() for e in errors])
    np.testing.assert_allclose(mixed, expected, rtol=0, atol=1e-6)


def test_a_vanishing_error_counts_for_nothing():
    """It is no solution: a multiple of unity, as the guess of a hydrocarbon, always commutes."""
    like = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    diis, without = DIIS(4, like), DIIS(4, like)
    zero = torch.zeros_like(like)
    add(diis, pair(1, 1, 5, 5)[0], zero)
    for _ in range(3):
        fock, error = pair(1, 1, 5, 5)
        mixed, expected = add(diis, fock, error), add(without, fock, error)
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-12)
    nothing = DIIS(4, like)
    for _ in range(3):
        mixed = add(nothing, fock, zero)
    torch.testing.assert_close(mixed, fock)


@pytest.mark.parametrize(("name", "most"), [("CH4", 13), ("C6H6", 16), ("C3H8", 14)])
def test_hydrocarbons_from_the_guess(name, most):
    """Seven iterations more while the guess, whose commutator is zero, had all the weight."""
    (point,) = Engine("PM3").run([build(name)])
    assert point.converged and point.iterations <= most


def test_the_first_matrix_is_returned_unchanged():
    diis = DIIS(4, torch.zeros(1, 2, 3, 3, dtype=torch.float64))
    fock, error = pair(1, 2, 3, 3)
    torch.testing.assert_close(add(diis, fock, error), fock, rtol=0, atol=0)


def test_only_the_newest_matrices_are_kept():
    history = [pair(1, 1, 4, 4) for _ in range(7)]
    short, fresh = (DIIS(3, torch.zeros(1, 1, 4, 4, dtype=torch.float64)) for _ in range(2))
    for fock, error in history:
        last = add(short, fock, error)
    for fock, error in history[-3:]:
        expected = add(fresh, fock, error)
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-9)


def test_molecules_do_not_mix_and_may_leave():
    history = [pair(1, 3, 4, 4) for _ in range(4)]
    together = DIIS(5, torch.zeros(1, 3, 4, 4, dtype=torch.float64))
    alone = DIIS(5, torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    for k, (fock, error) in enumerate(history):
        if k == 2:
            together.select(torch.tensor([1, 2]))
        if k >= 2:
            fock, error = fock[:, 1:], error[:, 1:]
        mixed = add(together, fock, error)
        expected = add(alone, fock[:, -1:], error[:, -1:])
        torch.testing.assert_close(mixed[:, -1:], expected, rtol=0, atol=1e-10)
