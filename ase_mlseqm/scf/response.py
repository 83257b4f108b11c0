"""First-order response of spin densities to a change of the Fock matrix.

With the rotation X_ai of occupied into virtual orbitals, the density of a spin changes by
dP = sum_ai X_ai (C_a C_i^T + C_i C_a^T), and

    (e_a - e_i) X_ai + G(dP)_ai = -f_ai,

where f is the change of the Fock matrix of this spin at fixed densities and G its linear
dependence on the densities of both.  The matrix on the left is positive definite at a minimum, so
conjugate gradients solve it for all molecules at once; no matrix is diagonalised.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import dot
from .result import SCFResult


@dataclasses.dataclass(frozen=True)
class Response:
    """Change of the densities (S, B, N, N), and whether it converged (B,)."""

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
    """Response of converged densities to a ``change`` (S, B, N, N) of their Fock matrices.

    Parameters
    ----------
    builder : FockBuilder
        That of the unperturbed molecules.
    occupied : (S, B)
        Occupied orbitals of either spin; S = 1 for restricted.
    tolerance : float
        Norm of what is left of the equation, relative to the change.
    """
    orbitals, energies = scf.orbitals, scf.mo_energies
    n = energies.shape[-1]
    level = torch.arange(n, device=energies.device)
    filled = level < occupied.unsqueeze(2)
    empty = ~filled & (level < builder.layout.n_orbitals.unsqueeze(1))
    pairs = empty.unsqueeze(3) & filled.unsqueeze(2)
    gap = torch.where(pairs, energies.unsqueeze(3) - energies.unsqueeze(2), 1.0)
    zero = builder(torch.zeros_like(change))

    def to_orbitals(matrix: Tensor) -> Tensor:
        """Elements between empty and filled orbitals, 0 elsewhere."""
        return torch.where(pairs, orbitals.mT @ matrix @ orbitals, 0.0)

    def to_density(rotation: Tensor) -> Tensor:
        half = orbitals @ rotation @ orbitals.mT
        return half + half.mT

    def apply(rotation: Tensor) -> Tensor:
        return gap * rotation + to_orbitals(builder(to_density(rotation)) - zero)

    def norm(rotation: Tensor) -> Tensor:
        return torch.linalg.vector_norm(rotation, dim=(0, 2, 3))

    rest = -to_orbitals(change)
    target = tolerance * norm(rest)
    rotation = torch.zeros_like(rest)
    better = rest / gap
    direction = better.clone()
    product = dot(rest, better)
    converged = norm(rest) <= target
    stuck = torch.zeros_like(converged)
    check_every = 1 if change.device.type == "cpu" else 4
    for iteration in range(1, max_iterations + 1):
        image = apply(direction)
        curvature = dot(direction, image)
        # a molecule that is done, or not at a minimum, stands still
        stuck = stuck | ~(curvature > 0)
        step = torch.where(converged | stuck, 0.0, product / curvature).view(-1, 1, 1)
        rotation = rotation + step * direction
        rest = rest - step * image
        converged = converged | (norm(rest) <= target)
        if iteration % check_every == 0 and bool((converged | stuck).all()):
            break
        better = rest / gap
        new = dot(rest, better)
        direction = better + torch.where(product > 0, new / product, 0.0).view(-1, 1, 1) * direction
        product = new
    finite = torch.isfinite(rotation).all(3).all(2).all(0)
    return Response(to_density(rotation), converged & finite)
