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

    def extrapolate(self, fock: Tensor, error: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination."""
        n_b = fock.shape[1]
        at = self.next
        self.next = (at + 1) % self.size
        self.filled = m = max(self.filled, at + 1)
        self.fock[:, at] = _rows(fock)
        # errors are kept with unit length: the system stays solvable over many orders of magnitude
        row = _rows(error)
        scale = 1.0 / torch.linalg.vector_norm(row, dim=1).clamp(min=1e-100)
        row = row * scale.unsqueeze(1)
        self.error[:, at] = row
        self.scale[:, at] = scale
        overlaps = torch.bmm(self.error[:, :m], row.unsqueeze(2)).squeeze(2)
        overlaps[:, at] += 1e-13
        self.gram[:, at, :m] = overlaps
        self.gram[:, :m, at] = overlaps
        if m == 1:
            return fock
        inverse = self.scale[:, :m]
        solution = torch.linalg.solve_ex(self.gram[:, :m, :m], inverse)[0] * inverse
        weights = solution / solution.sum(1, keepdim=True)
        best = torch.bmm(weights.unsqueeze(1), self.fock[:, :m])
        n_spin, _, n, _ = fock.shape
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.fock, self.error = self.fock[keep], self.error[keep]
        self.scale, self.gram = self.scale[keep], self.gram[keep]


def _rows(matrices: Tensor) -> Tensor:
    return matrices.transpose(0, 1).reshape(matrices.shape[1], -1)
