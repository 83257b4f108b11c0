"""From the local frame of a pair to the molecular one."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .constants import lasting
from .products import N_PRODUCTS, PRODUCTS


def local_frames(direction: Tensor) -> Tensor:
    """Rows x, y, z of the local frames (P, 3, 3) of unit vectors ``direction`` (P, 3).

    Gram-Schmidt from the Cartesian axis least aligned with the bond, whose sine with it is at
    least sqrt(2/3): no frame is close to singular.
    """
    with torch.no_grad():
        axis = torch.zeros_like(direction)
        axis.scatter_(1, direction.abs().argmin(1, keepdim=True), 1.0)
    x = axis - (axis * direction).sum(1, keepdim=True) * direction
    x = x / x.norm(dim=1, keepdim=True)
    return torch.stack((x, torch.linalg.cross(direction, x), direction), 1)


@functools.cache
@lasting
def _product_maps(device: torch.device) -> Tensor:
    """(4, 100) indices into (9 frame elements, 0, 1) of the four factors of the transformation.

    Molecular product (mu, nu) contains local product (k, l) with r_mu,k r_nu,l + r_mu,l r_nu,k,
    where the second part is absent for k = l.
    """
    zero, one = 9, 10

    def element(orbital: int, local: int) -> int:
        if orbital == 0 or local == 0:
            return one if orbital == local else zero
        return 3 * (local - 1) + orbital - 1

    maps = [
        [
            (
                element(mu, k),
                element(nu, m),
                element(mu, m) if k != m else zero,
                element(nu, k),
            )
            for k, m in PRODUCTS
        ]
        for mu, nu in PRODUCTS
    ]
    return torch.tensor(maps, device=device).flatten(0, 1).T.contiguous()


def product_rotation(frames: Tensor) -> Tensor:
    """Transformation (P, 10, 10) of packed orbital products, local to molecular."""
    maps = _product_maps(frames.device)
    # rows of all pairs: whole rows are looked up faster than elements
    rows = frames.flatten(1).T
    rows = torch.cat((rows, torch.zeros_like(rows[:1]), torch.ones_like(rows[:1])))
    a, b, c, d = rows.index_select(0, maps.view(-1)).view(4, N_PRODUCTS**2, -1).unbind(0)
    return torch.addcmul(a * b, c, d).T.contiguous().view(-1, N_PRODUCTS, N_PRODUCTS)
