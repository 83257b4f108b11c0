"""The molecules within a frame, and the forces that they exert on one another.

The force on a molecule as a whole is a small sum of large forces on its atoms.  It makes the wells
of non-covalent contacts, and a loss of the atoms' forces hardly sees it; labels of the wrong level
may be good for the atoms and useless for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from ase.data import covalent_radii
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..nddo.layout import Layout
from .dataset import Dataset

JOINED = 1.6
"""Distance up to which atoms belong to one molecule, in sums of covalent radii.

Short hydrogen bonds are longer, bonds that form or break in a reaction shorter.
"""

FARTHEST = 0.92
"""What that may be more than the sum, Angstrom: 1.6 times the radii of bromine or iodine is beyond
their van der Waals contacts."""


def label_parts(data: Dataset, indices: Sequence[int] | np.ndarray, width: int) -> np.ndarray:
    """Which molecule of its frame every atom belongs to, (B, ``width``)."""
    out = np.zeros((len(indices), width), dtype=np.int64)
    for row, k in enumerate(indices):
        radii = covalent_radii[data.numbers[k]]
        distance = np.linalg.norm(data.positions[k][:, None] - data.positions[k], axis=-1)
        bond = radii[:, None] + radii
        linked = distance < np.minimum(JOINED * bond, bond + FARTHEST)
        out[row, : len(linked)] = connected_components(linked)[1]
    return out


@dataclasses.dataclass(frozen=True)
class Parts:
    """The P molecules within the frames of a batch.

    Attributes
    ----------
    index : (n,) int64
        The molecule of every atom.
    frame : (P,) int64
        The frame of every molecule.
    several : (P,) bool
        Whether its frame has more than one.
    learned : (P,) bool
        Whether the force on it as a whole is a label to learn from.
    """

    index: Tensor
    frame: Tensor
    several: Tensor
    learned: Tensor

    @classmethod
    def of(cls, layout: Layout, labels: Tensor, learned: Tensor) -> Parts:
        """From the labels (B, A) of :func:`label_parts` and what is learned of the frames (B,)."""
        width = labels.shape[1]
        key = layout.molecule * width + labels.flatten()[layout.slot]
        keys, index = torch.unique(key, return_inverse=True)
        frame = keys // width
        several = torch.bincount(frame, minlength=layout.n_molecules)[frame] > 1
        return cls(index, frame, several, learned[frame])

    def total(self, values: Tensor) -> Tensor:
        """Sums (P, 3) of the atoms' values (n, 3)."""
        return values.new_zeros(len(self.frame), 3).index_add_(0, self.index, values)

    def internal(self, values: Tensor) -> Tensor:
        """The atoms' values, less their mean where the force on the molecule is no label.

        A symmetric projection: it turns errors into those that count, and the slopes of a loss
        of these into slopes of the errors.
        """
        size = torch.bincount(self.index, minlength=len(self.frame)).unsqueeze(1)
        mean = self.total(values) / size
        left_out = (self.several & ~self.learned).unsqueeze(1)
        return values - torch.where(left_out, mean, 0.0)[self.index]
