"""Fock matrices from the integrals as they are, those of large molecules, and from matrices."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import build, problem

from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo import chunks
from ase_mlseqm.nddo.fock import build_maps, fock_builder
from ase_mlseqm.nddo.integrals import integrals, prepare
from ase_mlseqm.nddo.parameters import table_parameters
from ase_mlseqm.nddo.two_electron import Matrices, Pairs

MOLECULES = [build(n, 0, 1) for n in ("CH3CONH2", "H2", "CHFBrI", "PF3", "AlH3", "HCl")]
MOLECULES += [build("NH4", 1), build("HCOO", -1)]


def both(molecules, method, unrestricted):
    """The builder of a batch with matrices, that without, and a random symmetric density."""
    part = problem(molecules, method, unrestricted)
    layout = part.layout
    constants = prepare(layout, table_parameters(method, layout.numbers))
    ints = integrals(layout, constants, part.batch.positions.flatten(0, 1)[layout.slot])
    maps = dataclasses.replace(build_maps(layout), w=None)
    spare = fock_builder(layout, maps, constants, ints)
    assert isinstance(part.builder.two, Matrices) and isinstance(spare.two, Pairs)
    shape = (1 + unrestricted, len(molecules), layout.N, layout.N)
    generator = torch.Generator().manual_seed(4)
    density = torch.randn(shape, generator=generator, dtype=torch.float64)
    return part.builder, spare, density + density.mT


@pytest.mark.parametrize("method", ["MNDO", "AM1"])
@pytest.mark.parametrize("unrestricted", [False, True])
def test_fock_matrices_without_matrices_of_integrals(method, unrestricted, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 7)  # several parts, the last one shorter
    builder, spare, density = both(MOLECULES, method, unrestricted)
    torch.testing.assert_close(spare(density), builder(density), rtol=0, atol=1e-10)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_some_of_the_molecules(unrestricted):
    builder, spare, density = both(MOLECULES, "PM3", unrestricted)
    whole = builder(density)
    for keep in ([0], [1, 3, 4], [len(MOLECULES) - 1], list(range(1, len(MOLECULES)))):
        index = torch.tensor(keep)
        part = spare.select(index)
        assert isinstance(part.two, Pairs)
        torch.testing.assert_close(part(density[:, index]), whole[:, index], rtol=0, atol=1e-10)


def test_molecules_without_some_kinds_of_pairs():
    for molecule in (
        build("H2"),
        build("HCl"),
        build("SO2"),
        Molecule(np.array([8]), np.zeros((1, 3)), 0, 1),
    ):
        builder, spare, density = both([molecule], "PM3", False)
        torch.testing.assert_close(spare(density), builder(density), rtol=0, atol=1e-11)
