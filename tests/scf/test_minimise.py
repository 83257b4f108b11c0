"""Direct minimisation: its derivatives, and that it goes down until it is there."""

import numpy as np
import pytest
import torch
from helpers import build, problem

from ase_mlseqm.batch import Molecule
from ase_mlseqm.scf import guess
from ase_mlseqm.scf import minimise as module
from ase_mlseqm.scf.density import aufbau, commutator
from ase_mlseqm.scf.iterate import iterate
from ase_mlseqm.scf.minimise import minimise
from ase_mlseqm.scf.rungs import PlainDIIS

CLOSED = ["CH3CONH2", "H2O", "CH3Cl", "PF3", "HCN", "CHFBrI"]
OPEN = [("CH3", 0, 2), ("O2", 0, 3), ("H2O", 1, 2), ("C2H5", 0, 2)]


def cases(unrestricted):
    if unrestricted:
        return problem([build(*spec) for spec in OPEN], "PM3", True)
    return problem([build(name) for name in CLOSED], "PM3")


def first_orbitals(part, seed=None):
    """Those of the Fock matrix of a starting density."""
    start = guess.diagonal(part.layout, part.occupied)
    if seed is not None:
        start = guess.perturbed(part.layout, part.occupied, seed)
    return torch.linalg.eigh(part.builder(start))[1]


@pytest.mark.parametrize("unrestricted", [False, True])
def test_reaches_the_energy_of_diis(unrestricted):
    part = cases(unrestricted)
    start = guess.diagonal(part.layout, part.occupied)
    aid = PlainDIIS(part.occupied, start, 8)
    expected = iterate(part.builder, part.occupied, start, aid, 1e-8, 400)
    found = minimise(part.builder, part.occupied, first_orbitals(part), 1e-8, 50)
    assert bool((found.residual < 1e-8).all())
    energies = [part.builder.energy(a.density, part.builder(a.density)) for a in (found, expected)]
    torch.testing.assert_close(*energies, rtol=0, atol=1e-8)
    torch.testing.assert_close(found.fock, part.builder(found.density), rtol=0, atol=1e-9)
    rebuilt = commutator(part.builder(found.density), found.density).abs().amax((0, 2, 3))
    torch.testing.assert_close(rebuilt, found.residual, rtol=1e-3, atol=1e-11)
    squared = found.density @ found.density
    torch.testing.assert_close(squared, found.density, rtol=0, atol=1e-10)
    trace = found.density.diagonal(dim1=2, dim2=3).sum(-1)
    torch.testing.assert_close(trace, part.occupied.double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_the_quadratic_model_is_that_of_the_energy(unrestricted, monkeypatch):
    """What a short step promises is what it brings, up to the third order."""
    part = cases(unrestricted)
    n = part.layout.N
    surface = module._Surface(part.builder, aufbau(part.occupied, n))
    here = surface.at(first_orbitals(part, seed=3))
    levels, orbitals = surface.canonical(here)
    errors = []
    for radius in (2e-2, 1e-2):
        border = torch.full_like(here.energy, radius)
        x, model, _, at_border = surface.newton_step(here, levels, orbitals, border)
        assert bool(at_border.all())
        difference = (levels.unsqueeze(-2) - levels.unsqueeze(-1)).clamp(min=module.FLOOR)
        length = (difference * x**2).sum((0, 2, 3)).sqrt()
        torch.testing.assert_close(length, border, rtol=1e-6, atol=0)
        there = surface.at(orbitals @ torch.linalg.matrix_exp(x.mT - x))
        errors.append((there.energy - here.energy - model).abs())
        assert bool((model < 0).all())
        # a model without the second order would be off by this
        slope = (x * (orbitals.mT @ here.fock @ orbitals)).sum((0, 2, 3))
        assert bool((errors[-1] < 0.1 * (model - slope).abs() + 1e-9).all())
    assert bool((errors[1] < errors[0] / 5 + 1e-9).all())


def test_steps_of_several_directions_end_at_the_border():
    """As long as the border is away in the metric, however many products they take."""
    part = cases(False)
    surface = module._Surface(part.builder, aufbau(part.occupied, part.layout.N))
    here = surface.at(first_orbitals(part))
    levels, orbitals = surface.canonical(here)
    border = torch.full_like(here.energy, 1.5)
    x, _, products, at_border = surface.newton_step(here, levels, orbitals, border)
    metric = (levels.unsqueeze(-2) - levels.unsqueeze(-1)).clamp(min=module.FLOOR)
    length = (metric * x**2).sum((0, 2, 3)).sqrt()
    assert bool((at_border & (products > 2)).any())
    torch.testing.assert_close(length[at_border], border[at_border], rtol=1e-9, atol=0)
    assert bool((length < border * (1 + 1e-9)).all())


def test_close_to_the_minimum_the_residual_is_squared():
    part = problem([build("CH3CONH2")])
    orbitals = first_orbitals(part)
    residuals = [
        float(minimise(part.builder, part.occupied, orbitals, 1e-13, steps).residual[0])
        for steps in range(1, 15)
    ]
    close = next(k for k, residual in enumerate(residuals) if residual < 1e-2)
    assert residuals[close + 2] < 1e-7


@pytest.mark.parametrize("reckless", [False, True])
def test_never_goes_up(monkeypatch, reckless):
    """From orbitals without any sense, and with steps that are far too long."""
    if reckless:
        monkeypatch.setattr(module, "RADIUS", 100.0)
        monkeypatch.setattr(module, "MAX_RADIUS", 100.0)
        monkeypatch.setattr(module, "FLOOR", 1e-3)
    part = problem([build("CH3NO2", seed=k) for k in range(3)])
    generator = torch.Generator().manual_seed(0)
    n = part.layout.N
    orbitals = torch.randn(1, 3, n, n, generator=generator, dtype=torch.float64)
    orbitals = torch.linalg.qr(orbitals)[0]
    energy = []
    for steps in range(20):
        density = minimise(part.builder, part.occupied, orbitals, 1e-7, steps).density
        energy.append(part.builder.energy(density, part.builder(density)))
    energy = torch.stack(energy)
    assert float(energy.diff(dim=0).max()) < 1e-8
    assert bool((energy[-1] < energy[0] - 10.0).all())


def test_leaves_a_saddle_point():
    """Stretched H2, unrestricted: the paired solution is stationary, but not a minimum."""
    molecule = Molecule(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 2.5]]))
    part = problem([molecule], "PM3", True)
    paired = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    tilt = torch.tensor([[0.0, 1e-4], [-1e-4, 0.0]], dtype=torch.float64)
    tilted = [paired @ torch.linalg.matrix_exp(sign * tilt) for sign in (1, -1)]
    found = minimise(part.builder, part.occupied, torch.stack(tilted).unsqueeze(1), 1e-8, 50)
    assert float(found.residual) < 1e-8
    populations = found.density.diagonal(dim1=2, dim2=3)[:, 0]
    assert float((populations[0] - populations[1]).abs().max()) > 0.9


def test_a_molecule_alone_ends_where_it_ends_in_a_batch():
    """Molecules leave one by one, and none is disturbed by that."""
    names = ["H2O", "CH3NO2", "SO2", "H2"]
    part = problem([build(name) for name in names])
    together = minimise(part.builder, part.occupied, first_orbitals(part), 1e-8, 50)
    assert len(set(together.iterations.tolist())) > 1
    for column, name in enumerate(names):
        alone = problem([build(name)])
        orbitals = first_orbitals(alone)
        result = minimise(alone.builder, alone.occupied, orbitals, 1e-8, 50)
        n = alone.layout.N
        density = together.density[:, column : column + 1, :n, :n]
        torch.testing.assert_close(density, result.density, rtol=0, atol=1e-8)
        assert int(result.iterations[0]) == int(together.iterations[column])
