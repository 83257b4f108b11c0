"""Turned orbitals against diagonalised ones."""

import pytest
import torch
from helpers import build, problem

from ase_mlseqm import SCFSettings
from ase_mlseqm.scf import orbitals as module
from ase_mlseqm.scf import solve
from ase_mlseqm.scf.orbitals import Orbitals, eigh

GENERATOR = torch.Generator().manual_seed(5)
CLOSED = [build(n) for n in ("CH3CONH2", "C6H6", "CHFBrI", "SO2", "C4H4O")] + [build("HCOO", -1)]
OPEN = [build("CH3", 0, 2), build("O2", 0, 3), build("NO2", 0, 2), build("H2CO", 0, 3)]
NEAR, FAR = torch.tensor([0.01]), torch.tensor([1.0])
OCCUPIED = {"same": [[4, 4, 4], [3, 3, 3]], "other": [[5, 2, 9], [0, 2, 4]]}


@pytest.fixture
def always(monkeypatch):
    """Turn the orbitals of small molecules, too; the numbers of turns and of refusals."""
    counts = {True: 0, False: 0}
    turn = Orbitals._turn

    def counted(self, fock, rows):
        left = turn(self, fock, rows)
        for refused in left.tolist():
            counts[not refused] += 1
        return left

    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(Orbitals, "_turn", counted)
    return counts


def start(counts):
    return Orbitals(counts, torch.full((counts.shape[1],), 9))


def symmetric(*shape):
    a = torch.randn(*shape, shape[-1], dtype=torch.float64, generator=GENERATOR)
    return a + a.mT


def exact(fock, occupied):
    """Densities of the lowest orbitals, one matrix after another."""
    _, vectors = torch.linalg.eigh(fock)
    found = torch.zeros_like(fock)
    for s, row in enumerate(occupied.tolist()):
        for b, count in enumerate(row):
            part = vectors[s, b, :, :count]
            found[s, b] = part @ part.mT
    return found


@pytest.mark.parametrize("occupied", OCCUPIED.values(), ids=OCCUPIED)
def test_error_of_a_turn_is_of_second_order(always, occupied):
    counts = torch.tensor(occupied)
    level = torch.arange(9.0, dtype=torch.float64)
    gap = 4.0 * (level >= counts.unsqueeze(-1))
    basis, _ = torch.linalg.qr(symmetric(2, 3, 9))
    fock = basis @ torch.diag_embed(level + gap) @ basis.mT
    change = symmetric(2, 3, 9)
    errors = []
    for size in (1e-3, 1e-4):
        orbitals = start(counts)
        torch.testing.assert_close(
            orbitals.density(fock, FAR), exact(fock, counts), rtol=0, atol=1e-12
        )
        density = orbitals.density(fock + size * change, NEAR)
        torch.testing.assert_close(density @ density, density, rtol=0, atol=1e-10)
        found = density.diagonal(dim1=2, dim2=3).sum(-1)
        torch.testing.assert_close(found, counts.double(), rtol=0, atol=1e-10)
        errors.append(float((density - exact(fock + size * change, counts)).abs().max()))
    assert always == {True: 12, False: 0}
    assert errors[1] < 1e-7
    assert 80 < errors[0] / errors[1] < 125


def test_turns_add_up_to_a_diagonalisation(always):
    """Again and again at one matrix: what is left of second order goes away."""
    counts = torch.tensor(OCCUPIED["other"])
    gap = 18.0 * torch.diag_embed((torch.arange(9) >= counts.unsqueeze(-1)).double())
    fock = symmetric(2, 3, 9) + gap
    orbitals = start(counts)
    orbitals.density(fock, FAR)
    new = fock + 0.05 * symmetric(2, 3, 9)
    for _ in range(25):
        density = orbitals.density(new, NEAR)
    assert always[True] == 6 * 25
    torch.testing.assert_close(density, exact(new, counts), rtol=0, atol=1e-12)


def test_large_turns_are_left_to_the_diagonalisation(always):
    counts = torch.tensor([[2]])
    fock = torch.diag(torch.tensor([0.0, 1.0, 1.5, 3.0], dtype=torch.float64)).view(1, 1, 4, 4)
    far = fock + 0.3 * (1.0 - torch.eye(4))
    orbitals = start(counts)
    orbitals.density(fock, FAR)
    torch.testing.assert_close(orbitals.density(far, NEAR), exact(far, counts))
    torch.testing.assert_close(orbitals.density(fock, FAR), exact(fock, counts))
    assert always == {True: 0, False: 1}


def test_molecules_that_are_done_leave(always):
    counts = torch.tensor(OCCUPIED["other"])
    gap = 9.0 * torch.diag_embed((torch.arange(9) >= counts.unsqueeze(-1)).double())
    fock = symmetric(2, 3, 9).mul(0.3) + gap
    orbitals, keep = start(counts), torch.tensor([0, 2])
    orbitals.density(fock, FAR)
    orbitals.select(keep)
    for _ in range(12):
        density = orbitals.density(fock[:, keep] + 0.01, NEAR)
    assert always[True] == 4 * 12
    torch.testing.assert_close(
        density, exact(fock[:, keep] + 0.01, counts[:, keep]), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("occupied", OCCUPIED.values(), ids=OCCUPIED)
def test_what_is_done_to_a_molecule_does_not_depend_on_the_others(always, occupied):
    """Of four matrices one is far, one needs a large turn, and two are turned."""
    counts = torch.tensor([[*row, row[1]] for row in occupied])
    gap = 9.0 * torch.diag_embed((torch.arange(9) >= counts.unsqueeze(-1)).double())
    fock = symmetric(2, 4, 9).mul(0.3) + gap
    new = fock + torch.tensor([0.01, 0.01, 0.01, 3.0]).view(4, 1, 1) * symmetric(2, 4, 9)
    residual = torch.tensor([0.01, 1.0, 0.01, 0.01])
    together = start(counts)
    together.density(fock, residual)
    found = together.density(new, residual)
    assert always[True] == 4 and always[False] >= 1
    for b in range(4):
        only = slice(b, b + 1)
        alone = start(counts[:, only])
        alone.density(fock[:, only], residual[only])
        density = alone.density(new[:, only], residual[only])
        torch.testing.assert_close(found[:, only], density, rtol=0, atol=1e-13)
    for b in (1, 3):
        assert float((found - exact(new, counts))[:, b].abs().max()) < 1e-12


@pytest.mark.parametrize("tolerance", [1e-6, 1e-10])
@pytest.mark.parametrize(("molecules", "unrestricted"), [(CLOSED, False), (OPEN, True)])
def test_self_consistent_fields_are_the_same(always, molecules, unrestricted, tolerance):
    """Down to the tightest tolerance: errors of many turns do not add up."""
    settings = SCFSettings(tolerance=tolerance, ladder=False)
    part = problem(molecules, "PM3", unrestricted)
    turned = solve(part.builder, part.occupied, None, settings)
    assert always[True] > 5
    module.LARGE = 1000
    plain = solve(part.builder, part.occupied, None, settings)
    assert bool(turned.converged.all()) and bool((turned.residual < tolerance).all())
    assert int((turned.iterations - plain.iterations).max()) <= 3
    bound = max(2.0 * tolerance, 1e-11)
    torch.testing.assert_close(turned.density, plain.density, rtol=0, atol=bound)
    torch.testing.assert_close(turned.mo_energies, plain.mo_energies, rtol=0, atol=10 * bound)


def test_a_matrix_without_numbers_stays_alone():
    fock = symmetric(3, 5)
    fock[1] = float("nan")
    energies, vectors = eigh(fock)
    assert bool(torch.isnan(energies[1]).all()) and bool(torch.isnan(vectors[1]).all())
    torch.testing.assert_close(energies[[0, 2]], torch.linalg.eigh(fock[[0, 2]])[0])
