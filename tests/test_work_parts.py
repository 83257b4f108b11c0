"""How work is divided."""

import pytest

from ase_mlseqm import displaced as module
from ase_mlseqm.displaced import parts


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when it is told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def divided(clock, seconds_each, **bounds):
    """Lengths of the parts of a hundred items of size 1, each of which takes so long."""
    lengths = []
    for part in parts(range(100), [1.0] * 100, **bounds):
        clock[0] += seconds_each * len(part)
        lengths.append(len(part))
    assert sum(lengths) == 100
    return lengths


def test_fast_work_is_done_in_growing_parts(clock):
    assert divided(clock, 0.0, first=4, most=32, seconds=1.0) == [4, 8, 16, 32, 32, 8]
    assert divided(clock, 0.0, first=64, most=32, seconds=1.0) == [32, 32, 32, 4]


def test_parts_take_no_longer_than_asked_for(clock):
    assert divided(clock, 0.1, first=1, most=99, seconds=1.0) == [1, 2, 4] + [8] * 11 + [5]
    assert divided(clock, 0.1, first=20, most=99, seconds=1.0) == [20] * 5


def test_large_items_come_one_by_one():
    found = list(parts("abc", [5.0, 1.0, 9.0], first=1.0, most=2.0, seconds=0.0))
    assert found == [["a"], ["b"], ["c"]]
    assert list(parts([], [], first=1.0, most=2.0, seconds=0.0)) == []
