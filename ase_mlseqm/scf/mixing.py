"""Acceleration of the SCF: direct inversion in the iterative subspace, for a whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 100_000
"""Elements of all errors, below which empty places are read, too, and whole matrices are kept:
leaving out what is not needed takes longer."""


class DIIS:
    """Pulay's commutator DIIS (J. Comput. Chem. 3 (1982) 556), one subspace per molecule.

    Parameters
    ----------
    size : int
        Number of Fock matrices kept.
    like : (S, B, N, N) tensor
        Shape, dtype and device of the Fock matrices, which are symmetric; errors are antisymmetric.
    """

    def __init__(self, size: int, like: Tensor) -> None:
        n_spin, n_b, n, _ = like.shape
        self.size, self.filled = size, 0
        self.few = n_b * size * n_spin * n * n < FEW
        self.form = _Whole() if self.few else _Triangles(n, like.device)
        # a place that is still empty takes no part: unit diagonal, nothing on the right-hand side
        shape = n_b, size, n_spin * self.form.size(n)
        empty = like.new_zeros if self.few else like.new_empty
        self.errors, self.focks = empty(shape), empty(shape)
        self.scales = like.new_zeros(n_b, size, 1)
        unit = torch.eye(size, dtype=like.dtype, device=like.device)
        self.gram, self.jitter = unit.repeat(n_b, 1, 1), 1e-13 * unit
        self._find_places()

    def _find_places(self) -> None:
        """Views of the places, made once: making them costs as much as their use."""
        tensors = self.errors, self.focks, self.scales
        self.places = list(zip(*(tensor.unbind(1) for tensor in tensors), strict=True))

    def extrapolate(self, fock: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Add ``fock`` with its commutator ``error`` and return the best combination.

        ``residual`` (B,) is the largest element of the commutator.
        """
        at = self.filled % self.size
        self.filled += 1
        new_error, new_fock, new_scale = self.places[at]
        errors, focks, scales, gram, jitter = self._known()
        # errors are kept at unit size: the system stays solvable over many orders of magnitude; one
        # that vanishes is no merit (the diagonal guess of a hydrocarbon is a multiple of unity)
        scale = ((residual + 1e-60) / (residual * residual + 1e-40)).unsqueeze(1)
        torch.mul(self.form.rows(error), scale, out=new_error)
        torch.mul(self.form.rows(fock), scale, out=new_fock)
        new_scale.copy_(scale)
        overlaps = torch.bmm(errors, new_error.unsqueeze(2)).squeeze(2)
        gram.select(1, at).copy_(overlaps)
        gram.select(2, at).copy_(overlaps)
        if self.filled == 1:
            return fock
        solution = torch.linalg.solve_ex(gram + jitter, scales)[0]
        weights = solution / (solution * scales).sum(1, keepdim=True)
        best = self.form.matrices(torch.bmm(weights.mT, focks))
        n_spin, n_b, n, _ = fock.shape
        if n_spin == 1:
            return best.view(fock.shape)
        return best.view(n_b, n_spin, n, n).transpose(0, 1)

    def _known(self) -> tuple[Tensor, ...]:
        """What is filled of errors, Fock matrices, scales and overlaps, and the jitter of these."""
        known = self.filled
        if known >= self.size or self.few:
            return self.errors, self.focks, self.scales, self.gram, self.jitter
        rows = (t.narrow(1, 0, known) for t in (self.errors, self.focks, self.scales))
        gram, jitter = self.gram.narrow(1, 0, known), self.jitter.narrow(0, 0, known)
        return *rows, gram.narrow(2, 0, known), jitter.narrow(1, 0, known)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.errors, self.focks = self.errors[keep], self.focks[keep]
        self.scales, self.gram = self.scales[keep], self.gram[keep]
        self._find_places()


class _Whole:
    """Matrices (S, B, N, N) kept as rows (B, S N N)."""

    def size(self, n: int) -> int:
        """Elements of a matrix."""
        return n * n

    def rows(self, matrices: Tensor) -> Tensor:
        """From matrices to rows."""
        n_spin, n_b = matrices.shape[:2]
        return (matrices if n_spin == 1 else matrices.transpose(0, 1)).reshape(n_b, -1)

    def matrices(self, rows: Tensor) -> Tensor:
        """From rows to matrices, in any shape."""
        return rows


class _Triangles(_Whole):
    """Their upper triangles: what they are kept for is symmetric or antisymmetric, and in large
    molecules nothing takes more memory."""

    def __init__(self, n: int, device: torch.device) -> None:
        i, j = torch.triu_indices(n, n, device=device)
        self.upper = (i * n + j).int()
        level = torch.arange(n, dtype=torch.int32, device=device)
        first, last = torch.minimum(level, level[:, None]), torch.maximum(level, level[:, None])
        # row i begins after i rows that are one shorter each
        self.place = (first * (2 * n - 1 - first) // 2 + last).flatten()

    def size(self, n: int) -> int:
        return n * (n + 1) // 2

    def rows(self, matrices: Tensor) -> Tensor:
        return super().rows(matrices.flatten(2).index_select(2, self.upper))

    def matrices(self, rows: Tensor) -> Tensor:
        return rows.view(-1, len(self.upper)).index_select(1, self.place)
