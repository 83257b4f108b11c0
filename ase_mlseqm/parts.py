"""Work divided so that memory stays bounded, and that what is done is seen now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any


def parts(
    items: Sequence[Any], sizes: Sequence[float], first: float, most: float, seconds: float
) -> Iterator[list[Any]]:
    """The items in their order, in lists whose sizes add up to a bound or less, or of one item.

    The bound is ``first``, and twice as large after every list that took less than half of
    ``seconds`` until the next was asked for, but never above ``most``.
    """
    bound, start = min(first, most), 0
    while start < len(items):
        end, total = start + 1, sizes[start]
        while end < len(items) and total + sizes[end] <= bound:
            total += sizes[end]
            end += 1
        begin = time.monotonic()
        yield list(items[start:end])
        if time.monotonic() - begin < 0.5 * seconds:
            bound = min(2 * bound, most)
        start = end
