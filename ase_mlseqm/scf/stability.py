"""A sign that an unrestricted determinant lies below a restricted one."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .orbitals import eigh

SAME_LEVEL = 0.1
"""eV; orbitals closer than this are looked at together: of degenerate ones any mixture is as good,
and a molecule that vibrates must not lose a sign that it has at its minimum."""
APART = 1e4
"""eV; on the diagonal of what does not belong to a molecule's block."""
MANY = 25
"""Pairs of orbitals up to which the block is made; many molecules that do not feel each other have
thousands, of which Lanczos's method sees a few combinations."""
MAX_COMBINATIONS = 60
ACCURATE = 1e-5
"""eV; what is left of the equation of the lowest eigenvalue, whose error goes with the square."""


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
    frontier = _frontier(builder, energies[0], orbitals[0], occupied[0])
    exists = frontier.members.flatten(1).any(1)
    many = frontier.members[0].numel() > MANY
    lowest = _lanczos(frontier) if many else _explicit(frontier)
    return torch.where(exists, lowest, torch.nan)


@dataclasses.dataclass(frozen=True)
class _Frontier:
    """The highest occupied and the lowest empty level of B molecules.

    Attributes
    ----------
    builder, bare : FockBuilder, (B, N, N)
        That of the SCF, and what it makes of no electrons.
    filled, empty : (B, N, F), (B, N, E)
        Orbitals of both levels, as many as the molecule with the most has.
    gaps : (B, F, E)
        Differences of their energies, eV.
    members : (B, F, E) bool
        Which of these pairs a molecule has.
    """

    builder: FockBuilder
    bare: Tensor
    filled: Tensor
    empty: Tensor
    gaps: Tensor
    members: Tensor

    def curvature(self, mixing: Tensor) -> Tensor:
        """The block times mixtures (B, F, E) of the pairs.

        Where alpha electrons go from i to a and beta electrons the other way nobody feels anything
        but the exchange.
        """
        mixed = self.filled @ mixing @ self.empty.mT
        mixed = (mixed + mixed.mT).unsqueeze(0)
        change = self.builder(torch.cat((mixed, -mixed)))[0] - self.bare
        response = self.filled.mT @ change @ self.empty
        return torch.where(self.members, self.gaps * mixing + response, 0.0)


def _frontier(
    builder: FockBuilder, energies: Tensor, orbitals: Tensor, n_filled: Tensor
) -> _Frontier:
    """Both levels of molecules with ``n_filled`` (B,) of their orbitals filled."""
    size, device = energies.shape[1], energies.device
    level = torch.arange(size, device=device)
    homo, lumo = (n_filled - 1).clamp(min=0), n_filled.clamp(max=size - 1)
    highest, lowest = (energies.gather(1, at.unsqueeze(1)) for at in (homo, lumo))
    below = level < n_filled.unsqueeze(1)
    filled = below & (energies > highest - SAME_LEVEL)
    empty = ~below & (energies < lowest + SAME_LEVEL)
    empty &= level < builder.layout.n_orbitals.unsqueeze(1)
    at_i = homo.unsqueeze(1) - torch.arange(_most(filled), device=device)
    at_a = lumo.unsqueeze(1) + torch.arange(_most(empty), device=device)
    there_i, there_a = at_i >= 0, at_a < size
    at_i, at_a = at_i.clamp(min=0), at_a.clamp(max=size - 1)
    there_i, there_a = there_i & filled.gather(1, at_i), there_a & empty.gather(1, at_a)
    orbitals_i, orbitals_a = (
        orbitals.gather(2, at.unsqueeze(1).expand(-1, size, -1)) for at in (at_i, at_a)
    )
    gaps = energies.gather(1, at_a).unsqueeze(1) - energies.gather(1, at_i).unsqueeze(2)
    members = there_i.unsqueeze(2) & there_a.unsqueeze(1)
    bare = builder(torch.zeros_like(orbitals).unsqueeze(0))[0]
    return _Frontier(builder, bare, orbitals_i, orbitals_a, gaps, members)


def _most(members: Tensor) -> int:
    """As many orbitals as the largest level has, but at least one."""
    return max(1, int(members.sum(1).max()))


def _explicit(frontier: _Frontier) -> Tensor:
    """Lowest eigenvalues (B,) of blocks that are made pair by pair."""
    members = frontier.members.flatten(1)
    units = torch.eye(members.shape[1], dtype=frontier.gaps.dtype, device=members.device)
    rows = [frontier.curvature(one.view_as(frontier.gaps[0])).flatten(1) for one in units]
    block = torch.where(members.unsqueeze(1), torch.stack(rows, 2), 0.0)
    block = 0.5 * (block + block.mT) + torch.diag_embed(torch.where(members, 0.0, APART))
    return eigh(block)[0][:, 0]


def _lanczos(frontier: _Frontier) -> Tensor:
    """The same without the blocks (Lanczos, J. Res. Natl. Bur. Stand. 45 (1950) 255): in the space
    of a random mixture and what the block makes of it, again and again, orthonormal throughout."""
    members = frontier.members
    generator = torch.Generator("cpu").manual_seed(1)
    start = torch.rand(
        members.shape[1:], generator=generator, dtype=torch.float64, device="cpu"
    ).to(members.device)
    ahead = torch.where(members, start - 0.5, 0.0).flatten(1)
    length = torch.linalg.vector_norm(ahead, dim=1, keepdim=True)
    basis, diagonal, beside = ahead.new_zeros(len(ahead), 0, ahead.shape[1]), [], []
    lowest = length.squeeze(1)
    for _ in range(MAX_COMBINATIONS):
        # a molecule with fewer pairs is at its end before the others are
        goes_on = length > 1e-9
        ahead = torch.where(goes_on, ahead / length, 0.0)
        beside.append(torch.where(goes_on, length, 0.0))
        basis = torch.cat((basis, ahead.unsqueeze(1)), 1)
        image = frontier.curvature(ahead.view_as(frontier.gaps)).flatten(1)
        own = (ahead * image).sum(1, keepdim=True)
        diagonal.append(torch.where(goes_on, own, APART))
        for _ in range(2):
            image = image - (basis.mT @ (basis @ image.unsqueeze(2))).squeeze(2)
        ahead, length = image, torch.linalg.vector_norm(image, dim=1, keepdim=True)
        small = torch.diag_embed(torch.cat(diagonal, 1))
        if len(beside) > 1:
            neighbours = torch.diag_embed(torch.cat(beside[1:], 1), 1)
            small = small + neighbours + neighbours.mT
        levels, vectors = eigh(small)
        lowest = levels[:, 0]
        if not bool((length.squeeze(1) * vectors[:, -1, 0].abs() > ACCURATE).any()):
            break
    return lowest
