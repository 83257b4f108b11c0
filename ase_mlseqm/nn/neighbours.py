"""Which atoms a network looks at: padded lists, so that every sum is a matrix product."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.layout import Layout

ALL_PAIRS = 64
"""Atoms of the largest molecule up to which all atoms of a molecule look at each other: the list
then does not depend on the positions, and the cutoff function removes what lies beyond it."""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """G groups of at most P atoms that look at the same Q atoms.

    A group is a molecule, or, for large ones, a single atom (P = 1).

    Attributes
    ----------
    centre : (G, P) int64
        Atoms of the groups; filled up with any.
    index : (G, Q) int64
        Atoms they look at; filled up with any.
    real : (G, P, Q) bool
        False for what was filled up, and for an atom and itself.
    place : (n,) int64
        Where the atoms are among the G P centres.
    """

    centre: Tensor
    index: Tensor
    real: Tensor
    place: Tensor


def neighbours(layout: Layout, positions: Tensor, cutoff: float) -> Neighbours:
    """All atoms of the same molecule within ``cutoff`` of (n, 3) ``positions``, and maybe more."""
    if layout.width <= ALL_PAIRS:
        return layout.once("neighbours", lambda: _everybody(layout))
    return _near(layout, positions.detach(), cutoff)


def _everybody(layout: Layout) -> Neighbours:
    device, width = layout.molecule.device, layout.width
    column = torch.arange(width, device=device)
    present = column < layout.n_atoms.unsqueeze(1)
    start = layout.n_atoms.cumsum(0) - layout.n_atoms
    index = torch.where(present, start.unsqueeze(1) + column, start.unsqueeze(1))
    real = present.unsqueeze(2) & present.unsqueeze(1) & (column.unsqueeze(1) != column)
    own = torch.arange(len(layout.molecule), device=device) - start[layout.molecule]
    return Neighbours(index, index, real, layout.molecule * width + own)


def _near(layout: Layout, positions: Tensor, cutoff: float) -> Neighbours:
    """By a k-d tree on the CPU: the cost grows with the number of atoms, not of pairs."""
    import numpy as np
    from scipy.spatial import cKDTree

    points = positions.cpu().numpy()
    ends = layout.n_atoms.cumsum(0).tolist()
    pairs_of, start = [], 0
    for end in ends:
        pairs = cKDTree(points[start:end]).query_pairs(cutoff, output_type="ndarray")
        pairs_of.append(pairs.astype(np.int64) + start)
        start = end
    half = np.concatenate(pairs_of)
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
    centres = torch.arange(len(points), device=device)
    found = torch.from_numpy(real).to(device).unsqueeze(1)
    return Neighbours(centres.unsqueeze(1), torch.from_numpy(index).to(device), found, centres)
