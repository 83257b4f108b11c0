"""Direct minimisation of the energy over orbital rotations, the last rung.

Preconditioned gradient descent on the manifold of idempotent densities, with a line search that
only ever goes down: slow and safe.  Van Voorhis, Head-Gordon, Mol. Phys. 100 (2002) 1713.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import aufbau, density_matrix


def minimise(
    builder: FockBuilder, occupied: Tensor, orbitals: Tensor, tolerance: float, max_iterations: int
) -> Tensor:
    """Densities (S, B, N, N) at (or near) a minimum, from the lowest of ``orbitals``.

    Parameters
    ----------
    occupied : (S, B)
    orbitals : (S, B, N, N)
        Orthonormal orbitals in columns, the filled ones first.
    tolerance : float
        Residual at which the search stops, eV; it need not get there.
    """
    n = orbitals.shape[-1]
    filling = aufbau(occupied, n)
    rotating = filling.unsqueeze(-1) * (1.0 - filling).unsqueeze(-2)  # occupied row, empty column
    step = torch.full((orbitals.shape[1],), 0.5, dtype=orbitals.dtype, device=orbitals.device)
    density = density_matrix(orbitals, filling, n)
    fock = builder(density)
    energy = builder.energy(density, fock)
    for _ in range(max_iterations):
        orbitals, in_mo = _canonical(orbitals, fock, filling)
        gradient = in_mo * rotating
        residual = gradient.abs().amax((0, 2, 3))
        if bool((residual < 0.1 * tolerance).all()):
            break
        levels = in_mo.diagonal(dim1=-2, dim2=-1)
        gaps = (levels.unsqueeze(-2) - levels.unsqueeze(-1)).clamp(min=2.0)
        direction = -gradient / gaps * rotating
        kappa = step.view(1, -1, 1, 1) * direction
        rotation = torch.linalg.matrix_exp(kappa - kappa.mT)
        # C exp(kappa^T - kappa): mixes empty orbitals into the filled ones
        trial = orbitals @ rotation.mT
        trial_density = density_matrix(trial, filling, n)
        trial_fock = builder(trial_density)
        trial_energy = builder.energy(trial_density, trial_fock)
        down = trial_energy <= energy + 1e-11
        pick = down.view(1, -1, 1, 1)
        orbitals = torch.where(pick, trial, orbitals)
        density = torch.where(pick, trial_density, density)
        fock = torch.where(pick, trial_fock, fock)
        energy = torch.where(down, trial_energy, energy)
        step = torch.where(down, (step * 1.15).clamp(max=1.5), step * 0.4)
    return density


def _canonical(orbitals: Tensor, fock: Tensor, filling: Tensor) -> tuple[Tensor, Tensor]:
    """Orbitals that diagonalise the Fock matrix among the filled and among the empty ones."""
    in_mo = orbitals.mT @ fock @ orbitals
    same = filling.unsqueeze(-1) == filling.unsqueeze(-2)
    # a large offset keeps the filled orbitals in front
    blocks = torch.where(same, in_mo, torch.zeros_like(in_mo))
    offset = torch.diag_embed((1.0 - filling) * 1e4)
    _, mixing = torch.linalg.eigh(blocks + offset)
    orbitals = orbitals @ mixing
    return orbitals, mixing.mT @ in_mo @ mixing
