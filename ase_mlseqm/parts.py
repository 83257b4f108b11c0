"""Work divided so that what is in memory at once stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def parts(items: Sequence[Any], sizes: Sequence[float], most: float) -> Iterator[list[Any]]:
    """The items in their order, in lists whose sizes add up to ``most`` or less, or of one item."""
    part: list[Any] = []
    total = 0.0
    for item, size in zip(items, sizes, strict=True):
        if part and total + size > most:
            yield part
            part, total = [], 0.0
        part.append(item)
        total += size
    if part:
        yield part
