"""Densities of effective Fock matrices: by diagonalisation, or by turns once they are close."""

from __future__ import annotations

import torch
from torch import Tensor

CLOSE = 0.3
"""eV.  With smaller residuals of all molecules the last orbitals are turned."""
MOST = 0.1
"""Coefficient of an empty in a filled orbital up to which first order is good enough."""
WORTH = 20_000
"""Elements times orbitals of all matrices, below which a diagonalisation is as fast."""


class Orbitals:
    """The filled and the empty orbitals of a batch, from one iteration to the next.

    Near the solution only the space of the filled orbitals changes, and first-order perturbation
    theory says how: the pseudo-diagonalisation of Stewart, Csaszar and Pulay (J. Comput. Chem. 3
    (1982) 227), here for all pairs of a filled and an empty orbital at once.  What it leaves out is
    of second order and comes back with the next Fock matrix.  Whether a density is converged its
    commutator tells, however it was made.

    Parameters
    ----------
    occupied : (S, B)
        Number of filled orbitals.
    """

    def __init__(self, occupied: Tensor) -> None:
        self.occupied = occupied
        self.fewest, self.most = int(occupied.min()), int(occupied.max())
        self.energies: Tensor | None = None
        self.apart: Tensor | None = None
        self.filled = self.empty = occupied

    def density(self, fock: Tensor, close: bool) -> Tensor:
        """Spin densities (S, B, N, N) of the lowest orbitals of matrices like ``fock``.

        ``close`` says whether the last density was close to self-consistency.
        """
        flat = fock.flatten(0, 1)
        if not (close and flat.numel() * flat.shape[1] > WORTH and self._turn(flat)):
            self._diagonalise(flat)
        return torch.bmm(self.filled, self.filled.mT).view(fock.shape)

    def _diagonalise(self, fock: Tensor) -> None:
        """Orbitals in columns: filled (S * B, N, F) and empty (S * B, N, E)."""
        self.energies, orbitals = eigh(fock)
        self.apart = None
        self.filled, self.empty = orbitals[:, :, : self.most], orbitals[:, :, self.fewest :]
        if self.fewest < self.most:  # a place that is not used holds nothing
            level = torch.arange(fock.shape[1], device=fock.device)
            is_filled = (level < self.occupied.reshape(-1, 1)).unsqueeze(1)
            self.filled = self.filled * is_filled[:, :, : self.most]
            self.empty = self.empty * ~is_filled[:, :, self.fewest :]

    def _turn(self, fock: Tensor) -> bool:
        """Turn the orbitals to first order; False, with nothing done, if that is not enough."""
        if self.energies is None:
            return False
        if self.apart is None:
            filled, empty = self.energies[:, : self.most], self.energies[:, self.fewest :]
            self.apart = (filled.unsqueeze(1) - empty.unsqueeze(2)).clamp(max=-1e-3)
        mixing = torch.bmm(self.empty.mT, torch.bmm(fock, self.filled)) / self.apart
        if not float(mixing.abs().amax()) < MOST:
            return False
        empty = torch.baddbmm(self.empty, self.filled, mixing.mT, alpha=-1)
        self.filled = _orthonormal(torch.baddbmm(self.filled, self.empty, mixing))
        # otherwise what is left of filled orbitals in the empty ones would add up
        overlap = torch.bmm(self.filled.mT, empty)
        self.empty = _orthonormal(torch.baddbmm(empty, self.filled, overlap, alpha=-1))
        return True

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        n_spin, n_b = self.occupied.shape
        self.occupied = self.occupied[:, keep]
        if self.energies is not None:
            spins = torch.arange(n_spin, device=keep.device).unsqueeze(1)
            rows = (spins * n_b + keep).flatten()
            self.energies, self.apart = self.energies[rows], None
            self.filled, self.empty = self.filled[rows], self.empty[rows]


def _orthonormal(orbitals: Tensor) -> Tensor:
    """Columns that are nearly orthonormal made more so by a step of Newton and Schulz."""
    metric = torch.bmm(orbitals.mT, orbitals)
    return torch.baddbmm(orbitals, orbitals, metric, beta=1.5, alpha=-0.5)


def eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and vectors; matrices that are not finite give NaN instead of an exception."""
    try:
        return torch.linalg.eigh(matrices)
    except torch.linalg.LinAlgError:
        finite = torch.isfinite(matrices).all(-1).all(-1)
    safe = torch.where(finite[..., None, None], matrices, torch.zeros_like(matrices))
    energies, orbitals = torch.linalg.eigh(safe)
    bad = float("nan")
    return (
        energies.masked_fill(~finite[..., None], bad),
        orbitals.masked_fill(~finite[..., None, None], bad),
    )
