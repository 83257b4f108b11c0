"""Direct minimisation of the energy over orbital rotations, for whatever does not converge else.

Newton's method in a trust region.  F is linear in the density, so the second derivative of the
energy times a rotation costs one Fock matrix, and the step is found with conjugate gradients that
end at the border of the region or where the energy curves down (Steihaug, SIAM J. Numer. Anal. 20
(1983) 626).  The energy never goes up, and close to a minimum the residual is squared in a step.

A rotation x has filled rows and empty columns: C exp(x^T - x) mixes the empty orbitals into the
filled ones.  Energies of this module are those of the builder times S / 4, whose gradient is the
block of the Fock matrix between filled and empty orbitals.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import aufbau, commutator, density_matrix, dot
from .iterate import Attempt
from .orbitals import eigh

RADIUS = 1.0
"""sqrt(eV), border of the first step, measured with the differences of orbital energies."""
MAX_RADIUS = 4.0
FLOOR = 1.0
"""eV, smallest difference of orbital energies that measures a rotation."""
MAX_PRODUCTS = 200
"""Products with the second derivative in one step; close to flat minima it takes many."""
NOISE = 1e-10
"""eV, changes of an energy that mean nothing."""


def minimise(
    builder: FockBuilder, occupied: Tensor, orbitals: Tensor, tolerance: float, max_steps: int
) -> Attempt:
    """Densities at (or near) a minimum below ``orbitals``; ``iterations`` counts Fock matrices.

    Parameters
    ----------
    occupied : (S, B)
    orbitals : (S, B, N, N)
        Orthonormal orbitals in columns, the filled ones first.
    tolerance : float
        Residual, eV, below which a molecule is done; it need not get there.
    """
    surface = _Surface(builder, aufbau(occupied, orbitals.shape[-1]))
    here = surface.at(orbitals)
    radius = torch.full_like(here.energy, RADIUS)
    iterations = torch.ones_like(here.energy, dtype=torch.int64)
    active = torch.arange(len(radius), device=radius.device)
    result = Attempt.nothing(here.density)
    for step in range(max_steps + 1):
        error = commutator(here.fock, here.density)
        residual = torch.linalg.vector_norm(error, torch.inf, (0, 2, 3))
        done = (residual < 0.5 * tolerance) | ~torch.isfinite(residual) | (step == max_steps)
        if bool(done.any()):
            result.store(
                active[done],
                here.density[:, done],
                here.fock[:, done],
                residual[done],
                iterations[done],
            )
            keep = (~done).nonzero().squeeze(1)
            if not len(keep):
                break
            surface, here, active = surface.select(keep), here.select(keep), active[keep]
            radius, iterations = radius[keep], iterations[keep]
        levels, canonical = surface.canonical(here)
        rotation, model, products, at_border = surface.newton_step(here, levels, canonical, radius)
        there = surface.at(canonical @ torch.linalg.matrix_exp(rotation.mT - rotation))
        change = there.energy - here.energy
        ratio = (change - NOISE) / (model - NOISE)
        here = here.where(change <= NOISE, there)
        grown = (2.0 * radius).clamp(max=MAX_RADIUS)
        radius = torch.where((ratio > 0.7) & at_border, grown, radius)
        radius = torch.where(ratio > 0.25, radius, 0.4 * radius)
        iterations = iterations + products + 1
    return result


@dataclasses.dataclass(frozen=True)
class _Point:
    """Orbitals, density and Fock matrix (S, B, N, N), and the energy (B,)."""

    orbitals: Tensor
    density: Tensor
    fock: Tensor
    energy: Tensor

    def select(self, keep: Tensor) -> _Point:
        """Some of the molecules."""
        orbitals, density, fock = (m[:, keep] for m in (self.orbitals, self.density, self.fock))
        return _Point(orbitals, density, fock, self.energy[keep])

    def where(self, moves: Tensor, there: _Point) -> _Point:
        """Another point for the molecules that move."""
        pick = moves.view(1, -1, 1, 1)
        return _Point(
            torch.where(pick, there.orbitals, self.orbitals),
            torch.where(pick, there.density, self.density),
            torch.where(pick, there.fock, self.fock),
            torch.where(moves, there.energy, self.energy),
        )


class _Surface:
    """Energies of molecules as functions of their orbitals, ``filling`` (S, B, N) of them."""

    def __init__(self, builder: FockBuilder, filling: Tensor) -> None:
        self.builder, self.filling = builder, filling
        self.rotating = filling.unsqueeze(-1) * (1.0 - filling).unsqueeze(-2)
        self.linear = builder(torch.zeros_like(self.rotating))

    def select(self, keep: Tensor) -> _Surface:
        """Some of the molecules."""
        return _Surface(self.builder.select(keep), self.filling[:, keep])

    def at(self, orbitals: Tensor) -> _Point:
        """The point of these orbitals."""
        density = density_matrix(orbitals, self.filling)
        fock = self.builder(density)
        return _Point(orbitals, density, fock, 0.25 * dot(density, fock + self.linear))

    def canonical(self, point: _Point) -> tuple[Tensor, Tensor]:
        """Energies and orbitals that diagonalise F among the filled and among the empty ones."""
        in_mo = point.orbitals.mT @ point.fock @ point.orbitals
        same = self.filling.unsqueeze(-1) == self.filling.unsqueeze(-2)
        offset = 1e4 * (1.0 - self.filling)  # keeps the filled orbitals in front
        blocks = torch.where(same, in_mo, torch.zeros_like(in_mo)) + torch.diag_embed(offset)
        levels, mixing = eigh(blocks)
        return levels - offset, point.orbitals @ mixing

    def newton_step(
        self, point: _Point, levels: Tensor, orbitals: Tensor, radius: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The rotation that lowers the quadratic model most, within the radius (B,).

        Also returns by how much, the products that it took, and whether it ends at the border.
        """
        difference = levels.unsqueeze(-2) - levels.unsqueeze(-1)
        metric = difference.clamp(min=FLOOR)
        rest = -self.rotating * (orbitals.mT @ point.fock @ orbitals)  # minus the slope at x
        ahead = rest / metric
        slope = dot(rest, ahead)
        # the closer, the more accurate: squares the residual
        goal = slope * (0.01 * slope.clamp(max=1.0)).clamp(min=1e-8)
        x, model = torch.zeros_like(rest), torch.zeros_like(slope)
        # products of x and p in the metric
        xx, xp, pp = torch.zeros_like(slope), torch.zeros_like(slope), slope
        open_, at_border = slope > 0, torch.zeros_like(slope, dtype=torch.bool)
        products = torch.zeros_like(open_, dtype=torch.int64)
        for _ in range(MAX_PRODUCTS):
            turned = orbitals @ (ahead + ahead.mT) @ orbitals.mT
            response = orbitals.mT @ (self.builder(turned) - self.linear) @ orbitals
            product = self.rotating * (difference * ahead + response)
            curvature = dot(ahead, product)
            length = slope / curvature
            to_border = ((xp**2 + pp * (radius**2 - xx)).clamp(min=0.0).sqrt() - xp) / pp
            ends = open_ & ((curvature <= 0) | (length >= to_border))
            length = torch.where(ends, to_border, length)
            length = torch.where(open_, length, torch.zeros_like(length))
            model = model + length * (0.5 * length * curvature - slope)
            x, rest = x + _times(length, ahead), rest - _times(length, product)
            products, at_border = products + open_, at_border | ends
            new_slope = dot(rest, rest / metric)
            open_ = open_ & ~ends & (new_slope > goal)
            if not bool(open_.any()):
                break
            # of those that are at the end it may be 0/0
            turn = torch.where(open_, new_slope / slope, torch.zeros_like(slope))
            xx, xp = xx + length * (2.0 * xp + length * pp), turn * (xp + length * pp)
            pp = new_slope + turn**2 * pp
            ahead, slope = rest / metric + _times(turn, ahead), new_slope
        return x, model, products, at_border


def _times(factor: Tensor, matrices: Tensor) -> Tensor:
    return factor.view(1, -1, 1, 1) * matrices
