"""A sign that an unrestricted determinant lies below a restricted one."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder


def triplet_curvature(
    builder: FockBuilder, energies: Tensor, orbitals: Tensor, occupied: Tensor
) -> Tensor:
    """What mixing the highest occupied orbital i with the lowest empty one a, with opposite signs
    for both spins, does to the energies of restricted densities: (B,), eV,

        e_a - e_i - (ii|aa) - (ia|ia).

    It is a diagonal element of the matrix whose lowest eigenvalue decides on the stability (Cizek
    and Paldus, J. Chem. Phys. 47 (1967) 3976; Seeger and Pople, J. Chem. Phys. 66 (1977) 3045), so
    that a negative one proves an instability; it turns negative where a bond is stretched beyond
    its Coulson-Fischer point.  The lowest eigenvalue itself is negative already for anthracene, of
    which a restricted determinant is a good description.  NaN where there is no such pair.

    Parameters
    ----------
    builder : FockBuilder
        That of the SCF.
    energies, orbitals : (1, B, N), (1, B, N, N)
    occupied : (1, B)
    """
    energies, orbitals = energies[0], orbitals[0]
    n_filled = occupied[0]
    exists = (n_filled > 0) & (n_filled < builder.layout.n_orbitals)
    each = torch.arange(len(n_filled), device=n_filled.device)
    homo, lumo = (n_filled - 1).clamp(min=0), n_filled.clamp(max=energies.shape[1] - 1)
    filled, empty = (orbitals[each, :, k] for k in (homo, lumo))
    zero = torch.zeros_like(orbitals).unsqueeze(0)
    pair = torch.einsum("bm,bn->bmn", filled, filled).unsqueeze(0)
    # an electron in i: of its own spin others feel J - K, of the other spin J
    alpha, beta = builder(torch.cat((pair, zero))) - builder(zero)
    coulomb = torch.einsum("bm,bmn,bn->b", empty, beta, empty)
    exchange = torch.einsum("bm,bmn,bn->b", empty, beta - alpha, empty)
    gap = energies[each, lumo] - energies[each, homo]
    return torch.where(exists, gap - coulomb - exchange, torch.nan)
