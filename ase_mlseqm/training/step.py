"""Gradient of a loss on energies and forces, without second derivatives.

With v = dL/dF,

    dL/dphi = dL/dE dE/dphi - [dE/dphi(R + eps v) - dE/dphi(R - eps v)] / (2 eps),

and every dE/dphi is the first-order gradient at a converged density: the slope of the energy with
the parameters, times their derivatives with the weights phi.  No back-propagation through the SCF.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import build_maps
from ..nddo.layout import Layout, build_layout
from ..nddo.parameter_gradient import traced_constants
from ..nn.hamiltonian import LearnedHamiltonian
from ..scf import SCFSettings
from ..scf.guess import n_occupied
from ..solution import Solution, Topology, solve_at, value_gradient


@dataclasses.dataclass(frozen=True)
class GradientSettings:
    """Accuracy of the gradient."""

    tolerance: float = 1e-8
    """SCF residual of the undisplaced molecules, eV."""
    displaced_tolerance: float = 1e-9
    """SCF residual of the displaced ones, eV; its error is divided by the displacement."""
    displacement: float = 1e-4
    """Largest displacement of an atom, Angstrom."""
    max_iterations: int = 60
    """SCF iterations; molecules that need more are left out and counted."""
    max_slope_error: float = 2e-5
    """eV; where the difference of the energies of the displaced molecules is farther than this
    from the work of the forces, the SCF has changed its state and the molecule is left out."""
    max_curvature: float = 1e-3
    """eV; the same for the sum of both energies minus twice that of the undisplaced molecule."""


@dataclasses.dataclass(frozen=True)
class Frames:
    """Labelled frames as padded tensors.

    ``numbers`` (B, A) and ``positions`` (B, A, 3) in Angstrom, zero-padded; ``energy`` (B,),
    atomization energies in eV; ``forces`` (B, A, 3), eV/Angstrom; ``guess`` (1, B, N, N) or None.
    """

    numbers: Tensor
    positions: Tensor
    energy: Tensor
    forces: Tensor
    guess: Tensor | None = None


class Pass:
    """The calculations on some frames of a batch that one thread does.

    After :meth:`first` the errors are known, and ``corrections`` (n, k) with their graph; with
    their derivatives :meth:`second` gives the gradient of the loss.
    """

    def __init__(
        self, model: LearnedHamiltonian, frames: Frames, settings: GradientSettings
    ) -> None:
        self.model, self.frames, self.settings = model, frames, settings
        layout = build_layout(frames.numbers)
        self.layout = layout
        self.known = Topology(layout, build_maps(layout), None)
        neutral = torch.zeros(len(frames.numbers), dtype=torch.int64, device=frames.numbers.device)
        self.occupied = n_occupied(layout, neutral, neutral + 1, unrestricted=False)
        self.positions = frames.positions.flatten(0, 1)[layout.slot]
        self.labels = frames.forces.flatten(0, 1)[layout.slot]

    def first(self, with_graph: bool = True) -> None:
        """Energies and forces; ``ok`` (B,) marks the molecules that converged."""
        at = self.positions.detach().requires_grad_()
        with torch.enable_grad():
            self.corrections = self.model.corrections(self.layout, at)
            self.values = self.model.head.values(self.layout, self.corrections)
        solution, self.slope = self._solve(
            self.values, self.positions, self.settings.tolerance, self.frames.guess
        )
        (response,) = torch.autograd.grad(self.values, at, self.slope, retain_graph=with_graph)
        if not with_graph:
            self.corrections, self.values = self.corrections.detach(), self.values.detach()
        assert solution.gradient is not None
        self.energy = solution.atomization
        self.forces = -(solution.gradient + response)
        self.density = solution.scf.density
        finite = torch.isfinite(self.energy)
        finite &= self.layout.molecule_sum((~torch.isfinite(self.forces)).any(1).double()) == 0
        self.ok = solution.scf.converged & finite
        self.iterations = solution.scf.iterations

    def energy_errors(self) -> Tensor:
        """Errors (B,) of the atomization energies, eV."""
        return self.energy - self.frames.energy

    def force_errors(self) -> Tensor:
        """Errors (n, 3) of the forces, eV/Angstrom."""
        return self.forces - self.labels

    def atom_ok(self) -> Tensor:
        """(n,) whether the atom's molecule is used."""
        return self.ok[self.layout.molecule]

    def second(
        self, energy_slope: Tensor, force_slope: Tensor, correction_weight: Tensor
    ) -> list[Tensor | None]:
        """Gradient of the loss with respect to the weights of the network.

        Parameters
        ----------
        energy_slope : (B,)
            dL/dE; zero for molecules that are left out.
        force_slope : (n, 3)
            dL/dF, likewise.
        correction_weight : ()
            Factor of the sum of squares of the corrections, in their units.
        """
        layout, settings = self.layout, self.settings
        size = _largest(layout, force_slope.abs().amax(1))
        eps = torch.where(size > 0, settings.displacement / size.clamp(min=1e-300), 0.0)
        step = eps[layout.molecule].unsqueeze(1) * force_slope
        sides, guess = [], self.density
        for sign in (1.0, -1.0):
            positions = self.positions + sign * step
            with torch.enable_grad():
                values = self.model.values(layout, positions)
            solved, slope = self._solve(
                values, positions, settings.displaced_tolerance, guess, False
            )
            sides.append((values, slope, solved))
            guess = purify(2.0 * self.density - solved.scf.density)
        use = self._same_state(sides[0][2], sides[1][2], eps, force_slope)
        self.changed = self.ok & (size > 0) & ~use
        per_eps = torch.where(use & (eps > 0), 0.5 / eps.clamp(min=1e-300), 0.0)
        weight = per_eps[layout.molecule].unsqueeze(1)
        own = energy_slope[layout.molecule].unsqueeze(1) * self.slope
        plus, minus = ((weight * slope, values) for values, slope, _ in sides)
        with torch.enable_grad():
            total = (own.nan_to_num() * self.values).sum()
            total = total - (plus[0].nan_to_num() * plus[1]).sum()
            total = total + (minus[0].nan_to_num() * minus[1]).sum()
            penalty = (self.model.head.in_units(self.corrections) ** 2).sum()
            total = total + correction_weight * penalty
        weights = [w for w in self.model.network.parameters() if w.requires_grad]
        return list(torch.autograd.grad(total, weights, allow_unused=True))

    def _same_state(self, plus: Solution, minus: Solution, eps: Tensor, v: Tensor) -> Tensor:
        """Whether the displaced molecules are where the forces of the undisplaced one point."""
        work = self.layout.molecule_sum((v * self.forces).sum(1)) * eps
        slope = (plus.atomization - minus.atomization + 2.0 * work).abs()
        curvature = (plus.atomization + minus.atomization - 2.0 * self.energy).abs()
        near = slope < self.settings.max_slope_error
        near &= curvature < self.settings.max_curvature
        return near & plus.scf.converged & minus.scf.converged & self.ok

    def _solve(
        self,
        values: Tensor,
        positions: Tensor,
        tolerance: float,
        guess: Tensor | None,
        with_gradient: bool = True,
    ) -> tuple[Solution, Tensor]:
        """The solution, and the slope of its energy with the parameters ``values``."""
        settings = SCFSettings(tolerance, self.settings.max_iterations, ladder=False)
        layout = self.layout
        leaf, constants = traced_constants(
            layout, values, lambda some: self.model.assemble(layout, some)
        )
        with torch.no_grad():
            solution = solve_at(
                self.known,
                constants,
                positions,
                self.occupied,
                settings,
                with_gradient=with_gradient,
                guess=guess,
            )
        return solution, value_gradient(layout, leaf, solution, positions)


def purify(density: Tensor) -> Tensor:
    """McWeeny's step towards an idempotent density (S, B, N, N): 3 P^2 - 2 P^3."""
    square = density @ density
    return 3.0 * square - 2.0 * square @ density


def _largest(layout: Layout, values: Tensor) -> Tensor:
    """Largest of the (n,) values of every molecule, (B,)."""
    out = values.new_zeros(layout.n_molecules)
    return out.scatter_reduce(0, layout.molecule, values, "amax")
