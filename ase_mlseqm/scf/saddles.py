"""Whether the energy of a solution goes down when its orbitals are mixed.

A solution that has the symmetry of the molecule keeps it from geometry to geometry, also beyond
the one where the energy begins to curve down on the way to one with less symmetry: triplet
dioxygen that is pulled apart.  It converges as fast as before, with the lowest orbitals filled.
DIIS finds such solutions from free atoms, too; where degenerate orbitals are filled in part only
rounding, and with it how the molecule lies in space, decides whether it does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import aufbau, dot
from .orbitals import eigh
from .result import SCFResult

PRODUCTS = 12
"""With the second derivatives: of 25 solutions that curve down by 0.1 eV or more 24 show it after
seven, and all after eight; some that curve down less take longer."""
DOWN = -3e-4
"""Curvature, in units of the differences of orbital energies, below which a solution is left."""
FLOOR = 1.0
"""eV, smallest difference of orbital energies in these units."""
TURN = 0.3
"""Largest element of the rotation of orbitals that leaves a saddle."""
FINISHED = 1e4
"""Value of a direction that a molecule with few orbitals does not have."""


def downhill(builder: FockBuilder, occupied: Tensor, result: SCFResult) -> tuple[Tensor, Tensor]:
    """Whether the energy curves down (B,), and orbitals (S, B, N, N) turned to where it does.

    Lanczos's method (J. Res. Natl. Bur. Stand. 45 (1950) 255) with the second derivatives (see
    ``minimise.py``), whose products cost a Fock matrix each, divided by the differences of orbital
    energies on both sides.  Its lowest value goes down to that of the matrix: what is negative
    before is proven.
    """
    levels, orbitals = result.mo_energies, result.orbitals
    filling = aufbau(occupied, levels.shape[-1])
    column = torch.arange(levels.shape[-1], device=levels.device)
    real = (column < builder.layout.n_orbitals.unsqueeze(1)).to(levels.dtype)
    rotating = filling.unsqueeze(-1) * (real - filling).unsqueeze(-2)
    apart = levels.unsqueeze(-2) - levels.unsqueeze(-1)
    scale = rotating * apart.clamp(min=FLOOR).rsqrt()
    # any mixture of all pairs will do that does not depend on the rest of the batch
    ahead = scale**2 * torch.sin(1.0 + 7.0 * column.unsqueeze(1) + 3.3 * column**2)
    length = _length(ahead)
    basis: list[Tensor] = []
    own: list[Tensor] = []
    beside: list[Tensor] = []
    for product in range(PRODUCTS):
        goes_on = length > 1e-6
        ahead = torch.where(_wide(goes_on), ahead / _wide(length), 0.0)
        basis.append(ahead)
        mixing = scale * ahead
        turned = orbitals @ (mixing + mixing.mT) @ orbitals.mT
        change = builder(result.density + turned) - result.fock
        response = orbitals.mT @ change @ orbitals
        image = scale * (apart * mixing + response)
        own.append(torch.where(goes_on, dot(ahead, image), FINISHED))
        beside.append(torch.where(goes_on, length, 0.0))
        image = image - _wide(dot(ahead, image)) * ahead
        if product:
            image = image - _wide(length) * basis[-2]
        ahead, length = image, _length(image)
    small = torch.diag_embed(torch.stack(own, 1))
    neighbours = torch.diag_embed(torch.stack(beside[1:], 1), 1)
    values, shares = eigh(small + neighbours + neighbours.mT)
    vector = torch.zeros_like(ahead)
    for part, share in zip(basis, shares[:, :, 0].unbind(1), strict=True):
        vector = vector + _wide(share) * part
    rotation = scale * vector
    rotation = rotation * _wide(TURN / rotation.abs().amax((0, 2, 3)).clamp(min=1e-12))
    turned = orbitals @ torch.linalg.matrix_exp(rotation.mT - rotation)
    return values[:, 0] < DOWN, turned


def _length(a: Tensor) -> Tensor:
    return dot(a, a).sqrt()


def _wide(factor: Tensor) -> Tensor:
    return factor.view(1, -1, 1, 1)
