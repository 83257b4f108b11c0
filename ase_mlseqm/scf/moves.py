"""What it costs to move electrons from the highest occupied orbital to the lowest empty one."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder


def lowest_move(
    builder: FockBuilder, occupied: Tensor, density: Tensor, fock: Tensor, orbitals: Tensor
) -> tuple[Tensor, Tensor]:
    """Energy change (B,), eV, of moving electrons at fixed orbitals, and the densities it leads to.

    A pair of electrons if restricted, else one electron, of the spin for which the energy is the
    lower.  With d the change of the density of either spin,

        E(D + d) - E(D) = sum over spins of tr(d F(D)) + tr(d [F(D + d) - F(D)]) / 2

    since F is linear in the density.  D + d is a Slater determinant, so where this is negative the
    solution D is proven not to be the lowest, which nothing else in it may show: the lowest
    orbitals are filled in both.  Infinite where no orbital is filled, or none is empty.

    Parameters
    ----------
    occupied : (S, B)
    density, fock, orbitals : (S, B, N, N)
        A solution, its Fock matrices and their orbitals, ascending.
    """
    each = torch.arange(occupied.shape[1], device=occupied.device)
    change = torch.full_like(fock[0, :, 0, 0], torch.inf)
    lowest = density
    for spin, count in enumerate(occupied):
        exists = (count > 0) & (count < builder.layout.n_orbitals)
        last, next_ = (count - 1).clamp(min=0), count.clamp(max=fock.shape[-1] - 1)
        filled, empty = (orbitals[spin, each, :, k].unsqueeze(2) for k in (last, next_))
        step = torch.zeros_like(density)
        step[spin] = empty @ empty.mT - filled @ filled.mT
        moved = density + step
        # of one spin for S = 1
        energy = (step * (fock + builder(moved))).sum((0, 2, 3)) / len(occupied)
        lower = exists & (energy < change)
        change = torch.where(lower, energy, change)
        lowest = torch.where(lower.view(1, -1, 1, 1), moved, lowest)
    return change, lowest
