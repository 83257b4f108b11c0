"""Which atoms a network looks at: padded lists, so that every sum is a matrix product."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.layout import Layout

ALL_PAIRS = 64
"""Atoms of the largest molecule up to which all other atoms are listed: the list then does not
depend on the positions, and the cutoff function removes what lies beyond it."""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """At most K neighbours of n atoms.

    Attributes
    ----------
    index : (n, K) int64
        Neighbours; an atom that lacks some lists itself.
    real : (n, K) bool
        False where the list is padded.
    """

    index: Tensor
    real: Tensor


def neighbours(layout: Layout, positions: Tensor, cutoff: float) -> Neighbours:
    """All atoms of the same molecule within ``cutoff`` of (n, 3) ``positions``, and maybe more."""
    if layout.width <= ALL_PAIRS:
        return layout.once("neighbours", lambda: _everybody(layout))
    return _near(layout, positions.detach(), cutoff)


def _everybody(layout: Layout) -> Neighbours:
    device = layout.molecule.device
    counts = layout.n_atoms[layout.molecule]
    start = (layout.n_atoms.cumsum(0) - layout.n_atoms)[layout.molecule]
    own = torch.arange(len(start), device=device) - start
    column = torch.arange(max(layout.width - 1, 1), device=device).expand(len(start), -1)
    real = column < (counts - 1).unsqueeze(1)
    other = column + (column >= own.unsqueeze(1)) + start.unsqueeze(1)
    myself = torch.arange(len(start), device=device).unsqueeze(1)
    return Neighbours(torch.where(real, other, myself), real)


def _near(layout: Layout, positions: Tensor, cutoff: float) -> Neighbours:
    """By a k-d tree on the CPU: the cost grows with the number of atoms, not of pairs."""
    import numpy as np
    from scipy.spatial import cKDTree

    points = positions.cpu().numpy()
    ends = layout.n_atoms.cumsum(0).tolist()
    found, start = [], 0
    for end in ends:
        pairs = cKDTree(points[start:end]).query_pairs(cutoff, output_type="ndarray")
        found.append(pairs.astype(np.int64) + start)
        start = end
    half = np.concatenate(found)
    centre, other = np.concatenate((half, half[:, ::-1])).T
    order = np.lexsort((other, centre))
    centre, other = centre[order], other[order]
    counts = np.bincount(centre, minlength=len(points))
    first = np.cumsum(counts) - counts
    index = np.repeat(np.arange(len(points))[:, None], max(counts.max(initial=0), 1), 1)
    real = np.zeros(index.shape, dtype=bool)
    column = np.arange(len(centre)) - first[centre]
    index[centre, column], real[centre, column] = other, True
    device = positions.device
    return Neighbours(torch.from_numpy(index).to(device), torch.from_numpy(real).to(device))
