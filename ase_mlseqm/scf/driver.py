"""The SCF of a batch: plain DIIS, and a ladder of aids for the molecules that need it.

Converged means that the largest element of [F(d), d] is below the tolerance for the density that
is returned, with F built from that very density and integer occupations.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from ..nddo.layout import Layout
from ..options import positive, positive_whole, truth
from . import guess as guesses
from .density import commutator
from .iterate import iterate
from .result import SCFResult, bare, finish, gap
from .rungs import PlainDIIS
from .search import break_symmetry, leave_excited, leave_saddles, search


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
        object.__setattr__(self, "tolerance", positive("tolerance", self.tolerance))
        for name in ("max_iterations", "diis_size"):
            object.__setattr__(self, name, positive_whole(name, getattr(self, name)))
        object.__setattr__(self, "ladder", truth("ladder", self.ladder))


SMALL_GAP = 3.0
"""eV; below it another solution is likely to be close."""
UNRESTRICTED_GAP, FOLLOWED_GAP = 12.0, 9.0
"""The same, eV, of unrestricted molecules, and of those that are followed from another geometry,
where a search in every step costs more: of 287 stretched radicals and triplets 23 ended too high,
with gaps up to 11.3, all but eight below 9.  Near their minima most have 10 to 15."""
FEW_ITERATIONS = 10
"""Any molecule may need as many."""
SADDLE_GAP = (7.5, UNRESTRICTED_GAP)
"""eV, restricted and unrestricted; beyond it solutions are not tested for saddles."""
SADDLE_ORBITALS = 100
"""Orbitals of a restricted molecule up to which it is: that saddles are kept takes a symmetry, and
of large molecules such as C60, whose gap is small at its minimum, it would be half of the time."""
SMALL_STEP = 0.1
"""eV, residual of a density from another geometry up to which its solution is not tested for a
saddle, which takes a fifth or more of the time: atoms have moved by less than 0.01 Angstrom."""
SLOWER = 1.5
"""Unrestricted molecules that are followed may need so many times the ordinary iterations: radicals
near their minima (CH3O, HCO, NO2) take up to 20, whatever the start."""


def solve(
    builder: FockBuilder,
    occupied: Tensor,
    guess: Tensor | None,
    settings: SCFSettings,
    with_orbitals: bool = True,
) -> SCFResult:
    """Solve the SCF of a batch.

    Molecules that converge slowly or with a small gap, or to a solution that is proven not to be
    the lowest, are solved again from other starting points, and the lowest solution found is
    returned.

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
    size, tol, steps = settings.diis_size, settings.tolerance, settings.max_iterations
    like = builder.hcore.expand(len(occupied), -1, -1, -1)
    attempt = iterate(
        builder,
        occupied,
        _start(builder.layout, occupied, guess),  # with a name here it would be kept to the end
        PlainDIIS(occupied, like, size),
        tol,
        steps,
    )
    if not (with_orbitals or settings.ladder):
        return bare(attempt, tol)
    result = finish(occupied, attempt, tol, "diis")
    if not settings.ladder:
        return result
    iterations, limit, slower = result.iterations, SMALL_GAP, 1.0
    if len(occupied) == 2:
        iterations = iterations.clone()  # those of further starts are no sign of anything
        limit, slower = (UNRESTRICTED_GAP, 1.0) if guess is None else (FOLLOWED_GAP, SLOWER)
        doubtful = gap(result.mo_energies, occupied) < limit
        break_symmetry(builder, occupied, result, settings, doubtful)
    suspicious = leave_excited(builder, occupied, result, settings) | ~result.converged
    near = gap(result.mo_energies, occupied) < SADDLE_GAP[len(occupied) - 1]
    if len(occupied) == 1:
        near &= builder.layout.n_orbitals <= SADDLE_ORBITALS
    if guess is not None and bool(near.any()):
        near &= commutator(builder(guess), guess).amax((0, 2, 3)) > SMALL_STEP
    left = torch.tensor([rung != "diis" for rung in result.rung], device=near.device)
    suspicious |= leave_saddles(builder, occupied, result, settings, near | left)
    suspicious |= gap(result.mo_energies, occupied) < limit
    if len(occupied) == 2:
        suspicious |= doubtful  # though what was found from alternating spins may have a wide gap
    if int(iterations.max()) > FEW_ITERATIONS:
        suspicious |= iterations > slower * _ordinary_iterations(builder.layout, tol)
    if not bool(suspicious.any()):
        return result
    # a lone atom keeps the configuration s^2 p^k, on which isolated-atom energies rest
    suspicious &= ~result.converged | (builder.layout.n_atoms > 1)
    suspicious &= torch.isfinite(result.residual)
    where = suspicious.nonzero().squeeze(1)
    if len(where):
        search(builder.select(where), occupied[:, where], result, where, settings)
        leave_saddles(builder, occupied, result, settings, suspicious)
    return result


def _start(layout: Layout, occupied: Tensor, guess: Tensor | None) -> Tensor:
    """Starting densities (S, B, N, N): a guess, or those of neutral atoms."""
    return guesses.diagonal(layout, occupied) if guess is None else guess


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
