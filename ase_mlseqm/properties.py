"""One-electron properties from the density of a batch."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .nddo.constants import lasting
from .nddo.energy import AtomDensities
from .nddo.integrals import Constants
from .nddo.layout import Layout
from .nddo.parameters import elements
from .nddo.products import N_PRODUCTS, WEIGHT
from .units import BOHR

DIAGONAL = (0, 4, 7, 9)  # ss, xx, yy, zz
SP = slice(1, 4)


def net_charges(atoms: AtomDensities) -> Tensor:
    """Coulson charges (n,), e."""
    return atoms.net @ minus_trace(atoms.net.device)


@functools.cache
@lasting
def minus_trace(device: torch.device) -> Tensor:
    """(10,) weights that take minus the trace of packed products."""
    weights = torch.zeros(N_PRODUCTS, dtype=torch.float64, device=device)
    weights[list(DIAGONAL)] = -1.0
    return weights


def spin_populations(atoms: AtomDensities) -> Tensor:
    """Alpha minus beta populations (n,); zero when restricted."""
    if len(atoms.spin) == 1:
        return torch.zeros_like(atoms.net[:, 0])
    return (atoms.spin[1] - atoms.spin[0]) @ minus_trace(atoms.net.device)


def about_center_of_mass(layout: Layout, positions: Tensor) -> Tensor:
    """Positions (n, 3) relative to the centre of mass of every molecule, Angstrom."""
    mass = elements(positions.device).mass[layout.numbers]
    weighted = layout.molecule_sum(mass.unsqueeze(1) * positions)
    center = weighted / layout.molecule_sum(mass).unsqueeze(1)
    return positions - center[layout.molecule]


def dipoles(
    layout: Layout, constants: Constants, atoms: AtomDensities, positions: Tensor
) -> Tensor:
    """Dipole moments (B, 3), e*Angstrom, about the centre of mass.

    Net charges and the sp hybridisation of every atom, whose transition dipole is D1.
    """
    charges = net_charges(atoms).unsqueeze(1)
    hybrid = BOHR * constants.multipoles.D[:, :1] * atoms.net[:, SP]
    return layout.molecule_sum(charges * about_center_of_mass(layout, positions) - hybrid)


def field_potential(
    layout: Layout, constants: Constants, positions: Tensor, field: Tensor
) -> Tensor:
    """What a ``field`` (3,), or (n, 3) with that of every atom's molecule, V/Angstrom, adds to an
    atom's orbitals, (n, 4) eV.

    Column 0: the diagonal; columns 1 to 3: the elements between s and p_x, p_y, p_z.
    """
    diagonal = (about_center_of_mass(layout, positions) * field).sum(1)
    sp = BOHR * constants.multipoles.D[:, :1] * field
    return torch.cat((diagonal.unsqueeze(1), sp), 1)


def field_energy(layout: Layout, atoms: AtomDensities, potential: Tensor) -> Tensor:
    """Energy (n,), eV, of the atoms' electrons and cores in the field: minus field times dipole."""
    charges = net_charges(atoms)
    return -charges * potential[:, 0] + (atoms.net[:, SP] * potential[:, 1:]).sum(1)


def field_hybrid_slope(atoms: AtomDensities, field: Tensor) -> Tensor:
    """Derivative (n,) of the energy in the field with respect to D1, eV/bohr, at fixed density."""
    return BOHR * (atoms.net[:, SP] * field).sum(1)


def field_gradient(layout: Layout, atoms: AtomDensities, field: Tensor) -> Tensor:
    """Derivative (n, 3), eV/Angstrom, of the energy in the field at fixed density.

    The dipole of an ion is taken about its centre of mass, so the force on the whole is zero.
    """
    mass = elements(field.device).mass[layout.numbers]
    charges = net_charges(atoms)
    share = mass / layout.molecule_sum(mass)[layout.molecule]
    own = share * layout.molecule_sum(charges)[layout.molecule] - charges
    return own.unsqueeze(1) * field


def bond_orders(layout: Layout, density: Tensor) -> Tensor:
    """Wiberg bond orders (B, A, A), with Mayer's extension 2 (alpha^2 + beta^2) to open shells."""
    squared = (density**2).sum(0) * (4.0 / density.shape[0])
    orders = layout.owner.mT @ squared @ layout.owner
    return orders - torch.diag_embed(orders.diagonal(dim1=1, dim2=2))


def spin_squared(density: Tensor, occupied: Tensor) -> Tensor:
    """<S^2> (B,) of the determinant with spin densities (S, B, N, N)."""
    if density.shape[0] == 1:
        return torch.zeros(density.shape[1], dtype=density.dtype, device=density.device)
    s_z = 0.5 * (occupied[0] - occupied[1]).to(density.dtype)
    return s_z * (s_z + 1.0) + occupied[1] - (density[0] * density[1]).sum((1, 2))


assert WEIGHT[1] == 2.0  # packed sp populations count both orders, as the formulas above assume
