"""The SCF of a batch: plain DIIS, and a ladder of aids for the molecules that need it.

Converged means that the largest element of [F(d), d] is below the tolerance for the density that
is returned, with F built from that very density and integer occupations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError
from ..nddo.fock import FockBuilder
from ..nddo.layout import Layout
from . import guess as guesses
from .density import aufbau
from .iterate import Attempt, iterate
from .minimise import minimise
from .orbitals import eigh
from .rungs import Aid, Annealing, LevelShift, OptimalDamping, PlainDIIS


@dataclasses.dataclass(frozen=True)
class SCFSettings:
    """Settings of the self-consistent field."""

    tolerance: float = 1e-7
    """Largest element of the commutator of Fock and density matrix, eV.  The error of the forces is
    up to ten times this number in eV/Angstrom."""
    max_iterations: int = 80
    """Iterations on every rung of the ladder."""
    diis_size: int = 8
    """Fock matrices kept for DIIS."""
    ladder: bool = True
    """Try the aids behind DIIS, and other starting points where several solutions are likely."""

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance < math.inf:
            raise InputError(f"tolerance is {self.tolerance}: give a positive number")
        for name in ("max_iterations", "diis_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give 1 or more")


@dataclasses.dataclass
class SCFResult:
    """Outcome for B molecules with S spins and N orbitals.

    Attributes
    ----------
    density, fock, orbitals : (S, B, N, N)
        Spin densities, their Fock matrices (eV) and the orbitals of these in columns.
    mo_energies : (S, B, N)
        eV, ascending.
    converged, iterations, residual : (B,)
        Residual in eV; iterations of all rungs together.
    rung : list of str
        The aid that led to the result.
    """

    density: Tensor
    fock: Tensor
    orbitals: Tensor
    mo_energies: Tensor
    converged: Tensor
    iterations: Tensor
    residual: Tensor
    rung: list[str]


@dataclasses.dataclass(frozen=True)
class _Rung:
    """An aid and where it starts: the diagonal guess, or one with the noise of a seed."""

    name: str
    aid: Callable[..., Aid]
    seed: int | None = None

    def start(self, builder: FockBuilder, occupied: Tensor) -> Tensor:
        if self.seed is None:
            return guesses.diagonal(builder.layout, occupied)
        return guesses.perturbed(builder.layout, occupied, self.seed)


# All of them are tried, because a slow first SCF often means that several solutions exist.
_LADDER = (
    _Rung("damping", OptimalDamping),
    _Rung("level shift", LevelShift),
    _Rung("annealing", Annealing),
    *(_Rung("restart", OptimalDamping, seed) for seed in range(1, 8)),
)
SMALL_GAP = 3.0
"""eV; below it another solution is likely to be close."""
FEW_ITERATIONS = 10
"""Any molecule may need as many."""


def solve(
    builder: FockBuilder,
    occupied: Tensor,
    guess: Tensor | None,
    settings: SCFSettings,
    with_orbitals: bool = True,
) -> SCFResult:
    """Solve the SCF of a batch.

    Molecules that converge slowly or with a small gap are solved again from other starting
    points, and the lowest solution found is returned.

    Parameters
    ----------
    occupied : (S, B)
        Occupied orbitals of either spin; S = 1 for restricted.
    guess : (S, B, N, N) or None
        Starting densities; None for those of neutral atoms.
    with_orbitals : bool
        Without them, and without the ladder that needs them, one diagonalisation less: the result
        has none, and whether the lowest are filled is not checked.
    """
    start = guesses.diagonal(builder.layout, occupied) if guess is None else guess
    size, tol, steps = settings.diis_size, settings.tolerance, settings.max_iterations
    attempt = iterate(builder, occupied, start, PlainDIIS(occupied, start, size), tol, steps)
    if not (with_orbitals or settings.ladder):
        return _bare(attempt, tol)
    result = _finish(builder, occupied, attempt, tol, "diis")
    if not settings.ladder:
        return result
    if len(occupied) == 2:
        _break_symmetry(builder, occupied, result, settings)
    suspicious = ~result.converged | (_gap(result.mo_energies, occupied) < SMALL_GAP)
    if int(result.iterations.max()) > FEW_ITERATIONS:
        suspicious |= result.iterations > _ordinary_iterations(builder.layout, tol)
    if not bool(suspicious.any()):
        return result
    # a lone atom keeps the configuration s^2 p^k, on which isolated-atom energies rest
    suspicious &= ~result.converged | (builder.layout.n_atoms > 1)
    where = (suspicious & torch.isfinite(result.residual)).nonzero().squeeze(1)
    if len(where):
        part, filling = builder.select(where), occupied[:, where]
        for rung in _LADDER:
            start = rung.start(part, filling)
            _climb(rung, start, part, filling, result, where, settings)
    return result


def _climb(
    rung: _Rung,
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
    new = _finish(part, occupied, attempt, tol, rung.name)
    _merge(part, result, new, where)
    failed = (~new.converged & torch.isfinite(new.residual)).nonzero().squeeze(1)
    if len(failed):
        part, occupied, orbitals = part.select(failed), occupied[:, failed], new.orbitals[:, failed]
        attempt = minimise(part, occupied, orbitals, tol, steps)
        new = _finish(part, occupied, attempt, tol, "minimisation")
        _merge(part, result, new, where[failed])


def _ordinary_iterations(layout: Layout, tolerance: float) -> Tensor:
    """Iterations (B,) that suffice for a molecule without a second solution near by.

    From the diagonal guess ordinary molecules of up to 18 atoms need at most 20 to 1e-6 eV (2,000
    frames; the smallest at most 13, those of three heavy atoms 16), hydrocarbons, whose guess is a
    multiple of unity, 13 (598 of 600 frames); large conjugated ones (coronene, C70) take longer.
    Near the solution DIIS gains a factor of three or more in an iteration.
    """
    size = ((layout.n_orbitals - 60) / 10.0).clamp(min=0.0)
    electrons = layout.molecule_sum(layout.core_charge)
    most = torch.where(electrons == layout.n_orbitals, 13.0, 20.0)
    few = torch.minimum(most, FEW_ITERATIONS + 0.5 * layout.n_orbitals)
    return few + size + max(0.0, math.log(1e-6 / tolerance, 3.0))


def _break_symmetry(
    builder: FockBuilder, occupied: Tensor, result: SCFResult, settings: SCFSettings
) -> None:
    """Look for a lower solution with localised spins where a singlet has found none."""
    polarised = (result.density[0] - result.density[1]).abs().amax((1, 2)) > 1e-3
    usable = torch.isfinite(result.residual) & (builder.layout.n_atoms > 1)
    where = ((occupied[0] == occupied[1]) & ~polarised & usable).nonzero()
    where = where.squeeze(1)
    if not len(where):
        return
    part, filling = builder.select(where), occupied[:, where]
    orbitals, density = result.orbitals[:, where], result.density[:, where]
    n_orbitals = part.layout.n_orbitals
    starts = [
        guesses.broken_symmetry(density, orbitals, filling, n_orbitals, depth)
        for depth in (1, 2, 4)
    ]
    starts.append(guesses.perturbed(part.layout, filling, seed=1))
    for start in starts:
        rung = _Rung("broken symmetry", OptimalDamping)
        _climb(rung, start, part, filling, result, where, settings)


def _gap(energies: Tensor, occupied: Tensor) -> Tensor:
    """Smallest gap (B,) of either spin between the filled and the empty orbitals."""
    filled = aufbau(occupied, energies.shape[-1]).bool()
    homo = energies.masked_fill(~filled, -torch.inf).amax(-1)
    lumo = energies.masked_fill(filled, torch.inf).amin(-1)
    return (lumo - homo).amin(0)


def _bare(attempt: Attempt, tolerance: float) -> SCFResult:
    """A result without orbitals."""
    none = attempt.fock.new_empty(0)
    return SCFResult(
        density=attempt.density,
        fock=attempt.fock,
        orbitals=none,
        mo_energies=none,
        converged=attempt.residual < tolerance,
        iterations=attempt.iterations,
        residual=attempt.residual,
        rung=["diis"] * len(attempt.residual),
    )


def _finish(
    builder: FockBuilder, occupied: Tensor, attempt: Attempt, tolerance: float, rung: str
) -> SCFResult:
    """Orbitals, energies, and the check that the lowest orbitals are the filled ones."""
    energies, orbitals = eigh(attempt.fock)
    lowest = energies * aufbau(occupied, energies.shape[-1])
    excess = (attempt.fock * attempt.density).sum((0, 2, 3)) - lowest.sum((0, 2))
    converged = (attempt.residual < tolerance) & (excess < 1e-4)
    return SCFResult(
        density=attempt.density,
        fock=attempt.fock,
        orbitals=orbitals,
        mo_energies=energies,
        converged=converged,
        iterations=attempt.iterations,
        residual=attempt.residual,
        rung=[rung] * len(converged),
    )


def _merge(part: FockBuilder, result: SCFResult, new: SCFResult, where: Tensor) -> None:
    """Write ``new`` over the molecules ``where`` of ``result``, unless that had a lower energy.

    ``part`` builds the Fock matrices of these molecules.
    """
    old_ok = result.converged[where]
    old_energy = part.energy(result.density[:, where], result.fock[:, where])
    lower = part.energy(new.density, new.fock) < old_energy - 1e-7
    better = new.converged & (~old_ok | lower)
    use = better | ~old_ok
    result.iterations[where] += new.iterations
    at = where[use]
    for name in ("density", "fock", "orbitals", "mo_energies"):
        getattr(result, name)[:, at] = getattr(new, name)[:, use]
    for name in ("converged", "residual"):
        getattr(result, name)[at] = getattr(new, name)[use]
    for row, taken in zip(where.tolist(), use.tolist(), strict=True):
        if taken:
            result.rung[row] = new.rung[0]
