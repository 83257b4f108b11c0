"""Energy and gradient of a batch for given parameters; the SCF has no graph."""

from __future__ import annotations

import dataclasses
from typing import cast

import torch
from torch import Tensor

from . import properties as props
from .memory import LARGE, give_back
from .model import LearnedModel, Model
from .mulliken import mulliken_charges, overlap_matrices
from .nddo import energy as energies
from .nddo.fock import FockBuilder, Maps, build_maps, fock_builder, split
from .nddo.gradient import position_gradient
from .nddo.integrals import (
    Constants,
    Geometry,
    Integrals,
    geometry,
    integrals_and_slopes,
    orbital_distances,
    prepare,
)
from .nddo.layout import Layout, build_layout
from .nddo.one_center import isolated_atom_energy
from .nddo.overlap import Overlaps, overlaps
from .nddo.parameter_gradient import parameter_gradient
from .nddo.parameters import table_parameters
from .scf import SCFResult, SCFSettings, solve
from .scf.orbitals import eigh
from .scf.stability import triplet_curvature


@dataclasses.dataclass(frozen=True)
class Topology:
    """Index maps of a set of atomic numbers, and for plain methods the constants."""

    layout: Layout
    maps: Maps
    constants: Constants | None


def topology(model: Model, numbers: Tensor) -> Topology:
    """Topology of padded (B, A) atomic numbers."""
    layout = build_layout(numbers)
    constants = None
    if not model.learned:
        nowhere = torch.empty(0, 3, dtype=torch.float64, device=numbers.device)
        constants = prepare(layout, model.parameters(layout, nowhere))
    return Topology(layout, build_maps(layout), constants)


@dataclasses.dataclass(frozen=True)
class Problem:
    """The SCF problem of a batch at given positions and parameters.

    Attributes
    ----------
    constants, shape, integrals
        Parameters, geometry, and the integrals made from them.
    overlaps : Overlaps or None
        Where the gradient is wanted.
    stacked : Integrals
        The integrals, and where the gradient is wanted their slopes along the bonds.
    potential : (n, 4) or None
        Of the electric field.
    builder : FockBuilder
    """

    constants: Constants
    shape: Geometry
    overlaps: Overlaps | None
    integrals: Integrals
    stacked: Integrals
    potential: Tensor | None
    builder: FockBuilder

    def without_slopes(self) -> Problem:
        """The same in memory of its own without the slopes, with which the integrals share it."""
        kept = Integrals(*(t[:1].clone() for t in self.stacked.tensors()))
        return dataclasses.replace(self, stacked=kept, integrals=kept.row(0))


def set_up(
    known: Topology,
    constants: Constants,
    positions: Tensor,
    *,
    with_gradient: bool,
    field: Tensor | None = None,
) -> Problem:
    """The problem at (n, 3) ``positions`` and fixed parameters."""
    layout = known.layout
    shape = geometry(layout, positions)
    found = None
    if with_gradient:  # the derivatives with respect to the parameters need them, too
        found = overlaps(orbital_distances(constants, shape), constants.orbitals)
    stacked = integrals_and_slopes(layout, constants, shape, with_gradient, found)
    ints, potential = stacked.row(0), None
    if field is not None:
        potential = props.field_potential(layout, constants, positions, field)
    builder = fock_builder(layout, known.maps, constants, ints, potential)
    return Problem(constants, shape, found, ints, stacked, potential, builder)


@dataclasses.dataclass(frozen=True)
class Populations:
    """What derivatives of the energy need of a density: ``coefficients`` dE / d integral, and the
    one-centre densities of the ``atoms``."""

    coefficients: Integrals
    atoms: energies.AtomDensities


def populations(known: Topology, density: Tensor) -> Populations:
    """Of spin densities (S, B, N, N)."""
    parts = split(known.layout, known.maps, density)
    return Populations(
        energies.pair_coefficients(known.layout, parts),
        energies.atom_densities(known.layout, parts),
    )


@dataclasses.dataclass
class Solution:
    """A solved batch of B molecules with n atoms.

    Attributes
    ----------
    energy, atomization : (B,)
        Total energy, and that minus the isolated atoms with the same parameters, eV.
    gradient : (n, 3) or None
        dE / d position at fixed parameters, eV/Angstrom.
    """

    problem: Problem
    scf: SCFResult
    populations: Populations
    energy: Tensor
    atomization: Tensor
    gradient: Tensor | None

    @property
    def constants(self) -> Constants:
        """What the parameters determine."""
        return self.problem.constants

    @property
    def atoms(self) -> energies.AtomDensities:
        """One-centre densities."""
        return self.populations.atoms


def solve_at(
    known: Topology,
    constants: Constants,
    positions: Tensor,
    occupied: Tensor,
    settings: SCFSettings,
    *,
    with_gradient: bool,
    guess: Tensor | None = None,
    field: Tensor | None = None,
    with_orbitals: bool = True,
) -> Solution:
    """Solve the SCF at (n, 3) ``positions`` and fixed parameters.

    The gradient is that at fixed density: the integrals' slopes and turns, weighted with the
    density's coefficients.
    """
    layout = known.layout
    late = with_gradient and layout.N >= LARGE

    def posed(slopes: bool) -> Problem:
        return set_up(known, constants, positions, with_gradient=slopes, field=field)

    problem = posed(with_gradient and not late)
    builder = problem.builder
    if late:
        del problem
        give_back()
    scf = solve(builder, occupied, guess, settings, with_orbitals)
    if late:
        del builder
        give_back()
        problem = posed(True)
    found = populations(known, scf.density)
    coefficients, atoms = found.coefficients, found.atoms
    pair = energies.pair_energy(problem.stacked, coefficients)
    one = energies.one_center_energy(constants, atoms)
    if problem.potential is not None:
        one = one + props.field_energy(layout, atoms, problem.potential)
    energy = layout.molecule_sum(one) + layout.molecule_sum(pair[0], layout.pair_molecule)
    atomization = energy - layout.molecule_sum(constants.one.isolated)
    gradient = None
    if with_gradient:
        gradient = position_gradient(
            layout, problem.shape, problem.integrals, pair[1], coefficients
        )
        if field is not None:
            gradient = gradient + props.field_gradient(layout, atoms, field)
    if late:
        problem = problem.without_slopes()
    return Solution(problem, scf, found, energy, atomization, gradient)


def stability_of(problem: Problem, density: Tensor, occupied: Tensor) -> Tensor:
    """:func:`triplet_curvature` (B,) of restricted densities (1, B, N, N), without their SCF."""
    builder = problem.builder
    return triplet_curvature(builder, *eigh(builder(density)), occupied)


def charges_of(known: Topology, constants: Constants, shape: Geometry, density: Tensor) -> Tensor:
    """Mulliken charges (n,), e, of spin densities (S, B, N, N)."""
    overlap = overlap_matrices(known.layout, known.maps, constants, shape)
    return mulliken_charges(known.layout, density, overlap)


def value_gradient(
    model: LearnedModel,
    layout: Layout,
    problem: Problem,
    found: Populations,
    field: Tensor | None = None,
) -> Tensor:
    """d (energy minus isolated atoms) / d learned parameter (n, k), eV, at a fixed density."""
    with torch.inference_mode():
        slopes = parameter_gradient(
            layout,
            problem.constants,
            problem.shape,
            problem.overlaps,
            problem.integrals,
            found.coefficients,
            found.atoms,
            None if field is None else props.field_hybrid_slope(found.atoms, field),
        )
    with torch.no_grad():  # a training goes on with the result
        return model.collect(slopes)


def solve_learned(
    model: Model,
    known: Topology,
    positions: Tensor,
    occupied: Tensor,
    settings: SCFSettings,
    *,
    with_gradient: bool,
    guess: Tensor | None = None,
    field: Tensor | None = None,
) -> Solution:
    """The same with parameters that depend on the positions, through which the gradient goes.

    The total energy is that of the atomization plus the isolated atoms of the published table:
    energies of isolated atoms with learned parameters drift with these and mean nothing.
    """
    layout, learned = known.layout, cast(LearnedModel, model)
    at = positions.detach().requires_grad_(with_gradient)
    late = with_gradient and layout.N >= LARGE
    with torch.set_grad_enabled(with_gradient and not late):
        values = learned.values(layout, at)
    with torch.inference_mode():
        constants = prepare(layout, learned.assemble(layout, values))
        solution = solve_at(
            known,
            constants,
            positions,
            occupied,
            settings,
            with_gradient=with_gradient,
            guess=guess,
            field=field,
        )
        solution.energy = solution.atomization + _isolated(layout, model.method)
    if solution.gradient is not None:
        if late:
            give_back()
        slope = value_gradient(learned, layout, solution.problem, solution.populations, field)
        if late:
            give_back()
            with torch.enable_grad():
                values = learned.values(layout, at)
        (response,) = torch.autograd.grad(values, at, slope)
        solution.gradient = solution.gradient + response
    return solution


def _isolated(layout: Layout, method: str) -> Tensor:
    """Energies (B,) of the isolated atoms of all molecules by a published table, eV."""

    def make() -> Tensor:
        table = table_parameters(method, layout.numbers)
        return layout.molecule_sum(isolated_atom_energy(table, layout.core_charge))

    return layout.once(("isolated", method), make)
