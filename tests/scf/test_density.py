"""Occupations, densities and commutators."""

import pytest
import torch

from ase_mlseqm.scf.density import aufbau, commutator, density_matrix, dot, fermi

GENERATOR = torch.Generator().manual_seed(11)


def matrices(*shape):
    a = torch.randn(*shape, shape[-1], dtype=torch.float64, generator=GENERATOR)
    return a + a.mT


def test_aufbau():
    filling = aufbau(torch.tensor([[2, 0], [1, 3]]), 3)
    assert filling.tolist() == [
        [[1, 1, 0], [0, 0, 0]],
        [[1, 0, 0], [1, 1, 1]],
    ]
    assert filling.dtype == torch.float64


@pytest.mark.parametrize("temperature", [1e-3, 0.1, 1.5, 10.0])
def test_fermi_occupations_hold_the_right_number_of_electrons(temperature):
    levels = torch.sort(torch.randn(2, 5, 9, dtype=torch.float64, generator=GENERATOR) * 8)[0]
    count = torch.tensor([[0, 1, 4, 8, 9], [3, 2, 9, 0, 5]])
    filling = fermi(levels, count, temperature)
    torch.testing.assert_close(filling.sum(-1), count.double(), rtol=0, atol=1e-10)
    assert bool(((filling >= 0) & (filling <= 1)).all())
    assert bool((filling.diff(dim=-1) <= 1e-12).all())  # lower levels hold more


def test_cold_fermi_occupations_are_integers():
    levels = torch.tensor([[[-12.0, -9.0, 1.0, 4.0]]], dtype=torch.float64)
    filling = fermi(levels, torch.tensor([[2]]), 0.01)
    torch.testing.assert_close(filling, aufbau(torch.tensor([[2]]), 4), rtol=0, atol=1e-12)


def test_warm_fermi_occupations_are_those_of_the_distribution():
    levels = torch.linspace(-5, 5, 7, dtype=torch.float64).view(1, 1, 7)
    filling = fermi(levels, torch.tensor([[3]]), 1.3)
    ratio = torch.log(filling / (1 - filling))  # (mu - e) / kT: a straight line of slope -1 / kT
    slope = ratio.diff(dim=-1) / levels.diff(dim=-1)
    torch.testing.assert_close(slope, torch.full_like(slope, -1 / 1.3), rtol=1e-9, atol=0)


def test_density_is_idempotent_and_commutes():
    fock = matrices(2, 3, 6)
    _, orbitals = torch.linalg.eigh(fock)
    count = torch.tensor([[3, 1, 6], [2, 0, 4]])
    density = density_matrix(orbitals, aufbau(count, 6))
    torch.testing.assert_close(density @ density, density, rtol=0, atol=1e-13)
    trace = density.diagonal(dim1=2, dim2=3).sum(-1)
    torch.testing.assert_close(trace, count.double(), rtol=0, atol=1e-12)
    assert float(commutator(fock, density).abs().max()) < 1e-12


def test_commutator():
    fock, density = matrices(1, 2, 5), matrices(1, 2, 5)
    value = commutator(fock, density)
    torch.testing.assert_close(value, fock @ density - density @ fock, rtol=0, atol=1e-12)
    torch.testing.assert_close(value, -value.mT, rtol=0, atol=0)
    assert float(value.abs().max()) > 1


def test_scalar_products_are_traces_over_both_spins():
    first, second = matrices(2, 3, 5), matrices(2, 3, 5)
    traces = torch.diagonal(first.mT @ second, dim1=2, dim2=3).sum((0, 2))
    torch.testing.assert_close(dot(first, second), traces, rtol=0, atol=1e-12)
