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
def _product_maps(device: torch.device) -> tuple[Tensor, Tensor]:
    """(4, K) indices into (9 frame elements, 0, 1) of the four factors of the K elements of the
    transformation that need not vanish, and where (100,) each element is among those, or K.

    Molecular product (mu, nu) contains local product (k, l) with r_mu,k r_nu,l + r_mu,l r_nu,k,
    where the second part is absent for k = l.
    """
    zero, one = 9, 10

    def element(orbital: int, local: int) -> int:
        if orbital == 0 or local == 0:
            return one if orbital == local else zero
        return 3 * (local - 1) + orbital - 1

    maps: list[tuple[int, ...]] = []
    where = []
    for mu, nu in PRODUCTS:
        for k, m in PRODUCTS:
            first = (element(mu, k), element(nu, m))
            second = (element(mu, m), element(nu, k)) if k != m else (zero, zero)
            vanishes = zero in first and zero in second
            where.append(-1 if vanishes else len(maps))
            maps += [] if vanishes else [(*first, *second)]
    where = [len(maps) if place < 0 else place for place in where]
    return torch.tensor(maps, device=device).T.contiguous(), torch.tensor(where, device=device)


def product_rotation(frames: Tensor) -> Tensor:
    """Transformation (P, 10, 10) of packed orbital products, local to molecular."""
    maps, where = _product_maps(frames.device)
    # rows of all pairs: whole rows are looked up faster than elements
    rows = frames.flatten(1).T
    zeros = torch.zeros_like(rows[:1])
    rows = torch.cat((rows, zeros, torch.ones_like(zeros)))
    a, b, c, d = rows.index_select(0, maps.view(-1)).view(*maps.shape, -1).unbind(0)
    values = torch.cat((torch.addcmul(a * b, c, d), zeros))
    return values.index_select(0, where).T.contiguous().view(-1, N_PRODUCTS, N_PRODUCTS)


@functools.cache
@lasting
def _axial_maps(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(10, 11) of :func:`axial_parts`, (20,) both orbitals of products, (10,) 1 for p_i p_i."""
    first, second = torch.tensor(PRODUCTS).T
    inside = first > 0
    diagonal = (inside & (first == second)).to(torch.float64)
    ss, sz, xx, zz = (PRODUCTS.index(product) for product in ((0, 0), (0, 3), (1, 1), (3, 3)))
    parts = torch.zeros(N_PRODUCTS, N_PRODUCTS + 1, dtype=torch.float64)
    parts[ss, 0] = 1.0
    parts[sz, :-1] = ((first == 0) & (second > 0)).to(torch.float64)
    parts[zz, :-1] = inside.to(torch.float64)
    parts[xx, :-1] = -inside.to(torch.float64)
    parts[xx, -1] = 1.0
    return parts.to(device), torch.cat((first, second)).to(device), diagonal.to(device)


def axial_parts(device: torch.device) -> Tensor:
    """(10, 11) from integrals of an atom's products with an s orbital, in the local frame, to the
    factors of :func:`axial_products` and that of the unit matrix."""
    return _axial_maps(device)[0]


def axial_products(direction: Tensor) -> Tensor:
    """Packed products (P, 10) of (1, x, y, z) of unit vectors (P, 3)."""
    orbitals = _axial_maps(direction.device)[1]
    unit = torch.cat((torch.ones_like(direction[:, :1]), direction), 1)
    first, second = unit.index_select(1, orbitals).split(N_PRODUCTS, 1)
    return first * second


def from_axis(parts: Tensor, products: Tensor) -> Tensor:
    """Integrals (..., P, 10) in the molecular frame from :func:`axial_parts` (..., P, 11).

    Nothing but the bond has a direction: what is along it is made of its vector, the rest of the
    unit matrix, and no frame is needed.
    """
    diagonal = _axial_maps(products.device)[2]
    return torch.addcmul(parts[..., :-1] * products, parts[..., -1:], diagonal)


def to_axis(coefficients: Tensor, products: Tensor) -> Tensor:
    """Derivatives (P, 11) by :func:`axial_parts` from those (P, 10) by the integrals."""
    diagonal = _axial_maps(products.device)[2]
    return torch.cat((coefficients * products, (coefficients @ diagonal).unsqueeze(1)), 1)
