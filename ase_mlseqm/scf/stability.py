"""A sign that an unrestricted determinant lies below a restricted one."""

from __future__ import annotations

import dataclasses
import itertools

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder

SAME_LEVEL = 0.1
"""eV; orbitals closer than this are looked at together: of degenerate ones any mixture is as good,
and a molecule that vibrates must not lose a sign that it has at its minimum."""
APART = 1e4
"""eV; on the diagonal of what does not belong to a molecule's block."""


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

    Where one of both is degenerate the element depends on which mixture is called i, so that with
    further orbitals within ``SAME_LEVEL`` it is the lowest eigenvalue of the block of these pairs,

        d_ij d_ab (e_a - e_i) - (ij|ab) - (ib|ja).

    Parameters
    ----------
    builder : FockBuilder
        That of the SCF.
    energies, orbitals : (1, B, N), (1, B, N, N)
    occupied : (1, B)
    """
    pairs = _frontier(energies[0], orbitals[0], occupied[0], builder.layout.n_orbitals)
    bare = builder(torch.zeros_like(orbitals))[0]
    block = torch.stack([_response(builder, bare, one, pairs) for one in pairs], 2)
    gaps = torch.stack([pair.gap for pair in pairs], 1)
    members = torch.stack([pair.member for pair in pairs], 1)
    exists = members.any(1)
    both = members.unsqueeze(1) & members.unsqueeze(2) & exists[:, None, None]
    block = torch.where(both, 0.5 * (block + block.mT), 0.0)
    block = block + torch.diag_embed(torch.where(members, gaps, APART))
    exists &= torch.isfinite(block).flatten(1).all(1)
    lowest = torch.linalg.eigvalsh(torch.where(exists[:, None, None], block, 0.0))[:, 0]
    return torch.where(exists, lowest, torch.nan)


@dataclasses.dataclass(frozen=True)
class _Pair:
    """An orbital of the highest occupied level and one of the lowest empty level of B molecules.

    ``filled`` and ``empty`` (B, N), their ``gap`` (B,), eV, and whether a molecule has so many
    orbitals in these levels, ``member`` (B,).
    """

    filled: Tensor
    empty: Tensor
    gap: Tensor
    member: Tensor


def _frontier(
    energies: Tensor, orbitals: Tensor, n_filled: Tensor, n_orbitals: Tensor
) -> list[_Pair]:
    """All pairs of orbitals of both levels, as many as the molecule with the most has."""
    size, device = energies.shape[1], energies.device
    level, each = torch.arange(size, device=device), torch.arange(len(n_filled), device=device)
    homo, lumo = (n_filled - 1).clamp(min=0), n_filled.clamp(max=size - 1)
    highest, lowest = (energies.gather(1, at.unsqueeze(1)) for at in (homo, lumo))
    below = level < n_filled.unsqueeze(1)
    filled = below & (energies > highest - SAME_LEVEL)
    empty = ~below & (energies < lowest + SAME_LEVEL) & (level < n_orbitals.unsqueeze(1))
    pairs = []
    for i, a in itertools.product(range(_most(filled)), range(_most(empty))):
        at_i, at_a = (homo - i).clamp(min=0), (lumo + a).clamp(max=size - 1)
        member = filled[each, at_i] & empty[each, at_a] & (homo >= i) & (lumo + a < size)
        gap = energies[each, at_a] - energies[each, at_i]
        pairs.append(_Pair(orbitals[each, :, at_i], orbitals[each, :, at_a], gap, member))
    return pairs


def _most(members: Tensor) -> int:
    """As many orbitals as the largest level has, but at least one."""
    return max(1, int(members.sum(1).max()))


def _response(builder: FockBuilder, bare: Tensor, one: _Pair, pairs: list[_Pair]) -> Tensor:
    """-(ij|ab) - (ib|ja) of the pair i, a and all pairs j, b: (B, n).

    Where alpha electrons go from i to a and beta electrons the other way nobody feels anything but
    the exchange.
    """
    mixed = one.filled.unsqueeze(2) * one.empty.unsqueeze(1)
    mixed = (mixed + mixed.mT).unsqueeze(0)
    change = builder(torch.cat((mixed, -mixed)))[0] - bare
    rows = [torch.einsum("bm,bmn,bn->b", pair.filled, change, pair.empty) for pair in pairs]
    return torch.stack(rows, 1)
