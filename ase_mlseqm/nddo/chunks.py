"""Large sets of pairs a part at a time.

What is made on the way from pairs of atoms to integrals and slopes is ten times what is kept: all
at once it would be most of the memory of a large molecule, and too much for the cache.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 8192
"""Pairs of atoms, or of orbitals, at once."""


def in_chunks(function: Callable[..., Tensor], *rows: Tensor, axis: int = 0) -> Tensor:
    """``function`` of tensors (P, ...) for so many rows at a time.

    ``axis`` is that of the pairs in what it returns.
    """
    if len(rows[0]) <= CHUNK:
        return function(*rows)
    parts = zip(*(tensor.split(CHUNK) for tensor in rows), strict=True)
    return torch.cat([function(*part) for part in parts], axis)
