"""Starting densities."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.layout import Layout

NOISE = 0.35
"""Largest share by which the populations of a perturbed guess change."""


def n_occupied(layout: Layout, charge: Tensor, multiplicity: Tensor, unrestricted: bool) -> Tensor:
    """Occupied orbitals of every spin, (S, B) int64."""
    electrons = layout.molecule_sum(layout.core_charge).round().long() - charge
    if not unrestricted:
        return (electrons // 2).unsqueeze(0)
    alpha = (electrons + multiplicity - 1) // 2
    return torch.stack((alpha, electrons - alpha))


def diagonal(layout: Layout, occupied: Tensor) -> Tensor:
    """Neutral atoms with evenly filled shells, scaled to the electron count: (S, B, N, N)."""
    n_spin = occupied.shape[0]
    share = layout.core_charge / torch.where(layout.numbers > 1, 4.0, 1.0)
    diagonal = share.new_zeros(layout.n_molecules * layout.N)
    start = layout.molecule * layout.N + layout.orbital
    for k in range(4):
        atoms = layout.heavy if k else torch.arange(len(start), device=start.device)
        diagonal[start[atoms] + k] = share[atoms]
    diagonal = diagonal.view(1, layout.n_molecules, layout.N)
    real = torch.arange(layout.N, device=start.device) < layout.n_orbitals.unsqueeze(1)
    # extra or missing electrons are spread over all orbitals
    extra = occupied - 0.5 * diagonal.sum(2)
    populations = 0.5 * diagonal + real * (extra / layout.n_orbitals).unsqueeze(2)
    populations = populations.expand(n_spin, -1, -1).clamp(0.0, 1.0)
    lone = (layout.n_atoms == 1).nonzero().squeeze(1)
    if len(lone):
        # s^2 p^k, the configuration of isolated-atom energies
        s = occupied[:, lone].clamp(max=1)
        p = (occupied[:, lone] - s) / 3.0
        shells = torch.zeros_like(populations[:, lone])
        shells[:, :, :1], shells[:, :, 1:4] = s.unsqueeze(2).to(p.dtype), p.unsqueeze(2)
        populations = populations.index_copy(1, lone, shells.to(populations.dtype))
    return torch.diag_embed(populations)


def perturbed(layout: Layout, occupied: Tensor, seed: int) -> Tensor:
    """The diagonal guess with reproducible noise that breaks spatial and spin symmetry."""
    density = diagonal(layout, occupied)
    generator = torch.Generator().manual_seed(seed)
    # orbital after orbital, so that it does not depend on the largest molecule of the batch
    shape = (layout.N, density.shape[0])
    noise = torch.rand(shape, generator=generator, dtype=density.dtype).T.unsqueeze(1)
    noise = NOISE * (2.0 * noise - 1.0).to(density.device)
    populations = density.diagonal(dim1=2, dim2=3)
    return torch.diag_embed(populations * (1.0 + noise))


def alternating(layout: Layout, occupied: Tensor, hcore: Tensor) -> Tensor:
    """The diagonal guess with more electrons of one spin on every other atom: (2, B, N, N).

    Which atoms are neighbours the core Hamiltonian ``hcore`` (B, N, N) tells: in the vector that
    belongs to the lowest eigenvalue of the sizes of its blocks bonded atoms have opposite signs.
    Unlike the mixture of orbitals, of which degenerate ones are not determined, this turns with
    the molecule.
    """
    sizes = (layout.owner.mT @ hcore**2 @ layout.owner).sqrt()
    sizes = sizes - torch.diag_embed(sizes.diagonal(dim1=1, dim2=2))
    vector = torch.linalg.eigh(sizes)[1][:, :, :1]
    vector = vector / vector.abs().amax(1, keepdim=True)
    excess = 0.5 * (layout.owner @ vector).squeeze(2)
    populations = diagonal(layout, occupied).diagonal(dim1=2, dim2=3)
    return torch.diag_embed(populations * torch.stack((1.0 + excess, 1.0 - excess)))


def broken_symmetry(
    density: Tensor, orbitals: Tensor, occupied: Tensor, n_orbitals: Tensor, depth: int
) -> Tensor:
    """Mix the ``depth`` highest filled orbitals with as many empty ones, oppositely for the spins.

    Parameters
    ----------
    density, orbitals : (2, B, N, N)
        The symmetric solution.
    occupied : (2, B)
    n_orbitals : (B,)
        Molecules without enough empty or filled orbitals keep their density.
    """
    out = density.clone()
    rows = torch.arange(occupied.shape[1], device=density.device)
    half = 0.5**0.5
    for k in range(depth):
        for spin, sign in ((0, 1.0), (1, -1.0)):
            low, high = occupied[spin] - 1 - k, occupied[spin] + k
            usable = ((low >= 0) & (high < n_orbitals)).view(-1, 1, 1)
            filled = orbitals[spin, rows, :, low.clamp(min=0)]
            empty = orbitals[spin, rows, :, high.clamp(max=orbitals.shape[-1] - 1)]
            mixed = half * (filled + sign * empty)
            change = mixed.unsqueeze(2) * mixed.unsqueeze(1)
            change = change - filled.unsqueeze(2) * filled.unsqueeze(1)
            out[spin] += change * usable
    return out
