"""Direct minimisation of the energy over orbital rotations, the last rung.

L-BFGS on the manifold of idempotent densities, preconditioned with the orbital energy differences
(Van Voorhis, Head-Gordon, Mol. Phys. 100 (2002) 1713): slow, and it only ever goes down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import aufbau, density_matrix

MEMORY = 12  # pairs of steps and gradient changes kept
RESTART = 40  # iterations after which the orbitals are made canonical again
MAX_ANGLE = 0.25  # largest rotation between two orbitals in one step
FLOOR = 1.0  # eV, smallest orbital energy difference in the preconditioner


def minimise(
    builder: FockBuilder, occupied: Tensor, orbitals: Tensor, tolerance: float, max_iterations: int
) -> tuple[Tensor, int]:
    """Densities (S, B, N, N) at (or near) a minimum, from the lowest of ``orbitals``.

    Also returns the number of iterations.

    Parameters
    ----------
    occupied : (S, B)
    orbitals : (S, B, N, N)
        Orthonormal orbitals in columns, the filled ones first.
    tolerance : float
        Residual at which the search stops, eV; it need not get there.
    """
    n_b, n = orbitals.shape[1:3]
    filling = aufbau(occupied, n)
    rotating = filling.unsqueeze(-1) * (1.0 - filling).unsqueeze(-2)  # filled row, empty column
    density = density_matrix(orbitals, filling, n)
    fock = builder(density)
    energy = builder.energy(density, fock)
    scale = orbitals.new_ones(n_b)
    memory = _Memory()
    old_gradient = old_step = torch.zeros_like(orbitals)
    iteration = 0
    for iteration in range(max_iterations):
        fresh = iteration % RESTART == 0
        if fresh:
            orbitals = _canonical(orbitals, fock, filling)
            memory = _Memory()
        in_mo = orbitals.mT @ fock @ orbitals
        gradient = in_mo * rotating
        residual = gradient.abs().amax((0, 2, 3))
        if bool((residual < 0.5 * tolerance).all()):
            break
        if not fresh:
            memory.add(old_step, gradient - old_gradient)
        levels = in_mo.diagonal(dim1=-2, dim2=-1)
        gaps = (levels.unsqueeze(-2) - levels.unsqueeze(-1)).clamp(min=FLOOR)
        step = -memory.apply(gradient, rotating / gaps)
        uphill = (step * gradient).sum((0, 2, 3)) > 0
        step = torch.where(uphill.view(1, -1, 1, 1), -gradient * rotating / gaps, step)
        largest = step.abs().amax((0, 2, 3)).clamp(min=1e-300)
        step = step * (scale * (MAX_ANGLE / largest).clamp(max=1.0)).view(1, -1, 1, 1)
        # C exp(kappa^T - kappa) mixes empty orbitals into the filled ones
        trial = orbitals @ torch.linalg.matrix_exp(step.mT - step)
        trial_density = density_matrix(trial, filling, n)
        trial_fock = builder(trial_density)
        trial_energy = builder.energy(trial_density, trial_fock)
        down = trial_energy <= energy + 1e-10
        pick = down.view(1, -1, 1, 1)
        orbitals = torch.where(pick, trial, orbitals)
        density = torch.where(pick, trial_density, density)
        fock = torch.where(pick, trial_fock, fock)
        energy = torch.where(down, trial_energy, energy)
        scale = torch.where(down, (2.0 * scale).clamp(max=1.0), 0.3 * scale)
        old_gradient, old_step = gradient, torch.where(pick, step, torch.zeros_like(step))
    return density, iteration


class _Memory:
    """The two-loop recursion of L-BFGS, one per molecule; pairs without curvature are ignored."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, step: Tensor, change: Tensor) -> None:
        curvature = _dot(step, change)
        size = (_dot(step, step) * _dot(change, change)).sqrt()
        usable = curvature > 1e-8 * size
        inverse = torch.where(usable & (size > 0), 1.0 / curvature, torch.zeros_like(curvature))
        self.pairs = [*self.pairs[1 - MEMORY :], (step, change, inverse)]

    def apply(self, gradient: Tensor, preconditioner: Tensor) -> Tensor:
        q = gradient
        factors = []
        for step, change, inverse in reversed(self.pairs):
            factor = inverse * _dot(step, q)
            factors.append(factor)
            q = q - _times(factor, change)
        q = preconditioner * q
        for (step, change, inverse), factor in zip(self.pairs, reversed(factors), strict=True):
            q = q + _times(factor - inverse * _dot(change, q), step)
        return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((0, 2, 3))


def _times(factor: Tensor, matrices: Tensor) -> Tensor:
    return factor.view(1, -1, 1, 1) * matrices


def _canonical(orbitals: Tensor, fock: Tensor, filling: Tensor) -> Tensor:
    """Orbitals that diagonalise the Fock matrix among the filled and among the empty ones."""
    in_mo = orbitals.mT @ fock @ orbitals
    same = filling.unsqueeze(-1) == filling.unsqueeze(-2)
    blocks = torch.where(same, in_mo, torch.zeros_like(in_mo))
    # the offset keeps the filled orbitals in front
    offset = torch.diag_embed((1.0 - filling) * 1e4)
    _, mixing = torch.linalg.eigh(blocks + offset)
    return orbitals @ mixing
