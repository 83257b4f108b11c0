"""Starting densities hold the right electrons and break the symmetries they should."""

import numpy as np
import pytest
import torch
from helpers import build, problem

from ase_mlseqm.batch import Molecule
from ase_mlseqm.scf import guess
from ase_mlseqm.scf.density import aufbau, density_matrix

SPECIES = [build("CH3OH"), build("H2"), build("NH4", 1), build("HCOO", -1), build("AlF3")]
RADICALS = [build("CH3", 0, 2), build("O2", 0, 3), build("H2O", 1, 2), build("H2", 0, 3)]


def trace(density):
    return density.diagonal(dim1=2, dim2=3).sum(-1)


@pytest.mark.parametrize(("molecules", "unrestricted"), [(SPECIES, False), (RADICALS, True)])
def test_occupied_orbitals(molecules, unrestricted):
    part = problem(molecules, unrestricted=unrestricted)
    valence = {1: 1, 6: 4, 7: 5, 8: 6, 9: 7, 13: 3}
    for column, molecule in enumerate(molecules):
        electrons = sum(valence[z] for z in molecule.numbers.tolist()) - molecule.charge
        counts = part.occupied[:, column].tolist()
        if unrestricted:
            assert sum(counts) == electrons
            assert counts[0] - counts[1] == molecule.multiplicity - 1
        else:
            assert [2 * c for c in counts] == [electrons]


@pytest.mark.parametrize(("molecules", "unrestricted"), [(SPECIES, False), (RADICALS, True)])
def test_diagonal_guess(molecules, unrestricted):
    part = problem(molecules, unrestricted=unrestricted)
    density = guess.diagonal(part.layout, part.occupied)
    count = part.occupied.double()
    torch.testing.assert_close(trace(density), count, rtol=0, atol=1e-12)
    populations = density.diagonal(dim1=2, dim2=3)
    torch.testing.assert_close(torch.diag_embed(populations), density, rtol=0, atol=0)
    assert bool(((populations >= 0) & (populations <= 1)).all())
    for column, n in enumerate(part.layout.n_orbitals.tolist()):
        assert bool((populations[:, column, n:] == 0).all())
        filled = count[:, column] > 0
        assert bool((populations[filled, column, :n] > 0).all())


def test_noise_is_reproducible_and_breaks_the_spin_symmetry():
    part = problem(SPECIES, unrestricted=True)
    one, two, other = (guess.perturbed(part.layout, part.occupied, s) for s in (1, 1, 2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert float((one - other).abs().max()) > 1e-2
    assert float((one[0] - one[1]).abs().max()) > 1e-2


def test_noise_of_a_molecule_does_not_depend_on_its_batch():
    together = problem(SPECIES)
    alone = problem(SPECIES[:1])
    n = alone.layout.N
    one = guess.perturbed(together.layout, together.occupied, 3)[:, :1, :n, :n]
    two = guess.perturbed(alone.layout, alone.occupied, 3)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-14)


def test_broken_symmetry():
    part = problem([SPECIES[0], SPECIES[1]], unrestricted=True)
    start = guess.diagonal(part.layout, part.occupied)
    _, orbitals = torch.linalg.eigh(part.builder(start))
    filling = aufbau(part.occupied, part.layout.N)
    density = density_matrix(orbitals, filling)
    for depth in (1, 2, 4):
        broken = guess.broken_symmetry(
            density, orbitals, part.occupied, part.layout.n_orbitals, depth
        )
        torch.testing.assert_close(trace(broken), part.occupied.double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(broken @ broken, broken, rtol=0, atol=1e-12)
        assert float((broken[0] - broken[1]).abs().max()) > 0.1
        # alpha and beta are mirror images: no net spin
        torch.testing.assert_close(trace(broken)[0], trace(broken)[1], rtol=0, atol=1e-12)


def test_broken_symmetry_leaves_full_shells_alone():
    hydroxide = problem([build("OH", -1)], unrestricted=True)
    fluoride = problem([Molecule(np.array([9]), np.zeros((1, 3)), -1)], unrestricted=True)
    for case in (hydroxide, fluoride):
        start = guess.diagonal(case.layout, case.occupied)
        _, orbitals = torch.linalg.eigh(case.builder(start))
        density = density_matrix(orbitals, aufbau(case.occupied, case.layout.N))
        broken = guess.broken_symmetry(density, orbitals, case.occupied, case.layout.n_orbitals, 4)
        torch.testing.assert_close(trace(broken), case.occupied.double(), rtol=0, atol=1e-12)
        if case is fluoride:
            torch.testing.assert_close(broken, density, rtol=0, atol=0)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_noise_does_not_depend_on_the_other_molecules(unrestricted):
    small = build("H2O")
    alone, beside = (
        problem(molecules, unrestricted=unrestricted)
        for molecules in ([small], [small, build("CH3OH")])
    )
    one, two = (guess.perturbed(part.layout, part.occupied, 3) for part in (alone, beside))
    n = one.shape[-1]
    torch.testing.assert_close(two[:, 0, :n, :n], one[:, 0], rtol=0, atol=0)
    assert float((one - guess.diagonal(alone.layout, alone.occupied)).abs().max()) > 0.01


def test_spins_alternate_from_atom_to_atom():
    """Along a chain, whatever its orientation, and not at all far from it."""
    chain = np.array([[0.0, 0.0, 1.3 * k] for k in range(5)])
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    cases = [Molecule(np.array([6, 7, 6, 1, 8]), positions) for positions in (chain, chain @ turn)]
    part = problem([*cases, build("H2O")], unrestricted=True)
    start = guess.alternating(part.layout, part.occupied, part.builder.hcore)
    excess = ((start[0] - start[1]).diagonal(dim1=1, dim2=2).unsqueeze(1) @ part.layout.owner)[:, 0]
    assert (excess[:2].sign() * excess[:2, :1].sign()).tolist() == [[1.0, -1.0, 1.0, -1.0, 1.0]] * 2
    torch.testing.assert_close(excess[0].abs(), excess[1].abs(), rtol=1e-9, atol=1e-9)
    assert excess[2, 0] * excess[2, 1] < 0 < excess[2, 1] * excess[2, 2]  # O against both H
    total = 2.0 * guess.diagonal(part.layout, part.occupied)[:1]
    torch.testing.assert_close(start.sum(0, keepdim=True), total, rtol=0, atol=1e-12)
