"""Gradient of a loss on energies, forces and dipoles, without second derivatives.

With v = dL/dF and w = dL/dmu, forces and dipoles being derivatives with respect to positions and
the electric field,

    dL/dphi = dL/dE dE/dphi - [dE/dphi(R + eps v, eps w) - dE/dphi(R - eps v, -eps w)] / (2 eps),

and every dE/dphi is the first-order gradient at fixed density: the slope of the energy with the
parameters, times their derivatives with the weights phi.  The displaced densities are the converged
one plus and minus its first-order response: the second order is the same on both sides and drops
out of the difference.  No back-propagation through the SCF, and no SCF but the first.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import build_maps
from ..nddo.integrals import Constants, prepare
from ..nddo.layout import Layout, build_layout
from ..nn.hamiltonian import LearnedHamiltonian
from ..options import check_types, require_positive
from ..properties import dipoles
from ..scf import SCFSettings
from ..scf.guess import n_occupied
from ..scf.response import density_response
from ..solution import Problem, Topology, populations, set_up, solve_at, value_gradient
from .parts import Parts


@dataclasses.dataclass(frozen=True)
class GradientSettings:
    """Accuracy of the gradient."""

    tolerance: float = 1e-8
    """SCF residual of the undisplaced molecules, eV."""
    displacement: float = 1e-4
    """Largest displacement of an atom, Angstrom."""
    response_tolerance: float = 1e-7
    """Relative accuracy of the response of the density."""
    max_iterations: int = 60
    """SCF and response iterations; molecules that need more are left out and counted."""

    def __post_init__(self) -> None:
        """Refuse what gives no gradient."""
        check_types(self)
        require_positive(self, "tolerance", "displacement", "response_tolerance", "max_iterations")


@dataclasses.dataclass(frozen=True)
class Frames:
    """Labelled frames as padded tensors.

    ``numbers`` (B, A) and ``positions`` (B, A, 3) in Angstrom, zero-padded; ``charge`` (B,), e, and
    ``multiplicity`` (B,); ``unrestricted``, all of them or none; ``energy`` (B,), atomization
    energies in eV; ``forces`` (B, A, 3), eV/Angstrom; ``dipole`` (B, 3), e*Angstrom, NaN where
    unknown, or None; ``parts`` (B, A), which of its frame's molecules an atom belongs to, and
    ``contacts`` (B,), whether the forces between them are labels to learn from, or None for frames
    of one molecule each; ``guess`` (S, B, N, N) or None.
    """

    numbers: Tensor
    positions: Tensor
    charge: Tensor
    multiplicity: Tensor
    unrestricted: bool
    energy: Tensor
    forces: Tensor
    dipole: Tensor | None = None
    parts: Tensor | None = None
    contacts: Tensor | None = None
    guess: Tensor | None = None


@dataclasses.dataclass(frozen=True)
class _Displaced:
    """Field and learned parameters with their graph, and the problem made from them."""

    field: Tensor | None
    values: Tensor
    problem: Problem


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
        states = (frames.charge, frames.multiplicity, frames.unrestricted)
        self.occupied = n_occupied(layout, *states)
        self.positions = frames.positions.flatten(0, 1)[layout.slot]
        self.labels = frames.forces.flatten(0, 1)[layout.slot]
        self.parts = None
        if frames.parts is not None and frames.contacts is not None:
            self.parts = Parts.of(layout, frames.parts, frames.contacts)

    def first(self, with_graph: bool = True) -> None:
        """Energies and forces; ``ok`` (B,) marks the molecules that converged."""
        at = self.positions.detach().requires_grad_()
        with torch.enable_grad():
            self.corrections = self.model.corrections(self.layout, at)
            self.values = self.model.head.values(self.layout, self.corrections)
        # which of several unrestricted states is the lowest is looked for once
        search = self.frames.unrestricted and self.frames.guess is None
        settings = SCFSettings(self.settings.tolerance, self.settings.max_iterations, ladder=search)
        with torch.no_grad():
            solution = solve_at(
                self.known,
                self._constants(self.values),
                self.positions,
                self.occupied,
                settings,
                with_gradient=True,
                guess=self.frames.guess,
            )
        self.slope = value_gradient(self.model, self.layout, solution.problem, solution.populations)
        (response,) = torch.autograd.grad(self.values, at, self.slope, retain_graph=with_graph)
        if not with_graph:
            self.corrections, self.values = self.corrections.detach(), self.values.detach()
        assert solution.gradient is not None
        self.energy = solution.atomization
        self.forces = -(solution.gradient + response)
        self.density = solution.scf.density
        self.dipole = dipoles(
            self.layout, solution.constants, solution.atoms, self.positions
        ).detach()
        self.solution = solution
        finite = torch.isfinite(self.energy)
        finite &= self.layout.molecule_sum((~torch.isfinite(self.forces)).any(1).double()) == 0
        self.ok = solution.scf.converged & finite
        self.iterations = solution.scf.iterations

    def energy_errors(self) -> Tensor:
        """Errors (B,) of the atomization energies, eV."""
        return self.energy - self.frames.energy

    def force_errors(self) -> Tensor:
        """Errors (n, 3) of the forces, eV/Angstrom.

        Without what moves molecules as a whole, where the labels of that are not learned.
        """
        errors = self.forces - self.labels
        return errors if self.parts is None else self.parts.internal(errors)

    def contact_errors(self) -> Tensor:
        """Errors (P, 3) of the forces on molecules as a whole, eV/Angstrom."""
        if self.parts is None:
            return self.forces.new_zeros(0, 3)
        return self.parts.total(self.forces - self.labels)

    def contact_ok(self) -> Tensor:
        """(P,) whether the force on the molecule is learned and its frame is used."""
        parts = self.parts
        if parts is None:
            return self.ok.new_zeros(0)
        return parts.several & parts.learned & self.ok[parts.frame]

    def slope_of_forces(self, internal: Tensor, contact: Tensor) -> Tensor:
        """dL/dF (n, 3) from dL/d(force errors) and dL/d(contact errors)."""
        if self.parts is None:
            return internal
        return self.parts.internal(internal) + contact[self.parts.index]

    def dipole_errors(self) -> Tensor:
        """Errors (B, 3) of the dipoles, e*Angstrom; NaN where unknown."""
        known = self.frames.dipole
        return torch.full_like(self.dipole, torch.nan) if known is None else self.dipole - known

    def dipole_ok(self) -> Tensor:
        """(B,) whether the dipole is known and the molecule is used."""
        return self.ok & ~self.dipole_errors().isnan().any(1)

    def atom_ok(self) -> Tensor:
        """(n,) whether the atom's molecule is used."""
        return self.ok[self.layout.molecule]

    def second(
        self,
        energy_slope: Tensor,
        force_slope: Tensor,
        correction_weight: Tensor,
        dipole_slope: Tensor | None = None,
    ) -> list[Tensor]:
        """Gradient of the loss with respect to the weights of the network.

        Parameters
        ----------
        energy_slope : (B,)
            dL/dE; zero for molecules that are left out.
        force_slope : (n, 3)
            dL/dF, likewise.
        correction_weight : ()
            Factor of the sum of squares of the corrections, in their units.
        dipole_slope : (B, 3), optional
            dL/dmu, likewise.
        """
        layout, settings = self.layout, self.settings
        size = _largest(layout, force_slope.abs().amax(1))
        if dipole_slope is not None:
            size = torch.maximum(size, dipole_slope.abs().amax(1))
        eps = torch.where(size > 0, settings.displacement / size.clamp(min=1e-300), 0.0)
        step = eps[layout.molecule].unsqueeze(1) * force_slope
        field = None
        if dipole_slope is not None and dipole_slope.any():
            field = (eps.unsqueeze(1) * dipole_slope)[layout.molecule]
        plus, minus = (self._displaced(sign, step, field) for sign in (1.0, -1.0))
        with torch.no_grad():
            scf, builder = self.solution.scf, self.solution.problem.builder
            # the perturbation of the Fock matrix at fixed density, without its second order
            change = plus.problem.builder(scf.density) - minus.problem.builder(scf.density)
            response = density_response(
                builder,
                scf,
                self.occupied,
                0.5 * change,
                settings.response_tolerance,
                settings.max_iterations,
            )
        use = self.ok & response.converged
        self.changed = self.ok & (size > 0) & ~use
        per_eps = torch.where(use & (size > 0), 0.5 / eps.clamp(min=1e-300), 0.0)
        weight = per_eps[layout.molecule].unsqueeze(1)
        up = weight * self._slope(plus, scf.density + response.density)
        down = weight * self._slope(minus, scf.density - response.density)
        own = energy_slope[layout.molecule].unsqueeze(1) * self.slope
        # what did not converge may be no number, which a weight of zero leaves as it is; any other
        # that is none must be seen
        counts, moved = (part[layout.molecule].unsqueeze(1) for part in (self.ok, use))
        own = own.where(counts, 0.0)
        up, down = up.where(moved, 0.0), down.where(moved, 0.0)
        with torch.enable_grad():
            total = (own * self.values).sum()
            total = total - (up * plus.values).sum() + (down * minus.values).sum()
            penalty = (self.model.head.in_units(self.corrections) ** 2).sum()
            total = total + correction_weight * penalty
        weights = self.model.network.trained()
        return list(torch.autograd.grad(total, weights, materialize_grads=True))

    def _displaced(self, sign: float, step: Tensor, field: Tensor | None) -> _Displaced:
        positions = self.positions + sign * step
        field = None if field is None else sign * field
        with torch.enable_grad():
            values = self.model.values(self.layout, positions)
        constants = self._constants(values)
        with torch.no_grad():
            problem = set_up(self.known, constants, positions, with_gradient=False, field=field)
        return _Displaced(field, values, problem)

    def _slope(self, at: _Displaced, density: Tensor) -> Tensor:
        """Slope of the energy with the parameters at displaced positions and a given density."""
        with torch.no_grad():
            found = populations(self.known, density)
        return value_gradient(self.model, self.layout, at.problem, found, at.field)

    def _constants(self, values: Tensor) -> Constants:
        with torch.inference_mode():
            return prepare(self.layout, self.model.assemble(self.layout, values))


def _largest(layout: Layout, values: Tensor) -> Tensor:
    """Largest of the (n,) values of every molecule, (B,)."""
    out = values.new_zeros(layout.n_molecules)
    return out.scatter_reduce(0, layout.molecule, values, "amax")
