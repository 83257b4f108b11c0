"""Other starting points: for what DIIS leaves unconverged, or in a solution not the lowest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from . import guess as guesses
from .iterate import iterate
from .minimise import minimise
from .moves import lowest_move
from .result import SCFResult, chosen, finish, gap, merge
from .rungs import Aid, Annealing, LevelShift, OptimalDamping
from .saddles import downhill

if TYPE_CHECKING:
    from .driver import SCFSettings


@dataclasses.dataclass(frozen=True)
class Rung:
    """An aid and where it starts: the diagonal guess, or one with the noise of a seed."""

    name: str
    aid: Callable[..., Aid]
    seed: int | None = None

    def start(self, builder: FockBuilder, occupied: Tensor) -> Tensor:
        if self.seed is None:
            return guesses.diagonal(builder.layout, occupied)
        return guesses.perturbed(builder.layout, occupied, self.seed)


# All of them are tried, because a slow first SCF often means that several solutions exist.
LADDER = (
    Rung("damping", OptimalDamping),
    Rung("level shift", LevelShift),
    Rung("annealing", Annealing),
    *(Rung("restart", OptimalDamping, seed) for seed in range(1, 8)),
)

BROKEN = Rung("broken symmetry", OptimalDamping)

MOVABLE_GAP = 10.0
"""eV; beyond it no electron has been met whose move to the next orbital lowers the energy (the
widest was 7.4 for pairs of electrons, 9.0 for single ones)."""
MOVES = 3
"""As often a solution may turn out not to be the lowest before it is searched for."""
LOWER = 1e-3
"""eV; a move that lowers the energy by more proves that the solution is not the lowest."""


def search(
    part: FockBuilder,
    occupied: Tensor,
    result: SCFResult,
    where: Tensor,
    settings: SCFSettings,
) -> None:
    """Solve the molecules ``where`` of ``result``, which ``part`` builds, from all other starts."""
    for rung in LADDER:
        start = rung.start(part, occupied)
        climb(rung, start, part, occupied, result, where, settings)


def leave_excited(
    builder: FockBuilder, occupied: Tensor, result: SCFResult, settings: SCFSettings
) -> Tensor:
    """Leave solutions that are proven not to be the lowest; says (B,) where that may not be enough.

    A solution that is followed from a geometry where it was the lowest converges as fast as any
    other where it no longer is: that of ethylene twisted beyond 90 degrees, whose last pair of
    electrons then is in the wrong orbital.
    """
    movable = result.converged & (gap(result.mo_energies, occupied) < MOVABLE_GAP)
    where = (movable & (builder.layout.n_atoms > 1)).nonzero().squeeze(1)
    for _ in range(MOVES):
        if not len(where):
            break
        part, filling = builder.select(where), occupied[:, where]
        change, moved = lowest_move(
            part,
            filling,
            result.density[:, where],
            result.fock[:, where],
            result.orbitals[:, where],
        )
        excited = (change < -LOWER).nonzero().squeeze(1)
        where = where[excited]
        if len(where):
            part, filling = part.select(excited), filling[:, excited]
            rung = Rung("other electrons", OptimalDamping)
            climb(rung, moved[:, excited], part, filling, result, where, settings)
    return torch.zeros_like(result.converged).index_fill(0, where, True)


def climb(
    rung: Rung,
    start: Tensor,
    part: FockBuilder,
    occupied: Tensor,
    result: SCFResult,
    where: Tensor,
    settings: SCFSettings,
) -> None:
    """One more attempt at the molecules ``where`` of ``result``, which ``part`` builds.

    Where the aid does not converge, direct minimisation goes on from its last orbitals: which of
    several solutions is found depends on the start, and the best start may be a difficult one.
    """
    tol, steps = settings.tolerance, settings.max_iterations
    aid = rung.aid(occupied, start, settings.diis_size)
    attempt = iterate(part, occupied, start, aid, tol, steps)
    new = finish(occupied, attempt, tol, rung.name)
    merge(part, result, new, where)
    failed = (~new.converged & torch.isfinite(new.residual)).nonzero().squeeze(1)
    if len(failed):
        part, occupied, orbitals = part.select(failed), occupied[:, failed], new.orbitals[:, failed]
        _go_down(part, occupied, orbitals, result, where[failed], settings)


def _go_down(
    part: FockBuilder,
    occupied: Tensor,
    orbitals: Tensor,
    result: SCFResult,
    where: Tensor,
    settings: SCFSettings,
) -> None:
    """Minimise the energy of the molecules ``where`` of ``result`` from their ``orbitals``."""
    tol, steps = settings.tolerance, settings.max_iterations
    attempt = minimise(part, occupied, orbitals, tol, steps)
    merge(part, result, finish(occupied, attempt, tol, "minimisation"), where)


def leave_saddles(
    builder: FockBuilder,
    occupied: Tensor,
    result: SCFResult,
    settings: SCFSettings,
    doubtful: Tensor,
) -> Tensor:
    """Go down from solutions that are no minima, of the ``doubtful`` (B,); says (B,) which were."""
    left = torch.zeros_like(doubtful)
    where = (doubtful & result.converged & (builder.layout.n_atoms > 1)).nonzero().squeeze(1)
    if len(where):
        part, filling = builder.select(where), occupied[:, where]
        down, turned = downhill(part, filling, chosen(result, where))
        at = down.nonzero().squeeze(1)
        left[where[at]] = True
        if len(at):
            orbitals = turned[:, at]
            _go_down(part.select(at), filling[:, at], orbitals, result, where[at], settings)
    return left


def break_symmetry(
    builder: FockBuilder,
    occupied: Tensor,
    result: SCFResult,
    settings: SCFSettings,
    doubtful: Tensor,
) -> None:
    """Look for unrestricted solutions with other spins on the atoms.

    Singlets without spins are started from several densities that have some; all singlets, and
    what is ``doubtful`` (B,), also from spins that alternate from atom to atom.
    """
    usable = torch.isfinite(result.residual) & (builder.layout.n_atoms > 1)
    singlet = occupied[0] == occupied[1]
    # a pair in two degenerate orbitals of one atom has spin densities, but no spin on any atom
    spins = (result.density[0] - result.density[1]).diagonal(dim1=1, dim2=2).unsqueeze(1)
    without = (spins @ builder.layout.owner).abs().amax((1, 2)) < 1e-3
    where = (usable & singlet & without).nonzero().squeeze(1)
    if len(where):
        part, filling = builder.select(where), occupied[:, where]
        orbitals, density = result.orbitals[:, where], result.density[:, where]
        n_orbitals = part.layout.n_orbitals
        starts = [
            guesses.broken_symmetry(density, orbitals, filling, n_orbitals, depth)
            for depth in (1, 2, 4)
        ]
        starts.append(guesses.perturbed(part.layout, filling, seed=1))
        for start in starts:
            climb(BROKEN, start, part, filling, result, where, settings)
    where = (usable & (singlet | doubtful)).nonzero().squeeze(1)
    if len(where):
        part, filling = builder.select(where), occupied[:, where]
        start = guesses.alternating(part.layout, filling, part.hcore)
        climb(BROKEN, start, part, filling, result, where, settings)
