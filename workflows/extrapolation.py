"""Starting densities of the SCF from those of earlier steps of a trajectory."""

from __future__ import annotations

from math import comb

import numpy as np

LENGTH = 6
"""Densities that are kept; docs/dynamics.md has the measurements."""


class DensityHistory:
    """Predicts the next density by a polynomial through the last ones.

    The K-th difference of successive densities is set to zero,

        P(t + h) = sum_j B_j P(t + h - j h),   B_j = (-1)^(j+1) C(K, j),   j = 1 ... K,

    a relation that reads the same backwards in time: the coefficients 1, -B_1, ... -B_K of
    P(t + h) ... P(t + h - K h) are symmetric (K even) or antisymmetric (K odd).  One step of
    McWeeny's purification, 3 P^2 - 2 P^3, makes the prediction idempotent again.  The atomic
    orbitals are orthogonal in NDDO, so that densities of different geometries can be added.

    An SCF that stops early leaves some of the prediction's error in the forces.  That of the last
    density, of the order h, points backwards in time and drains energy; here it is of the order
    h^K.  The predictors of Kolafa, J. Comput. Chem. 25 (2004) 335, and of Niklasson et al., J.
    Chem. Phys. 130 (2009) 214109, are made for a single iteration a step: they damp what a
    polynomial amplifies, 2^K times the error of the densities, and pay for it with an error of
    order h^2.  For a converged SCF it takes more iterations to make that good.

    Parameters
    ----------
    length : int
        K, the number of densities that are kept; 1 predicts the density of the last step.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self.length = length
        self.densities: list[np.ndarray] = []

    def add(self, density: np.ndarray) -> None:
        """Append the converged spin densities (S, N, N) of a step, each idempotent."""
        if self.densities and self.densities[0].shape != density.shape:
            self.densities = []
        self.densities = [density, *self.densities[: self.length - 1]]

    def predict(self) -> np.ndarray | None:
        """Spin densities (S, N, N) of the next step; None before the first."""
        if len(self.densities) < 2:
            return self.densities[0] if self.densities else None
        density = np.tensordot(weights(len(self.densities)), np.array(self.densities), 1)
        square = density @ density
        return 3.0 * square - 2.0 * square @ density


def weights(length: int) -> list[int]:
    """Coefficients B_1 ... B_K of :class:`DensityHistory`, the latest density first."""
    return [(-1) ** (j + 1) * comb(length, j) for j in range(1, length + 1)]
