"""The loss of Zhou et al. (PNAS 119 (2022) e2120333119): RMSE plus MAE of energies and forces.

Errors of dipoles, and of forces between molecules, can be added.  Every term couples all molecules
of a batch, so it is computed from sums over the whole batch, on every process alike, and only then
differentiated.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import InputError
from ..options import check_types, require_not_negative

T = TypeVar("T", float, Tensor)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights of the terms; energies in eV, forces in eV/Angstrom, dipoles in e*Angstrom."""

    force_weight: float = 1.0
    """Of RMSE + MAE of the force components."""
    energy_weight: float = 0.5
    """Of RMSE + MAE of the atomization energies of molecules."""
    dipole_weight: float = 0.0
    """Of RMSE + MAE of the dipole components, of the frames that have them."""
    contact_weight: float = 0.0
    """Of RMSE + MAE of the components of the force on each molecule of a frame that has several."""
    rmse_share: float = 0.5
    """Share of the RMSE in the sum of RMSE and MAE; 0.5 is the paper's equal weight."""
    correction_weight: float = 1e-3
    """Of the mean square of the corrections, in the units of the parameter head."""

    def __post_init__(self) -> None:
        """Refuse weights that reward errors."""
        check_types(self)
        weights = ("force_weight", "energy_weight", "dipole_weight", "contact_weight")
        require_not_negative(self, *weights, "correction_weight", "rmse_share")
        if self.rmse_share > 1.0:
            raise InputError(f"rmse_share is {self.rmse_share}: give a number from 0 to 1")

    def of(self, errors: Mapping[str, float]) -> float:
        """The loss.

        Parameters
        ----------
        errors : mapping
            RMSE and MAE of every quantity, as in ``force_rmse`` and ``force_mae``, and the mean
            square ``correction``.  Dipoles and contacts that no frame has are NaN, and add nothing.
        """
        weights = {
            "energy": self.energy_weight,
            "force": self.force_weight,
            "dipole": self.dipole_weight,
            "contact": self.contact_weight,
        }
        terms = (
            weight * term(errors[f"{name}_rmse"], errors[f"{name}_mae"], self.rmse_share)
            for name, weight in weights.items()
            if name in ("energy", "force") or not math.isnan(errors[f"{name}_rmse"])
        )
        return sum(terms) + self.correction_weight * errors["correction"]


def term(rmse: T, mae: T, rmse_share: float) -> T:
    """2 (share RMSE + (1 - share) MAE)."""
    return 2.0 * (rmse_share * rmse + (1.0 - rmse_share) * mae)


@dataclasses.dataclass
class ErrorSums:
    """Sums over a batch: squares, absolute values and number of the errors of one quantity."""

    squares: Tensor
    absolute: Tensor
    count: Tensor

    @classmethod
    def of(cls, errors: Tensor) -> ErrorSums:
        """Sums of some errors."""
        return cls((errors**2).sum(), errors.abs().sum(), errors.new_tensor(float(errors.numel())))

    def stack(self) -> Tensor:
        """The three sums as a vector (3,)."""
        return torch.stack((self.squares, self.absolute, self.count))

    @property
    def rmse(self) -> Tensor:
        """Root mean square error."""
        return (self.squares / self.count.clamp(min=1.0)).sqrt()

    @property
    def mae(self) -> Tensor:
        """Mean absolute error."""
        return self.absolute / self.count.clamp(min=1.0)

    def slope(self, errors: Tensor, rmse_share: float) -> Tensor:
        """Derivative of :func:`term` with respect to the errors themselves."""
        count = self.count.clamp(min=1.0)
        square = errors / (count * self.rmse.clamp(min=1e-12))
        return 2.0 * (rmse_share * square + (1.0 - rmse_share) * errors.sign() / count)
