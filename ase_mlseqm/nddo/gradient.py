"""Derivatives of the energy with respect to the positions at fixed density and parameters.

The vector of a pair changes its length and its direction.  Along the length every integral has
its slope (see ``integrals.py``).  A turn of the direction by omega turns the pair's integrals as
tensors: products of orbitals transform with the generators below, so with the coefficients Gamma
of the energy the torque is tau_k = Gamma : (L_k W + W L_k^T) and no local frame is differentiated.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..units import BOHR
from .constants import lasting
from .integrals import Geometry, Integrals
from .layout import Layout
from .products import N_PRODUCTS, PACK, PRODUCTS


@functools.cache
@lasting
def _generators(device: torch.device) -> tuple[Tensor, Tensor]:
    """Transposed generators of rotations about x, y, z: (16, 3) orbitals, (100, 3) products."""
    orbitals = torch.zeros(3, 4, 4, dtype=torch.float64)
    for axis in range(3):
        following, last = (axis + 1) % 3, (axis + 2) % 3
        orbitals[axis, 1 + last, 1 + following] = 1.0
        orbitals[axis, 1 + following, 1 + last] = -1.0
    products = torch.zeros(3, N_PRODUCTS, N_PRODUCTS, dtype=torch.float64)
    for row, (mu, nu) in enumerate(PRODUCTS):
        for k in range(4):
            products[:, row, PACK[k, nu]] += orbitals[:, mu, k]
            products[:, row, PACK[mu, k]] += orbitals[:, nu, k]
    return tuple(g.mT.flatten(1).T.contiguous().to(device) for g in (orbitals, products))  # type: ignore[return-value]


def _torque(blocks: Tensor, coefficients: Tensor, generators: Tensor) -> Tensor:
    """(P, 3) torques of square blocks (P, k, k) whose both sides turn."""
    moments = torch.baddbmm(torch.bmm(blocks, coefficients.mT), blocks.mT, coefficients)
    return moments.flatten(1) @ generators


def _one_sided(rows: Tensor, coefficients: Tensor, generators: Tensor) -> Tensor:
    """(P, 3) torques of vectors (P, k)."""
    k = rows.shape[1]
    # turned first: pairs with hydrogen are many, and all products of their elements too large
    turned = (rows @ generators.view(k, 3 * k)).view(-1, k, 3)
    return torch.bmm(coefficients.unsqueeze(1), turned).squeeze(1)


def position_gradient(
    layout: Layout, shape: Geometry, w: Integrals, steep: Tensor, coefficients: Integrals
) -> Tensor:
    """dE / d position (n, 3), eV/Angstrom.

    Parameters
    ----------
    w : Integrals
    steep : (P,)
        Derivatives of the two-centre energies along the bonds, eV/bohr.
    coefficients : Integrals
        dE / d integral.
    """
    c = coefficients
    orbitals, products = _generators(shape.distance.device)
    torque = torch.cat(
        (
            _torque(w.w_xx, c.w_xx, products) + _torque(w.h_xx, c.h_xx, orbitals),
            _one_sided(w.w_xh, c.w_xh, products) + _one_sided(w.h_xh, c.h_xh, orbitals),
        )
    )
    n_sp = len(torque)
    along = (steep * (1.0 / BOHR)).unsqueeze(1) * shape.direction
    direction = shape.direction[:n_sp]
    turn = torch.linalg.cross(torque, direction) / shape.distance[:n_sp].unsqueeze(1)
    pair = torch.cat((along[:n_sp] + turn, along[n_sp:]))
    gradient = pair.new_zeros(len(layout.numbers), 3)
    return gradient.index_add_(0, layout.second, pair).index_add_(0, layout.first, pair, alpha=-1)
