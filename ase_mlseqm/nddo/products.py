"""Packed products of the orbitals of one atom: 10 for s, p_x, p_y, p_z, and 1 for hydrogen."""

from __future__ import annotations

import itertools

import torch

PRODUCTS = tuple(itertools.combinations_with_replacement(range(4), 2))
"""The 10 unique orbital pairs in packed order: ss, sx, sy, sz, xx, xy, xz, yy, yz, zz."""

N_PRODUCTS = len(PRODUCTS)

PACK = torch.zeros(4, 4, dtype=torch.int64, device="cpu")
"""(4, 4) position of a pair of orbitals in the packed order."""
for _position, (_mu, _nu) in enumerate(PRODUCTS):
    PACK[_mu, _nu] = PACK[_nu, _mu] = _position

WEIGHT = torch.tensor(
    [1.0 if mu == nu else 2.0 for mu, nu in PRODUCTS], dtype=torch.float64, device="cpu"
)
"""(10,) how often a packed product occurs in the full sum."""
