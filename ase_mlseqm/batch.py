"""Many molecules, padded (:class:`Batch`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .molecule import Molecule

__all__ = ["Batch", "Molecule", "collate", "padded_numbers"]


@dataclasses.dataclass(frozen=True)
class Batch:
    """B molecules padded to A atoms; every tensor lives on one device.

    Attributes
    ----------
    numbers : (B, A) int64
        Atomic numbers, 0 for padding.
    positions : (B, A, 3) float64
        Angstrom.
    charge, multiplicity : (B,) int64
        Total charge (e) and 2S + 1.
    """

    numbers: Tensor
    positions: Tensor
    charge: Tensor
    multiplicity: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, A) bool, True for atoms."""
        return self.numbers > 0

    def __len__(self) -> int:
        return self.numbers.shape[0]


def padded_numbers(molecules: Sequence[Molecule]) -> np.ndarray:
    """Atomic numbers (B, A) on the host, 0 for padding."""
    width = max(len(m.numbers) for m in molecules)
    numbers = np.zeros((len(molecules), width), dtype=np.int64)
    for row, molecule in enumerate(molecules):
        numbers[row, : len(molecule.numbers)] = molecule.numbers
    return numbers


def collate(molecules: Sequence[Molecule], device: torch.device | str = "cpu") -> Batch:
    """Pad molecules (whose multiplicity is known) to one :class:`Batch`."""
    numbers = padded_numbers(molecules)
    positions = np.zeros((*numbers.shape, 3))
    for row, molecule in enumerate(molecules):
        positions[row, : len(molecule.numbers)] = molecule.positions
    return Batch(
        torch.from_numpy(numbers).to(device),
        torch.from_numpy(positions).to(device),
        torch.tensor([m.charge for m in molecules], device=device),
        torch.tensor([m.multiplicity for m in molecules], device=device),
    )
