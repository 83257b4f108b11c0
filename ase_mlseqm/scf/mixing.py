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
        # a place that is still empty takes no part: unit diagonal, nothing on the right-hand side
        self.scale = like.new_zeros(n_b, size)
        self.gram = torch.diag_embed(torch.ones_like(self.scale))
        self._find_places()
        self.filled = 0

    def _find_places(self) -> None:
        """Views of the rows of each matrix, made once: making them costs as much as their use."""
        tensors = self.error, self.fock, self.scale
        places = (tensor.unbind(1) for tensor in tensors)
        self.places = list(zip(*places, self.gram.unbind(1), self.gram.unbind(2), strict=True))

    def extrapolate(self, fock: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination.

        ``residual`` (B,) is the largest element of the commutator.
        """
        at = self.filled % self.size
        self.filled += 1
        # errors are kept at unit size: the system stays solvable over many orders of magnitude; one
        # that vanishes is no merit (the diagonal guess of a hydrocarbon is a multiple of unity)
        scale = torch.where(residual > 0, residual, 1e30).reciprocal()
        new_error, new_fock, new_scale, row, column = self.places[at]
        torch.mul(_rows(error), scale.unsqueeze(1), out=new_error)
        new_fock.copy_(_rows(fock))
        new_scale.copy_(scale)
        overlaps = torch.bmm(self.error, new_error.unsqueeze(2)).squeeze(2)
        overlaps.select(1, at).add_(1e-13)
        row.copy_(overlaps)
        column.copy_(overlaps)
        if self.filled == 1:
            return fock
        solution = torch.linalg.solve_ex(self.gram, self.scale)[0] * self.scale
        weights = solution / solution.sum(1, keepdim=True)
        best = torch.bmm(weights.unsqueeze(1), self.fock)
        n_spin, n_b, n, _ = fock.shape
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.fock, self.error = self.fock[keep], self.error[keep]
        self.scale, self.gram = self.scale[keep], self.gram[keep]
        self._find_places()


def _rows(matrices: Tensor) -> Tensor:
    return matrices.transpose(0, 1).reshape(matrices.shape[1], -1)
