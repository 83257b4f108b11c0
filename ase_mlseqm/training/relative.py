"""Energies of frames relative to others of their molecule.

Barriers, conformers and spectra are made of differences.  An error that all frames of a molecule
share is the larger part of that of their energies, and hides what differs between them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .loss import ErrorSums


class RelativeErrors:
    """Errors of energies minus their mean over the frames of the molecule in a batch.

    Parameters
    ----------
    frames, molecules : (B,) arrays of int
        A frame may occur more than once; molecules of a single frame have no relative energies.
    errors : (B,)
        Errors of the energies, eV.
    ok : (B,) bool
        Frames that are used.
    """

    def __init__(
        self, frames: np.ndarray, molecules: np.ndarray, errors: Tensor, ok: Tensor
    ) -> None:
        group = np.unique(molecules, return_inverse=True)[1]
        used = ok.cpu().numpy()
        first = np.full(len(group), np.iinfo(np.int64).max)
        last = np.full(len(group), -1)
        np.minimum.at(first, group[used], frames[used])
        np.maximum.at(last, group[used], frames[used])
        self.group = torch.from_numpy(group).to(errors.device)
        self.used = ok & torch.from_numpy(first < last)[group].to(errors.device)
        self.errors = self._centred(torch.where(self.used, errors, 0.0))
        self.sums = ErrorSums.of(self.errors[self.used])

    def slope(self, rmse_share: float) -> Tensor:
        """Derivative (B,) of the sums' term with respect to the energies."""
        slopes = self.sums.slope(self.errors, rmse_share)
        return self._centred(torch.where(self.used, slopes, 0.0))

    def _centred(self, values: Tensor) -> Tensor:
        """Minus the mean over the molecule's frames that are used: a symmetric projection."""
        both = torch.stack((values, self.used.to(values.dtype)))
        sums = values.new_zeros(2, len(values)).index_add_(1, self.group, both)
        mean = sums[0] / sums[1].clamp(min=1.0)
        return torch.where(self.used, values - mean[self.group], 0.0)
