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
        self.size, self.filled = size, 0
        self.errors = like.new_empty(n_b, size, n_spin * n * n)
        self.focks = torch.empty_like(self.errors)
        self.scales = like.new_empty(n_b, size, 1)
        self.gram = like.new_empty(n_b, size, size)
        self.jitter = 1e-13 * torch.eye(size, dtype=like.dtype, device=like.device)

    def extrapolate(self, fock: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination.

        ``residual`` (B,) is the largest element of the commutator.
        """
        at = self.filled % self.size
        self.filled += 1
        known = min(self.filled, self.size)
        new, known_errors = self.errors[:, at], self.errors[:, :known]
        gram, scales = self.gram[:, :known, :known], self.scales[:, :known]
        # errors are kept at unit size: the system stays solvable over many orders of magnitude; one
        # that vanishes is no merit (the diagonal guess of a hydrocarbon is a multiple of unity)
        scale = ((residual + 1e-60) / (residual * residual + 1e-40)).unsqueeze(1)
        torch.mul(_rows(error), scale, out=new)
        torch.mul(_rows(fock), scale, out=self.focks[:, at])
        scales[:, at] = scale
        overlaps = torch.bmm(known_errors, new.unsqueeze(2)).squeeze(2)
        gram[:, at] = overlaps
        gram[:, :, at] = overlaps
        if known == 1:
            return fock
        solution = torch.linalg.solve_ex(gram + self.jitter[:known, :known], scales)[0]
        weights = solution / (solution * scales).sum(1, keepdim=True)
        best = torch.bmm(weights.mT, self.focks[:, :known])
        n_spin, n_b, n, _ = fock.shape
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.errors, self.focks = self.errors[keep], self.focks[keep]
        self.scales, self.gram = self.scales[keep], self.gram[keep]


def _rows(matrices: Tensor) -> Tensor:
    """(B, S N N) from (S, B, N, N)."""
    return matrices.transpose(0, 1).reshape(matrices.shape[1], -1)
