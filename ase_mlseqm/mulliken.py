"""Mulliken's population analysis of a Hamiltonian that neglects overlap.

NDDO takes its orbitals for orthogonal, as if they were the Slater orbitals orthogonalised by
Loewdin's method (J. Chem. Phys. 18 (1950) 365).  Charges that are to be compared with Mulliken's
(J. Chem. Phys. 23 (1955) 1833) of other methods need the density in the Slater orbitals
themselves; so does MOPAC's keyword MULLIK.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .nddo.fock import Maps
from .nddo.integrals import Constants, Geometry, orbital_distances, overlap_blocks
from .nddo.layout import Layout
from .nddo.overlap import local_overlaps
from .properties import minus_trace
from .scf.orbitals import eigh


def overlap_matrices(layout: Layout, maps: Maps, constants: Constants, shape: Geometry) -> Tensor:
    """Overlaps (B, N, N) of the Slater orbitals; padding is a unit matrix."""
    local = local_overlaps(orbital_distances(constants, shape), constants.orbitals)
    blocks = overlap_blocks(layout, local.unsqueeze(0), shape.direction)
    heavy, hydrogen = layout.product_index
    within = torch.zeros_like(layout.core_products)
    within[heavy] = -minus_trace(within.device)
    within[hydrogen] = 1.0
    values = torch.cat((within, *(block.flatten() for block in blocks), maps.zero))
    n_b, n = maps.padding.shape
    matrices = values.index_select(0, maps.scatter).view(n_b, n, n)
    matrices.diagonal(dim1=1, dim2=2).add_(maps.padding != 0)
    return matrices


def mulliken_charges(layout: Layout, density: Tensor, overlap: Tensor) -> Tensor:
    """Mulliken charges (n,), e, from spin densities (S, B, N, N) in the orthogonal orbitals.

    With P the sum of the spin densities the populations are the diagonal of S^-1/2 P S^1/2.
    """
    total = density.sum(0) * (2.0 / density.shape[0])
    levels, vectors = eigh(overlap)
    root = levels.sqrt().unsqueeze(1)
    half, inverse = (vectors * root) @ vectors.mT, (vectors / root) @ vectors.mT
    orbitals = ((inverse @ total) * half).sum(2)
    atoms = (orbitals.unsqueeze(1) @ layout.owner).flatten()
    return layout.core_charge - atoms.index_select(0, layout.slot)
