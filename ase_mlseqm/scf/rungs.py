"""The convergence aids, from the plain one upwards.

An aid sees the Fock matrix of the current density and says which matrix to diagonalise next and
how to fill its orbitals.  Which molecules climb is decided in :mod:`.driver`.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .density import aufbau, fermi
from .mixing import DIIS

SHIFT = 8.0
"""eV; by which empty orbitals are raised at a residual of 1 eV and above."""
HOTTEST, COOLING, WARM_STEPS = 1.5, 0.92, 60
"""First electronic temperature, eV, its factor from step to step, and how many are warm."""


class Aid(Protocol):
    """One convergence aid for a batch; tensors are (S, B, N, N), ``residual`` is (B,)."""

    def effective_fock(
        self, fock: Tensor, density: Tensor, error: Tensor, residual: Tensor
    ) -> Tensor:
        """Matrix whose lowest orbitals make the next density."""
        ...

    def occupations(self, energies: Tensor) -> Tensor:
        """Occupations (S, B, N) of its orbitals."""
        ...

    def final(self) -> bool:
        """Whether the densities made now are those of integer occupations."""
        ...

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        ...


class PlainDIIS:
    """Commutator DIIS from the first iteration."""

    def __init__(self, occupied: Tensor, like: Tensor, size: int) -> None:
        self.occupied = occupied
        self.diis = DIIS(size, like)
        self.filling = aufbau(occupied, like.shape[-1])

    def effective_fock(
        self, fock: Tensor, density: Tensor, error: Tensor, residual: Tensor
    ) -> Tensor:
        return self.diis.extrapolate(fock, error, residual)

    def occupations(self, energies: Tensor) -> Tensor:
        return self.filling

    def final(self) -> bool:
        return True

    def select(self, keep: Tensor) -> None:
        self.occupied = self.occupied[:, keep]
        self.filling = self.filling[:, keep]
        self.diis.select(keep)


class OptimalDamping(PlainDIIS):
    """Optimal damping (Cances, Le Bris, Int. J. Quantum Chem. 79 (2000) 82), then DIIS.

    The energy is quadratic along the line from the damped density to the new one and goes down
    in every step.  Molecules whose residual has fallen below ``switch`` eV go on with DIIS.
    """

    def __init__(self, occupied: Tensor, like: Tensor, size: int, switch: float = 0.05) -> None:
        super().__init__(occupied, like, size)
        self.switch = switch
        self.damped: tuple[Tensor, Tensor] | None = None
        self.close = torch.zeros(like.shape[1], dtype=torch.bool, device=like.device)

    def effective_fock(
        self, fock: Tensor, density: Tensor, error: Tensor, residual: Tensor
    ) -> Tensor:
        extrapolated = super().effective_fock(fock, density, error, residual)
        if self.damped is None:
            self.damped = (density, fock)
            return fock
        old_density, old_fock = self.damped
        step, change = density - old_density, fock - old_fock
        slope = (old_fock * step).sum((0, 2, 3))
        curvature = (change * step).sum((0, 2, 3))
        fraction = torch.where(curvature > -slope, -slope / curvature, torch.ones_like(slope))
        fraction = fraction.clamp(0.0, 1.0).view(1, -1, 1, 1)
        self.damped = (old_density + fraction * step, old_fock + fraction * change)
        self.close |= residual < self.switch
        return torch.where(self.close.view(1, -1, 1, 1), extrapolated, self.damped[1])

    def select(self, keep: Tensor) -> None:
        super().select(keep)
        self.close = self.close[keep]
        if self.damped is not None:
            self.damped = (self.damped[0][:, keep], self.damped[1][:, keep])


class LevelShift(PlainDIIS):
    """DIIS with the empty orbitals raised; the shift goes down with the residual."""

    def __init__(self, occupied: Tensor, like: Tensor, size: int) -> None:
        super().__init__(occupied, like, size)
        self.unit = torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)

    def effective_fock(
        self, fock: Tensor, density: Tensor, error: Tensor, residual: Tensor
    ) -> Tensor:
        extrapolated = super().effective_fock(fock, density, error, residual)
        shift = SHIFT * residual.clamp(max=1.0).sqrt().view(1, -1, 1, 1)
        return extrapolated + shift * (self.unit - density)


class Annealing(PlainDIIS):
    """Fractional occupations at an electronic temperature that is lowered to zero."""

    def __init__(self, occupied: Tensor, like: Tensor, size: int) -> None:
        super().__init__(occupied, like, size)
        self.temperatures = (HOTTEST * COOLING**k for k in range(WARM_STEPS))
        self.temperature: float | None = HOTTEST
        self.mixed: Tensor | None = None

    def effective_fock(
        self, fock: Tensor, density: Tensor, error: Tensor, residual: Tensor
    ) -> Tensor:
        self.temperature = next(self.temperatures, None)
        if self.temperature is None:
            return super().effective_fock(fock, density, error, residual)
        # warm densities do not commute with F at self-consistency: plain mixing instead of DIIS
        self.mixed = fock if self.mixed is None else 0.5 * (fock + self.mixed)
        return self.mixed

    def select(self, keep: Tensor) -> None:
        super().select(keep)
        if self.mixed is not None:
            self.mixed = self.mixed[:, keep]

    def occupations(self, energies: Tensor) -> Tensor:
        if self.temperature is None:
            return self.filling
        return fermi(energies, self.occupied, self.temperature)

    def final(self) -> bool:
        return self.temperature is None
