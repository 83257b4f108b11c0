"""Large sets of pairs a part at a time.

What is made on the way from pairs of atoms to integrals and slopes is ten times what is kept: all
at once it would be most of the memory of a large molecule, and too much for the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CHUNK = 8192
"""Pairs of atoms, or of orbitals, at once."""


def chunks(*rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """So many rows of all tensors (P, ...) at a time."""
    yield from zip(*(tensor.split(CHUNK) for tensor in rows), strict=True)


def in_chunks(function: Callable[..., Tensor], *rows: Tensor, axis: int = 0) -> Tensor:
    """``function`` of tensors (P, ...) for so many rows at a time.

    ``axis`` is that of the pairs in what it returns.
    """
    if len(rows[0]) <= CHUNK:
        return function(*rows)
    out, start = torch.empty(0), 0
    for part in chunks(*rows):
        values = function(*part)
        if start == 0:  # parts that wait to be put together would take as much memory again
            shape = list(values.shape)
            shape[axis] = len(rows[0])
            out = values.new_empty(shape)
        out.narrow(axis, start, values.shape[axis]).copy_(values)
        start += values.shape[axis]
    return out
