"""Densities by products of matrices alone, against diagonalisation."""

import numpy as np
import pytest
import torch
from helpers import TIGHT, build, run

from ase_mlseqm.scf import iterate
from ase_mlseqm.scf.density import aufbau, density_matrix
from ase_mlseqm.scf.purification import Purification, purified

N = 37


def matrices(gap: float, n_b: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Matrices with padding, how many of their levels are filled and real; the highest filled and
    the lowest empty one are ``gap`` apart."""
    random = np.random.default_rng(int(1e6 * gap))
    real = random.integers(1, N + 1, n_b)
    filled = random.integers(0, real + 1)
    out = np.zeros((n_b, N, N))
    for matrix, n, k in zip(out, real, filled, strict=True):
        turn = np.linalg.qr(random.normal(size=(n, n)))[0]
        below, above = -40.0 * random.random(k), gap + 15.0 * random.random(n - k)
        levels = np.sort(np.concatenate((below - max(below, default=0), above)))
        if n > k:
            levels[k] = gap
        matrix[:n, :n] = (turn * levels) @ turn.T
        matrix[range(n, N), range(n, N)] = 1000.0
    return torch.from_numpy(out), torch.from_numpy(filled), torch.from_numpy(real)


@pytest.mark.parametrize("gap", [10.0, 1.0, 1e-2])
def test_projectors(gap):
    fock, filled, real = matrices(gap)
    found, done = purified(fock, filled, real)
    assert done.all()
    orbitals = torch.linalg.eigh(fock)[1].unsqueeze(0)
    expected = density_matrix(orbitals, aufbau(filled, N).unsqueeze(0))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 / min(gap, 1.0))


def test_what_cannot_be_purified_is_diagonalised():
    """No gap at all, and what is not a number, which does not touch the others."""
    fock, filled, real = matrices(2.0, 6)
    fock[1] = torch.diag(torch.tensor([-1.0] * 3 + [0.0] * 3 + [5.0] * (N - 6), dtype=fock.dtype))
    filled[1], real[1] = 4, N
    fock[4, 0, 0] = torch.nan
    assert purified(fock, filled, real)[1].tolist() == [True, False, True, True, False, True]
    density = Purification(filled[None], real).density(fock[None], torch.ones(6))[0]
    rest = density[[0, 1, 2, 3, 5]]
    np.testing.assert_allclose(rest @ rest, rest, atol=1e-12)
    trace = rest.diagonal(dim1=1, dim2=2).sum(1)
    np.testing.assert_allclose(trace, filled[[0, 1, 2, 3, 5]], atol=1e-12)


def test_molecules_that_are_left():
    fock, filled, real = matrices(1.0, 6)
    keep = torch.tensor([2, 3, 5])
    assert len(set(real.tolist())) > 3
    some = Purification(filled[None], real)
    some.select(keep)
    found = some.density(fock[None, keep], torch.ones(3))[0]
    orbitals = torch.linalg.eigh(fock[keep])[1].unsqueeze(0)
    expected = density_matrix(orbitals, aufbau(filled[keep], N).unsqueeze(0))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_only_on_a_device_and_for_many():
    assert not Purification.pays(torch.zeros(2, 100, 50, 50))
    assert not Purification.pays(torch.zeros(1, 1, 50, 50, device="meta"))
    assert not Purification.pays(torch.zeros(2, 100, 20, 20, device="meta"))
    assert Purification.pays(torch.zeros(2, 100, 50, 50, device="meta"))


@pytest.mark.parametrize("unrestricted", [False, True])
def test_the_same_solutions(monkeypatch, unrestricted):
    """A batch of different sizes, among them a triplet; and one that needs other aids."""
    molecules = [build(name) for name in ("CH3CONH2", "C6H6", "HCN", "CH3CH2OH", "H2CO")]
    if unrestricted:
        molecules += [build("O2", 0, 3), build("NO2", 0, 2)]
    properties = ("energy", "forces", "charges", "mo_energies")
    expected = run(molecules, "PM3", properties, scf=TIGHT, unrestricted=unrestricted)
    used = []

    def density(self, *given):
        used.append(len(given[0]))
        return whole(self, *given)

    whole = Purification.density
    monkeypatch.setattr(Purification, "density", density)
    monkeypatch.setattr(Purification, "pays", staticmethod(lambda _: True))
    found = run(molecules, "PM3", properties, scf=TIGHT, unrestricted=unrestricted)
    assert set(used) == {1 + unrestricted}
    assert iterate.Purification is Purification
    for one, two in zip(found, expected, strict=True):
        assert one.converged and one.energy == pytest.approx(two.energy, abs=1e-9)
        np.testing.assert_allclose(one.forces, two.forces, atol=1e-7)
        np.testing.assert_allclose(one.charges, two.charges, atol=1e-7)
