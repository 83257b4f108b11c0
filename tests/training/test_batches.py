"""Which frames make a batch."""

import numpy as np
import pytest
import torch
from small import CPU, frames

from ase_mlseqm.training.batches import POOL, chunks, collate, epoch_batches, n_orbitals

SIZES = np.random.default_rng(0).integers(2, 60, 1000)


def flat(batches):
    return np.concatenate(batches).tolist()


class TestEpoch:
    def test_depends_on_seed_and_epoch_alone(self):
        first = epoch_batches(SIZES, 16, seed=3, epoch=2)
        np.random.default_rng(1).random(7)
        torch.manual_seed(5)
        assert flat(first) == flat(epoch_batches(SIZES.copy(), 16, seed=3, epoch=2))
        for seed, epoch in ((3, 3), (4, 2), (2, 3)):
            assert flat(first) != flat(epoch_batches(SIZES, 16, seed, epoch))

    @pytest.mark.parametrize("n", [1000, 130, 16, 17, 128, 129])
    def test_every_frame_at_most_once(self, n):
        batches = epoch_batches(SIZES[:n], 16, seed=0, epoch=0)
        used = flat(batches)
        assert len(used) == len(set(used)) == n // 16 * 16
        assert {len(b) for b in batches} == {16}

    def test_nobody_is_left_out_for_ever(self):
        used = {k for e in range(20) for k in flat(epoch_batches(SIZES[:31], 16, 0, e))}
        assert used == set(range(31))

    def test_fewer_frames_than_a_batch(self):
        (batch,) = epoch_batches(SIZES[:5], 16, 0, 0)
        assert sorted(batch.tolist()) == list(range(5))
        assert epoch_batches(SIZES[:0], 16, 0, 0) == []

    def test_like_sizes_in_random_order(self):
        batches = epoch_batches(SIZES, 16, 0, 0)
        spread = np.mean([np.ptp(SIZES[b]) for b in batches])
        assert spread < 2 * np.ptp(SIZES) / POOL
        means = np.array([SIZES[b].mean() for b in batches])
        assert 0.3 < (np.diff(means) > 0).mean() < 0.7


def test_chunks():
    batch = np.random.default_rng(1).permutation(1000)[:37]
    parts = chunks(batch, SIZES, 10)
    assert [len(p) for p in parts] == [10, 9, 9, 9]
    assert sorted(flat(parts)) == sorted(batch.tolist())
    assert (np.diff(SIZES[flat(parts)]) <= 0).all()
    assert len(chunks(batch, SIZES, 100)) == 1


def test_chunks_are_of_one_kind():
    batch = np.arange(40)
    kinds = np.random.default_rng(2).integers(0, 3, 1000)
    parts = chunks(batch, SIZES, 8, kinds=kinds)
    assert sorted(flat(parts)) == batch.tolist() and max(map(len, parts)) <= 8
    assert {len(set(kinds[part])) for part in parts} == {1}
    (whole,) = chunks(np.flatnonzero(kinds == 2)[:7], SIZES, 8, kinds=kinds)
    assert len(whole) == 7


def test_collate():
    data = frames("H2O", "CH3CONH2", "H2")
    assert n_orbitals(data).tolist() == [6, 21, 2]
    found = collate(data, np.array([2, 1]), CPU)
    assert found.numbers.shape == (2, 9) and found.guess is None
    for row, k in enumerate((2, 1)):
        n = len(data.numbers[k])
        for tensor, values in (
            (found.numbers, data.numbers),
            (found.positions, data.positions),
            (found.forces, data.forces),
        ):
            np.testing.assert_array_equal(tensor[row, :n], values[k])
            assert not tensor[row, n:].any()
        assert found.energy[row] == data.atomization[k]


def test_every_worker_has_a_part():
    sizes = np.arange(64)
    parts = chunks(np.arange(64), sizes, 32, workers=4)
    assert [len(part) for part in parts] == [16] * 4
    assert sorted(np.concatenate(parts)) == list(range(64))
    assert len(chunks(np.arange(64), sizes, 32, workers=1)) == 2
    assert len(chunks(np.arange(20), sizes, 32, workers=16)) == 2  # smaller ones are not worth it
