"""The hand-written derivative of the pair energies against the graph and against differences."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import build, five_point

from ase_mlseqm.batch import collate
from ase_mlseqm.nddo.energy import pair_energy
from ase_mlseqm.nddo.gradient import position_gradient
from ase_mlseqm.nddo.integrals import (
    Integrals,
    geometry,
    integrals,
    integrals_and_slopes,
    prepare,
)
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import METHODS, table_parameters

MOLECULES = [build(n, 0, 1) for n in ("CH3CONH2", "CHFBrI", "SO2", "H2", "CH3SiH3", "HCl", "AlH3")]


def pieces(method, molecules, width=1.0):
    """Orbitals are ``width`` times as wide as those of the table."""
    batch = collate(molecules)
    layout = build_layout(batch.numbers)
    table = table_parameters(method, layout.numbers)
    zeta = {"zeta_s": table.zeta_s / width, "zeta_p": table.zeta_p / width}
    constants = prepare(layout, dataclasses.replace(table, **zeta))
    return layout, constants, batch.positions.flatten(0, 1)[layout.slot]


def random_coefficients(like, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Integrals(
        *(torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in like.tensors())
    )


@pytest.mark.parametrize("method", METHODS)
def test_against_autograd(method):
    """For coefficients that belong to no density: every element of every integral counts."""
    layout, constants, positions = pieces(method, MOLECULES)
    positions.requires_grad_()
    ints = integrals(layout, constants, positions)
    c = random_coefficients(ints)
    (expected,) = torch.autograd.grad(pair_energy(ints, c).sum(), positions)
    with torch.no_grad():
        shape = geometry(layout, positions)
        both = integrals_and_slopes(layout, constants, shape)
        values = both.row(0)
        found = position_gradient(layout, shape, values, pair_energy(both, c)[1], c)
    for one, two in zip(values.tensors(), ints.tensors(), strict=True):
        torch.testing.assert_close(one, two.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-10)
    assert float(expected.abs().max()) > 1.0


@pytest.mark.parametrize("method", METHODS)
def test_against_differences(method):
    """As above without a graph anywhere."""
    layout, constants, positions = pieces(method, [MOLECULES[1], MOLECULES[4]])
    shape = geometry(layout, positions)
    both = integrals_and_slopes(layout, constants, shape)
    c = random_coefficients(both.row(0), 1)
    found = position_gradient(layout, shape, both.row(0), pair_energy(both, c)[1], c)
    rng, h = np.random.default_rng(0), 1e-3
    for _ in range(6):
        direction = torch.from_numpy(rng.standard_normal(positions.shape))
        energies = [
            float(pair_energy(integrals(layout, constants, positions + k * h * direction), c).sum())
            for k in (-2, -1, 1, 2)
        ]
        numeric = five_point(np.array(energies), h)
        assert float((found * direction).sum()) == pytest.approx(numeric, rel=0, abs=1e-5)


def test_beyond_the_cutoff_of_the_overlaps():
    """Resonance integrals are constant there, and their slope is zero, also of orbitals so wide
    that something is left of them."""
    molecule = build("HCl", 0, 1)
    for distance in (23.7, 23.8, 23.82, 24.0, 60.0):
        positions = np.array([[0.0, 0, 0], [0.1, distance, -0.2]])
        layout, constants, _ = pieces("PM3", [molecule], width=5.0)
        r = torch.from_numpy(positions).requires_grad_()
        ints = integrals(layout, constants, r)
        c = random_coefficients(ints)
        (expected,) = torch.autograd.grad(pair_energy(ints, c).sum(), r)
        with torch.no_grad():
            shape = geometry(layout, r)
            both = integrals_and_slopes(layout, constants, shape)
            steep = pair_energy(both, c)[1]
            found = position_gradient(layout, shape, both.row(0), steep, c)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
