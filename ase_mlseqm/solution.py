"""Energy and gradient of a batch for given parameters; the SCF has no graph."""

from __future__ import annotations

import dataclasses
from typing import cast

import torch
from torch import Tensor

from . import properties as props
from .model import LearnedModel, Model
from .nddo import energy as energies
from .nddo.fock import Maps, build_maps, fock_builder, split
from .nddo.gradient import position_gradient
from .nddo.integrals import (
    Constants,
    Geometry,
    Integrals,
    geometry,
    integrals_and_slopes,
    prepare,
)
from .nddo.layout import Layout, build_layout
from .nddo.one_center import isolated_atom_energy
from .nddo.parameter_gradient import parameter_gradient, traced_constants
from .nddo.parameters import table_parameters
from .scf import SCFResult, SCFSettings, solve


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


@dataclasses.dataclass
class Solution:
    """A solved batch of B molecules with n atoms.

    Attributes
    ----------
    energy, atomization : (B,)
        Total energy, and that minus the isolated atoms with the same parameters, eV.
    gradient : (n, 3) or None
        dE / d position at fixed parameters, eV/Angstrom.
    shape, coefficients, atoms
        What derivatives with respect to the parameters need.
    """

    constants: Constants
    scf: SCFResult
    energy: Tensor
    atomization: Tensor
    gradient: Tensor | None
    shape: Geometry
    coefficients: Integrals
    atoms: energies.AtomDensities


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
) -> Solution:
    """Solve the SCF at (n, 3) ``positions`` and fixed parameters.

    The gradient is that at fixed density: the integrals' slopes and turns, weighted with the
    density's coefficients.
    """
    layout, maps = known.layout, known.maps
    shape = geometry(layout, positions)
    ints, slopes = integrals_and_slopes(layout, constants, shape, with_gradient)
    potential = None
    if field is not None:
        potential = props.field_potential(layout, constants, positions, field)
    builder = fock_builder(layout, maps, constants, ints, potential)
    scf = solve(builder, occupied, guess, settings)

    parts = split(layout, maps, scf.density)
    atoms = energies.atom_densities(layout, parts)
    coefficients = energies.pair_coefficients(layout, parts)
    pair = energies.pair_energy(ints, coefficients)
    one = energies.one_center_energy(layout, constants, atoms)
    if potential is not None:
        one = one + props.field_energy(layout, atoms, potential)
    energy = layout.molecule_sum(one) + layout.molecule_sum(pair, layout.pair_molecule)
    atomization = energy - layout.molecule_sum(constants.one.isolated)
    gradient = None
    if slopes is not None:
        gradient = position_gradient(layout, shape, ints, slopes, coefficients)
        if field is not None:
            gradient = gradient + props.field_gradient(layout, atoms, field)
    return Solution(constants, scf, energy, atomization, gradient, shape, coefficients, atoms)


def value_gradient(
    layout: Layout,
    leaf: Tensor,
    solution: Solution,
    positions: Tensor,
    field: Tensor | None = None,
) -> Tensor:
    """d (energy minus isolated atoms) / d ``leaf`` (n, k), eV, from which the solution's constants
    were made (:func:`traced_constants`)."""

    def in_field(constants: Constants) -> Tensor:
        assert field is not None
        potential = props.field_potential(layout, constants, positions, field)
        return props.field_energy(layout, solution.atoms, potential)

    return parameter_gradient(
        layout,
        leaf,
        solution.constants,
        solution.shape,
        solution.coefficients,
        solution.atoms,
        None if field is None else in_field,
    )


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
    with torch.set_grad_enabled(with_gradient):
        values = learned.values(layout, at)
    leaf, constants = traced_constants(layout, values, lambda v: learned.assemble(layout, v))
    with torch.no_grad():
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
        slope = value_gradient(layout, leaf, solution, positions, field)
        (response,) = torch.autograd.grad(values, at, slope)
        solution.gradient = solution.gradient + response
    return solution


def _isolated(layout: Layout, method: str) -> Tensor:
    """Energies (B,) of the isolated atoms of all molecules by a published table, eV."""

    def make() -> Tensor:
        table = table_parameters(method, layout.numbers)
        return layout.molecule_sum(isolated_atom_energy(table, layout.core_charge))

    return layout.once(("isolated", method), make)
