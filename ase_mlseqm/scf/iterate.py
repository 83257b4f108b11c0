"""One aid at work on a batch: iterations until every molecule is done."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ..memory import LARGE, give_back
from ..nddo.fock import FockBuilder
from .density import commutator, density_matrix
from .orbitals import Orbitals, eigh
from .purification import Purification
from .rungs import Aid


@dataclasses.dataclass
class Attempt:
    """Densities reached by one aid, their Fock matrices, residuals (eV) and iteration counts."""

    density: Tensor
    fock: Tensor
    residual: Tensor
    iterations: Tensor

    @classmethod
    def nothing(cls, density: Tensor) -> Attempt:
        """Before the first iteration."""
        n_b, device = density.shape[1], density.device
        return cls(
            density.clone(),
            torch.zeros_like(density),
            torch.full((n_b,), math.inf, dtype=density.dtype, device=device),
            torch.zeros(n_b, dtype=torch.int64, device=device),
        )

    def store(
        self,
        at: Tensor,
        density: Tensor,
        fock: Tensor,
        residual: Tensor,
        iterations: Tensor | int,
    ) -> None:
        """Write the outcome of the molecules ``at`` (indices)."""
        self.density[:, at], self.fock[:, at] = density, fock
        self.residual[at], self.iterations[at] = residual, iterations


def iterate(
    builder: FockBuilder,
    occupied: Tensor,
    density: Tensor,
    aid: Aid,
    tolerance: float,
    max_iterations: int,
) -> Attempt:
    """Run one aid until every molecule is converged or the iterations are used up."""
    n_b = density.shape[1]
    device = density.device
    check_every = 1 if device.type == "cpu" else 3
    result: Attempt | None = None
    active = torch.arange(n_b, device=device)
    open_ = torch.ones(n_b, dtype=torch.bool, device=device)
    n_open = n_b
    kind = Purification if Purification.pays(density) else Orbitals
    orbitals = kind(occupied, builder.layout.n_orbitals)
    ended = torch.full((n_b,), max_iterations, device=device)
    for iteration in range(1, max_iterations + 1):
        fock = builder(density)
        error = commutator(fock, density)
        residual = error.amax((0, 2, 3))  # it is antisymmetric
        last = iteration == max_iterations
        # a starting density may commute with F without being idempotent
        final = aid.final() and iteration > 1
        if final and check_every > 1:  # when, though nobody looks
            ended = torch.where(residual < tolerance, ended.clamp(max=iteration), max_iterations)
        look = last or iteration % check_every == 0 or iteration == 1
        if look and _any_ended(residual.tolist(), tolerance if final else 0.0, last):
            # what is not a number will not become one
            done = (residual < tolerance) & final
            if n_open == n_b and bool(done.all()):
                return Attempt(density, fock, residual, ended.clamp(max=iteration))
            result = result or Attempt.nothing(density)
            store = open_ & (done | ~torch.isfinite(residual) | last)
            reached = residual if final else residual.clamp(min=tolerance)  # not converged
            count = ended[store].clamp(max=iteration)
            result.store(active[store], density[:, store], fock[:, store], reached[store], count)
            open_ = open_ & ~store
            n_open = int(open_.sum())
            if n_open == 0:
                break
            # dropping molecules costs as much as an iteration; NaN would spread to the others
            if n_open <= 0.5 * len(active) or not bool(torch.isfinite(residual[store]).all()):
                keep = open_.nonzero().squeeze(1)
                builder = builder.select(keep)
                aid.select(keep)
                orbitals.select(keep)
                active, open_, ended = active[keep], open_[keep], ended[keep]
                fock, density = fock[:, keep], density[:, keep]
                error, residual = error[:, keep], residual[keep]
        effective = aid.effective_fock(fock, density, error, residual)
        if aid.final():
            density = orbitals.density(effective, residual)
        else:
            energies, vectors = eigh(effective)
            density = density_matrix(vectors, aid.occupations(energies))
        del fock, error, effective  # or those of two iterations would be there at once
        if density.shape[-1] >= LARGE and iteration % 4 == 0:
            give_back()
    return result or Attempt.nothing(density)


def _any_ended(residuals: list[float], tolerance: float, last: bool) -> bool:
    """Whether any molecule of the batch is below the tolerance, not finite, or out of time."""
    return last or not all(tolerance <= residual < math.inf for residual in residuals)
