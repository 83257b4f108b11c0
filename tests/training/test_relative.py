"""Energies relative to other frames of a molecule."""

import dataclasses

import numpy as np
import torch
from small import CPU, frames

from ase_mlseqm.training.parallel import World
from ase_mlseqm.training.relative import RelativeErrors
from ase_mlseqm.training.steps import PassSums, relative_errors

FRAMES = np.array([10, 11, 12, 13, 14, 15, 15, 16])
MOLECULES = np.array([0, 1, 0, 1, 0, 2, 2, 3])
ERRORS = torch.tensor([1.0, 5.0, 2.0, 7.0, torch.nan, 3.0, 3.0, 4.0], dtype=torch.float64)
OK = ~ERRORS.isnan()


def test_minus_the_mean_of_what_is_used():
    """A frame without a result, one that occurs twice, and a molecule of one frame."""
    found = RelativeErrors(FRAMES, MOLECULES, ERRORS.nan_to_num(), OK)
    assert found.used.tolist() == [True] * 4 + [False] * 4
    assert found.errors.tolist() == [-0.5, -1.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert float(found.sums.count) == 4 and float(found.sums.mae) == 0.75


def test_slope():
    values = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at = values.clone().requires_grad_()
    (expected,) = torch.autograd.grad(RelativeErrors(FRAMES, MOLECULES, at, OK).sums.term(0.4), at)
    found = RelativeErrors(FRAMES, MOLECULES, values, OK).slope(0.4)
    torch.testing.assert_close(found, expected)
    assert not found[4:].any()


def test_nothing_to_compare():
    found = RelativeErrors(FRAMES[:1], MOLECULES[:1], ERRORS[:1], OK[:1])
    assert float(found.sums.term(0.5)) == 0.0 and not found.slope(0.5).any()


def test_processes_put_theirs_together():
    """What each puts in its places adds up to what one process would have."""
    data = dataclasses.replace(frames("H2O", copies=8), molecule=MOLECULES)
    parts = [np.array([0, 1, 2]), np.array([3, 4]), np.array([5, 6, 7])]
    rows = [PassSums(torch.zeros(16), ERRORS[part], OK[part]) for part in parts]
    whole = relative_errors(data, parts, rows, World(), CPU)
    tables = []

    class Half(World):
        def sum(self, values):
            tables.append(values)
            return values

    for rank in range(2):
        relative_errors(data, parts, rows[rank::2], Half(rank, 2), CPU)
    errors, ok = sum(tables)
    together = RelativeErrors(np.arange(8), MOLECULES, errors, ok > 0)
    torch.testing.assert_close(together.errors, whole.errors)
    assert whole.used.tolist() == [*[True] * 4, False, True, True, False]
