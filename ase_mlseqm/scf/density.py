"""From orbitals to densities; tensors are (S, B, N, ...), S the number of spins."""

from __future__ import annotations

import torch
from torch import Tensor


def aufbau(n_occupied: Tensor, n_orbitals: int) -> Tensor:
    """Occupations (S, B, N), 1 for the lowest ``n_occupied`` (S, B) orbitals."""
    level = torch.arange(n_orbitals, device=n_occupied.device)
    return (level < n_occupied.unsqueeze(-1)).to(torch.float64)


def fermi(energies: Tensor, n_occupied: Tensor, temperature: float | Tensor) -> Tensor:
    """Fermi occupations (S, B, N) of orbital ``energies`` at kT = ``temperature`` eV.

    The chemical potential is found by bisection; what is left of its error is scaled away, so that
    every row sums to ``n_occupied`` to rounding, and no occupation is above one.
    """
    low = energies.amin(-1, keepdim=True) - 50.0 * temperature
    high = energies.amax(-1, keepdim=True) + 50.0 * temperature
    target = n_occupied.unsqueeze(-1).to(energies.dtype)
    for _ in range(60):
        middle = 0.5 * (low + high)
        few = torch.sigmoid((middle - energies) / temperature).sum(-1, keepdim=True) < target
        low, high = torch.where(few, middle, low), torch.where(few, high, middle)
    occupations = torch.sigmoid((0.5 * (low + high) - energies) / temperature)
    total = occupations.sum(-1, keepdim=True).clamp(min=1e-300)
    return (occupations * (target / total)).clamp(max=1.0)


def density_matrix(orbitals: Tensor, occupations: Tensor) -> Tensor:
    """Spin densities C n C^T from orbitals (S, B, N, N) in columns and occupations (S, B, N)."""
    flat = orbitals.flatten(0, 1)
    weighted = flat * occupations.flatten(0, 1).unsqueeze(1)
    return torch.bmm(weighted, flat.mT).view(orbitals.shape)


def commutator(fock: Tensor, density: Tensor) -> Tensor:
    """[F, d], antisymmetric; zero at self-consistency."""
    right = torch.bmm(fock.flatten(0, 1), density.flatten(0, 1))
    return (right - right.mT).view(fock.shape)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products (B,) of matrices (S, B, N, N), those of both spins together."""
    return (a * b).sum((0, 2, 3))
