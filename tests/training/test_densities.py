"""Densities that are kept: they come back, and only the number of iterations depends on them."""

import numpy as np
import pytest
import torch
from helpers import build
from learned import learned
from small import CPU, batch_gradient, dataset, frames

from ase_mlseqm.training.densities import DensityCache
from ase_mlseqm.training.parallel import World


def random_densities(sizes, width, n_spins=1):
    """Symmetric (S, B, N, N), zero beyond the orbitals of each."""
    generator = torch.Generator().manual_seed(0)
    out = torch.zeros(n_spins, len(sizes), width, width, dtype=torch.float64)
    for row, n in enumerate(sizes):
        block = torch.randn(n_spins, n, n, generator=generator, dtype=torch.float64)
        out[:, row, :n, :n] = block + block.mT
    return out


class TestCache:
    @pytest.mark.parametrize("n_spins", [1, 2])
    def test_mixed_sizes(self, n_spins):
        """Kept in two batches of other widths than the one they are found for."""
        sizes = np.array([6, 1, 24, 10, 2])
        cache = DensityCache(sizes)
        every = torch.ones(3, dtype=torch.bool)
        for indices, width in ((np.array([0, 2, 4]), 24), (np.array([3, 1]), 12)):
            kept = random_densities(sizes[indices], width, n_spins)
            cache.keep(indices, kept, every[: len(indices)])
            found = cache.find(indices, CPU)
            n = sizes[indices].max()
            assert found.shape == (n_spins, len(indices), n, n) and found.dtype == torch.float64
            torch.testing.assert_close(found, kept[:, :, :n, :n], rtol=0, atol=1e-6)
        small = cache.find(np.array([3, 0]), CPU)
        assert small.shape == (n_spins, 2, 10, 10) and not small[0, 1, 6:].any()

    def test_unknown_and_unconverged(self):
        cache, sizes = DensityCache(np.array([6, 4, 4])), [6, 4]
        ok = torch.tensor([True, False])
        cache.keep(np.array([0, 1]), random_densities(sizes, 6), ok)
        assert cache.find(np.array([0]), CPU) is not None
        assert cache.find(np.array([0, 1]), CPU) is None
        assert cache.find(np.array([2]), CPU) is None


def test_each_process_takes_its_share_whatever_it_knows():
    """Radicals whose state is known are computed apart, and of which it is known differs."""
    molecules = [build(name, seed=seed) for seed in range(6) for name in ("CH3", "NH2", "H2O")]
    data, model, batch = dataset(molecules), learned(), np.arange(18)
    taken = []
    for rank, known in ((0, [0, 1, 3, 4, 16]), (1, [7, 9])):
        calculate = batch_gradient(model, data, keep_densities=True, chunk_size=4)
        calculate.world = World(rank, 2)
        width = int(calculate.sizes.max())
        densities = random_densities(calculate.sizes[known], width, n_spins=2)
        calculate.cache.keep(np.array(known), densities, torch.ones(len(known), dtype=torch.bool))
        parts = calculate._parts(batch)
        kinds = [set((2 * data.unrestricted + np.isin(batch, known))[part]) for part in parts]
        assert {
            len(kind) for kind, part in zip(kinds, parts, strict=True) if data.unrestricted[part[0]]
        } == {1}
        taken += [k for part in parts for k in part.tolist()]
    assert sorted(taken) == batch.tolist()


def test_same_loss_in_fewer_iterations(monkeypatch):
    data, model = frames("H2O", "CH3CONH2", "NH3", "H2CO", "HCN"), learned()
    calculate = batch_gradient(model, data, keep_densities=True, chunk_size=2)
    batch, iterations = np.arange(len(data)), []
    first = calculate._first

    def counted(part):
        item = first(part)
        iterations[-1] += int(item.iterations.sum())
        return item

    monkeypatch.setattr(calculate, "_first", counted)
    results = []
    for _ in range(2):
        iterations.append(0)
        results.append(calculate(batch))
    # found again for other chunks of the batch
    iterations.append(0)
    results.append(calculate(batch[[3, 0, 4]]))
    assert iterations[1] < 0.7 * iterations[0]
    (cold, gradient), (warm, again), _ = results
    assert warm.loss == pytest.approx(cold.loss, abs=1e-7)
    for one, two in zip(gradient, again, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    alone, _ = batch_gradient(model, data, chunk_size=2)(batch[[3, 0, 4]])
    assert results[2][0].loss == pytest.approx(alone.loss, abs=1e-7)
