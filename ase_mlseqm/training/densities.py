"""Densities kept from one epoch to the next: where the SCF of the same frame starts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class DensityCache:
    """Lower triangles of spin densities on the host, in single precision: a starting point need
    not be exact."""

    def __init__(self, n_orbitals: np.ndarray) -> None:
        self._length = n_orbitals * (n_orbitals + 1) // 2
        self._kept: dict[int, np.ndarray] = {}

    def keep(self, indices: np.ndarray, density: Tensor, ok: Tensor) -> None:
        """Keep the densities (S, B, N, N) of the frames that converged."""
        triangle = np.tril_indices(density.shape[-1])
        packed = density.cpu().numpy()[:, :, triangle[0], triangle[1]].astype(np.float32)
        for row, (index, good) in enumerate(zip(indices.tolist(), ok.tolist(), strict=True)):
            if good:
                # padding is at the end, so a smaller triangle is the start of a larger one
                self._kept[index] = packed[:, row, : self._length[index]].copy()

    def knows(self, indices: np.ndarray) -> np.ndarray:
        """Whether there is a density (n,) of the frames."""
        return np.array([index in self._kept for index in indices.tolist()], dtype=bool)

    def find(self, indices: np.ndarray, device: torch.device) -> Tensor | None:
        """Densities (S, B, N, N) of the frames, or None unless all are known."""
        known = [self._kept.get(index) for index in indices.tolist()]
        found = [packed for packed in known if packed is not None]
        if len(found) < len(known):
            return None
        length = max(packed.shape[1] for packed in found)
        n = round(((8 * length + 1) ** 0.5 - 1) / 2)
        triangle = np.tril_indices(n)
        out = np.zeros((len(found[0]), len(found), n, n))
        for row, packed in enumerate(found):
            rows, columns = (side[: packed.shape[1]] for side in triangle)
            out[:, row, rows, columns] = packed
            out[:, row, columns, rows] = packed
        return torch.from_numpy(out).to(device)
