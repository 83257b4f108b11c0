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
        self.length = n_spin * n * n
        # error, Fock matrix and 1, all times a scale; a place that is still empty takes no part:
        # unit diagonal, nothing on the right-hand side
        self.rows = like.new_zeros(n_b, size, 2 * self.length + 1)
        unit = torch.eye(size, dtype=like.dtype, device=like.device)
        self.gram, self.jitter = unit.repeat(n_b, 1, 1), 1e-13 * unit
        self._find_places()

    def _find_places(self) -> None:
        """Views that every step needs, made once: making them costs as much as their use."""
        self.errors, self.rest = self.rows[..., : self.length], self.rows[..., self.length :]
        self.one = torch.ones_like(self.rows[:, 0, :1])
        rows, columns = self.gram.mT.split(1, 2), self.gram.split(1, 2)
        self.places = list(zip(self.rows.unbind(1), rows, columns, strict=True))

    def extrapolate(self, fock: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination.

        ``residual`` (B,) is the largest element of the commutator.
        """
        new, row, column = self.places[self.filled % self.size]
        self.filled += 1
        # errors are kept at unit size: the system stays solvable over many orders of magnitude; one
        # that vanishes is no merit (the diagonal guess of a hydrocarbon is a multiple of unity)
        scale = (residual + 1e-60) / (residual * residual + 1e-40)
        parts = torch.cat((_flat(error), _flat(fock), self.one), 1)
        torch.mul(parts, scale.unsqueeze(1), out=new)
        overlaps = torch.bmm(self.errors, new[:, : self.length].unsqueeze(2))
        row.copy_(overlaps)
        column.copy_(overlaps)
        if self.filled == 1:
            return fock
        solution = torch.linalg.solve_ex(self.gram + self.jitter, self.rest[..., -1:])[0]
        best = torch.bmm(solution.mT, self.rest)
        n_spin, n_b, n, _ = fock.shape
        best = best[..., :-1] / best[..., -1:]
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.rows, self.gram = self.rows[keep], self.gram[keep]
        self._find_places()


def _flat(matrices: Tensor) -> Tensor:
    """(B, S N N) from (S, B, N, N)."""
    return matrices.transpose(0, 1).flatten(1)
