"""Densities of effective Fock matrices: by diagonalisation, or by turns once they are close."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from .density import aufbau

CLOSE = 0.3
"""eV.  Orbitals of molecules with a smaller residual are turned."""
MOST = 0.1
"""Coefficient of an empty in a filled orbital up to which first order is good enough."""
MOST_AT_ONCE = 16384
"""Matrices that are diagonalised in one call: libraries of GPUs refuse twice as many."""
LARGE = 20
"""Orbitals of a molecule from which a turn is faster."""


class Orbitals:
    """The filled and the empty orbitals of a batch, from one iteration to the next.

    Near the solution only the space of the filled orbitals changes, and first-order perturbation
    theory says how: the pseudo-diagonalisation of Stewart, Csaszar and Pulay (J. Comput. Chem. 3
    (1982) 227), here for all pairs of a filled and an empty orbital at once.  What it leaves out is
    of second order and comes back with the next Fock matrix.  Whether a density is converged its
    commutator tells, however it was made.  What is done to a molecule does not depend on others.

    Parameters
    ----------
    occupied : (S, B)
        Number of filled orbitals.
    n_orbitals : (B,)
        Number of all orbitals, without padding.
    """

    def __init__(self, occupied: Tensor, n_orbitals: Tensor) -> None:
        self.occupied = occupied
        self.fewest, self.most = int(occupied.min()), int(occupied.max())
        self.large = n_orbitals >= LARGE
        self.any_large = bool(self.large.any())
        self.energies: Tensor | None = None
        self.apart: Tensor | None = None
        self.filled = self.empty = occupied

    def density(self, fock: Tensor, residual: Tensor) -> Tensor:
        """Spin densities (S, B, N, N) of the lowest orbitals of matrices like ``fock``.

        ``residual`` (B,) is that of the last densities, eV.
        """
        flat = fock.flatten(0, 1)
        close = (residual < CLOSE) & self.large if self.any_large else None
        number = 0 if self.energies is None or close is None else int(close.sum())
        if close is None or not number:
            self._diagonalise(flat)
        else:
            left = ~close.repeat(len(fock))
            rows = (~left).nonzero().squeeze(1) if number < len(close) else None
            left[rows if rows is not None else slice(None)] = self._turn(flat, rows)
            if bool(left.any()):
                self._diagonalise(flat, left.nonzero().squeeze(1))
        return torch.bmm(self.filled, self.filled.mT).view(fock.shape)

    def _diagonalise(self, fock: Tensor, rows: Tensor | None = None) -> None:
        """Orbitals in columns: filled (S * B, N, F) and empty (S * B, N, E), all or some."""
        energies, orbitals = eigh(fock if rows is None else fock[rows])
        filled, empty = orbitals[:, :, : self.most], orbitals[:, :, self.fewest :]
        if self.fewest < self.most:  # a place that is not used holds nothing
            is_filled = aufbau(self.occupied, fock.shape[1]).bool().flatten(0, 1).unsqueeze(1)
            is_filled = is_filled if rows is None else is_filled[rows]
            filled = filled * is_filled[:, :, : self.most]
            empty = empty * ~is_filled[:, :, self.fewest :]
        self.apart = None
        if rows is None or self.energies is None:
            self.energies, self.filled, self.empty = energies, filled, empty
        else:
            self.energies[rows], self.filled[rows], self.empty[rows] = energies, filled, empty

    def _turn(self, fock: Tensor, rows: Tensor | None) -> Tensor:
        """Turn orbitals to first order, all or some; of which of these that is not enough."""
        if self.apart is None:
            assert self.energies is not None
            filled, empty = self.energies[:, : self.most], self.energies[:, self.fewest :]
            self.apart = (filled.unsqueeze(1) - empty.unsqueeze(2)).clamp(max=-1e-3)
        filled, empty, apart = self.filled, self.empty, self.apart
        if rows is not None:
            fock, filled, empty, apart = fock[rows], filled[rows], empty[rows], apart[rows]
        mixing = torch.bmm(empty.mT, torch.bmm(fock, filled)) / apart
        new = _orthonormal(torch.baddbmm(filled, empty, mixing))
        empty = torch.baddbmm(empty, filled, mixing.mT, alpha=-1)
        # otherwise what is left of filled orbitals in the empty ones would add up
        overlap = torch.bmm(new.mT, empty)
        empty = _orthonormal(torch.baddbmm(empty, new, overlap, alpha=-1))
        if rows is None:
            self.filled, self.empty = new, empty
        else:
            self.filled[rows], self.empty[rows] = new, empty
        return ~(mixing.abs().amax((1, 2)) < MOST)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        n_spin, n_b = self.occupied.shape
        self.occupied, self.large = self.occupied[:, keep], self.large[keep]
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
    if matrices.device.type == "cpu":
        with contextlib.suppress(torch.linalg.LinAlgError):
            return torch.linalg.eigh(matrices)
    # on a device nothing may be raised, and nothing be wrong with the result but its numbers
    finite = torch.isfinite(matrices).all(-1).all(-1)
    safe = torch.where(finite[..., None, None], matrices, torch.zeros_like(matrices))
    flat = safe.flatten(0, -3).split(MOST_AT_ONCE)
    energies, orbitals = (
        torch.cat(parts).unflatten(0, matrices.shape[:-2])
        for parts in zip(*map(torch.linalg.eigh, flat), strict=True)
    )
    bad = float("nan")
    return (
        energies.masked_fill(~finite[..., None], bad),
        orbitals.masked_fill(~finite[..., None, None], bad),
    )
