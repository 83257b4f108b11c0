"""Acceleration of the SCF: direct inversion in the iterative subspace, for a whole batch."""

from __future__ import annotations

import torch
from torch import Tensor


class DIIS:
    """Pulay's commutator DIIS (J. Comput. Chem. 3 (1982) 556), one subspace per molecule.

    Parameters
    ----------
    size : int
        Number of Fock matrices kept.
    like : (S, B, N, N) tensor
        Shape, dtype and device of the Fock matrices.
    """

    def __init__(self, size: int, like: Tensor) -> None:
        n_spin, n_b, n, _ = like.shape
        self.size = size
        self.fock = like.new_zeros(n_b, size, n_spin * n * n)
        self.error = torch.zeros_like(self.fock)
        self.scale = like.new_zeros(n_b, size)
        self.gram = like.new_zeros(n_b, size, size)
        self.filled = 0
        self.next = 0

    def extrapolate(self, fock: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination.

        ``residual`` (B,) is the largest element of the commutator.
        """
        at = self.next
        self.next = (at + 1) % self.size
        self.filled = m = max(self.filled, at + 1)
        # errors are kept at unit size: the system stays solvable over many orders of magnitude; one
        # that vanishes is no merit (the diagonal guess of a hydrocarbon is a multiple of unity)
        scale = torch.where(residual > 0, residual, 1e30).reciprocal()
        row = self.error.select(1, at)
        torch.mul(_rows(error), scale.unsqueeze(1), out=row)
        self.fock.select(1, at).copy_(_rows(fock))
        self.scale.select(1, at).copy_(scale)
        overlaps = torch.bmm(self.error.narrow(1, 0, m), row.unsqueeze(2)).squeeze(2)
        overlaps.select(1, at).add_(1e-13)
        self.gram.select(1, at).narrow(1, 0, m).copy_(overlaps)
        self.gram.select(2, at).narrow(1, 0, m).copy_(overlaps)
        if m == 1:
            return fock
        inverse = self.scale.narrow(1, 0, m)
        gram = self.gram.narrow(1, 0, m).narrow(2, 0, m)
        solution = torch.linalg.solve_ex(gram, inverse)[0] * inverse
        weights = solution / solution.sum(1, keepdim=True)
        best = torch.bmm(weights.unsqueeze(1), self.fock.narrow(1, 0, m))
        n_spin, n_b, n, _ = fock.shape
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.fock, self.error = self.fock[keep], self.error[keep]
        self.scale, self.gram = self.scale[keep], self.gram[keep]


def _rows(matrices: Tensor) -> Tensor:
    return matrices.transpose(0, 1).reshape(matrices.shape[1], -1)
