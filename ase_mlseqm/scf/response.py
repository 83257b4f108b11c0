"""First-order response of a restricted density to a change of the Fock matrix.

With the rotation X_ai of occupied into virtual orbitals, the density changes by
dP = sum_ai X_ai (C_a C_i^T + C_i C_a^T), and

    (e_a - e_i) X_ai + G(dP)_ai = -f_ai,

where f is the change of the Fock matrix at fixed density and G its linear dependence on the
density.  The matrix on the left is positive definite at a minimum, so conjugate gradients solve
it for all molecules at once; no matrix is diagonalised.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .result import SCFResult


@dataclasses.dataclass(frozen=True)
class Response:
    """Change of the density (1, B, N, N), and whether it converged (B,)."""

    density: Tensor
    converged: Tensor


def density_response(
    builder: FockBuilder,
    scf: SCFResult,
    occupied: Tensor,
    change: Tensor,
    tolerance: float = 1e-7,
    max_iterations: int = 60,
) -> Response:
    """Response of a converged restricted density to a ``change`` (1, B, N, N) of its Fock matrix.

    Parameters
    ----------
    builder : FockBuilder
        That of the unperturbed molecules.
    occupied : (1, B)
    tolerance : float
        Norm of what is left of the equation, relative to the change.
    """
    orbitals, energies = scf.orbitals[0], scf.mo_energies[0]
    n = energies.shape[-1]
    level = torch.arange(n, device=energies.device)
    filled = level < occupied[0].unsqueeze(1)
    empty = ~filled & (level < builder.layout.n_orbitals.unsqueeze(1))
    pairs = empty.unsqueeze(2) & filled.unsqueeze(1)
    gap = torch.where(pairs, energies.unsqueeze(2) - energies.unsqueeze(1), 1.0)
    zero = builder(torch.zeros_like(change))

    def to_orbitals(matrix: Tensor) -> Tensor:
        """Elements between empty and filled orbitals, 0 elsewhere."""
        return torch.where(pairs, orbitals.mT @ matrix @ orbitals, 0.0)

    def to_density(rotation: Tensor) -> Tensor:
        half = orbitals @ rotation @ orbitals.mT
        return (half + half.mT).unsqueeze(0)

    def apply(rotation: Tensor) -> Tensor:
        fock = builder(to_density(rotation)) - zero
        return gap * rotation + to_orbitals(fock[0])

    rest = -to_orbitals(change[0])
    target = tolerance * torch.linalg.vector_norm(rest, dim=(1, 2))
    rotation = torch.zeros_like(rest)
    better = rest / gap
    direction = better.clone()
    product = (rest * better).sum((1, 2))
    converged = torch.linalg.vector_norm(rest, dim=(1, 2)) <= target
    stuck = torch.zeros_like(converged)
    check_every = 1 if change.device.type == "cpu" else 4
    for iteration in range(1, max_iterations + 1):
        image = apply(direction)
        curvature = (direction * image).sum((1, 2))
        # a molecule that is done, or not at a minimum, stands still
        stuck = stuck | ~(curvature > 0)
        step = torch.where(converged | stuck, 0.0, product / curvature)
        rotation = rotation + step.view(-1, 1, 1) * direction
        rest = rest - step.view(-1, 1, 1) * image
        converged = converged | (torch.linalg.vector_norm(rest, dim=(1, 2)) <= target)
        if iteration % check_every == 0 and bool((converged | stuck).all()):
            break
        better = rest / gap
        new = (rest * better).sum((1, 2))
        direction = better + torch.where(product > 0, new / product, 0.0).view(-1, 1, 1) * direction
        product = new
    return Response(to_density(rotation), converged & torch.isfinite(rotation).all(2).all(1))
