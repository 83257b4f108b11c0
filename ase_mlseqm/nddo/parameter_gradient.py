"""Derivatives of the energy with respect to the parameters at fixed density and positions.

By hand as far as the integrals: every two-centre integral depends on the parameters through the
offsets of its terms, every overlap through its exponents.  From there a graph leads to the
parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..units import BOHR, HARTREE
from . import overlap
from .core_repulsion import core_slopes, screening
from .energy import AtomDensities
from .integrals import Constants, Geometry, Integrals, prepare
from .layout import Layout
from .one_center import ENERGY_PARAMETERS, isolated_atom_coefficients, one_center_coefficients
from .parameters import Parameters
from .products import N_PRODUCTS
from .two_center import Terms, term_slopes

Slopes = list[tuple[Tensor, Tensor]]
"""Quantities with a graph, and the derivatives of the energy with respect to them."""


def traced_constants(
    layout: Layout, values: Tensor, assemble: Callable[[Tensor], Parameters]
) -> tuple[Tensor, Constants]:
    """A copy of ``values`` (n, k) that a graph starts from, and the constants made from it.

    Parameters
    ----------
    assemble : callable
        From ``values`` to all parameters.
    """
    with torch.enable_grad():
        leaf = values.detach().requires_grad_()
        return leaf, prepare(layout, assemble(leaf), trace_one_center=False)


def parameter_gradient(
    layout: Layout,
    leaf: Tensor,
    constants: Constants,
    shape: Geometry,
    integrals: Integrals,
    coefficients: Integrals,
    atoms: AtomDensities,
    more: Callable[[Constants], Tensor] | None = None,
) -> Tensor:
    """d (E - sum of E_iso) / d ``leaf``, eV, in the shape of ``leaf``.

    The SCF energy is stationary in the density, so the density is constant here; the energies of
    the isolated atoms depend on the parameters explicitly.

    Parameters
    ----------
    leaf, constants
        From :func:`traced_constants`.
    integrals : Integrals
        At these parameters.
    coefficients : Integrals
        dE / d integral.
    more : callable, optional
        Further terms of the energy that depend on the parameters (the electric field).
    """
    with torch.no_grad():
        bohr = shape.distance * (1.0 / BOHR)
        slopes = _repulsion_slopes(layout, constants, shape, bohr, coefficients)
        slopes += _resonance_slopes(layout, constants, shape, bohr, integrals, coefficients)
        slopes += _core_slopes(layout, constants, shape, bohr)
        slopes += _one_center_slopes(layout, constants, atoms)
    if more is not None:
        with torch.enable_grad():
            energy = more(constants).sum()
        slopes.append((energy, torch.ones_like(energy)))
    outputs, gradients = zip(*((o, g) for o, g in slopes if o.requires_grad), strict=True)
    (gradient,) = torch.autograd.grad(outputs, leaf, gradients)
    return gradient


def _one_center_slopes(layout: Layout, constants: Constants, atoms: AtomDensities) -> Slopes:
    """With respect to the parameters of the one-centre energies and of the isolated atoms."""
    own = one_center_coefficients(layout, atoms.heavy, atoms.hydrogen)
    isolated = layout.once("isolated", lambda: isolated_atom_coefficients(layout.core_charge))
    parameters = [getattr(constants.parameters, name) for name in ENERGY_PARAMETERS]
    return list(zip(parameters, (own - isolated).unbind(1), strict=True))


def _core_slopes(layout: Layout, constants: Constants, shape: Geometry, bohr: Tensor) -> Slopes:
    """With respect to the exponents and Gaussians of the core repulsion."""
    if not constants.core.depends_on_parameters():
        return []
    rho = constants.multipoles.rho[:, 0]
    radius = rho.index_select(0, layout.first) + rho.index_select(0, layout.second)
    ssss = HARTREE * torch.addcmul(radius * radius, bohr, bohr).rsqrt()
    return core_slopes(shape.distance, ssss, constants.core)


def _repulsion_slopes(
    layout: Layout, constants: Constants, shape: Geometry, bohr: Tensor, c: Integrals
) -> Slopes:
    """With respect to the offsets of the terms of the two-centre repulsion integrals."""
    xx, xh, hh = layout.xx, layout.xh, layout.hh
    # the core repulsion is a multiple of (ss|ss)
    screened = screening(shape.distance, constants.core)
    local_xx = shape.rotation[xx].mT @ c.w_xx @ shape.rotation[xx]
    local_xh = (shape.rotation[xh].mT @ c.w_xh.unsqueeze(2)).squeeze(2)
    local_xx[:, 0, 0] += screened[xx]
    local_xh[:, 0] += screened[xh]
    local_hh = (c.w_hh + screened[hh]).unsqueeze(1)
    slopes: Slopes = []
    parts: tuple[tuple[slice, Terms, Tensor], ...] = (
        (xx, constants.xx, local_xx.view(-1, N_PRODUCTS**2)),
        (xh, constants.xh, local_xh),
        (hh, constants.hh, local_hh),
    )
    for kind, terms, local in parts:
        slopes += zip((terms.a, terms.b2), term_slopes(bohr[kind], terms, local), strict=True)
    return slopes


def _resonance_slopes(
    layout: Layout,
    constants: Constants,
    shape: Geometry,
    bohr: Tensor,
    integrals: Integrals,
    c: Integrals,
) -> Slopes:
    """With respect to the resonance parameters and the exponents."""
    pairs = constants.orbitals
    distance = bohr.clamp(max=overlap.CUTOFF).index_select(0, constants.orbital_pair)
    by_mean, by_difference, by_norms = overlap.exponent_slopes(distance, pairs)
    # from blocks in the molecular frame to overlaps along and across the bond
    z = shape.direction[layout.xx]
    block = c.h_xx * constants.beta_xx
    along_pp = (block[:, 1:, 1:] @ z.unsqueeze(2)).squeeze(2)
    sigma = (z * along_pp).sum(1)
    xx = (
        block[:, 0, 0],
        (block[:, 0, 1:] * z).sum(1),
        (block[:, 1:, 0] * z).sum(1),
        sigma,
        block[:, 1:, 1:].diagonal(dim1=1, dim2=2).sum(1) - sigma,
    )
    row = c.h_xh * constants.beta_xh
    xh = (row[:, 0], (row[:, 1:] * shape.direction[layout.xh]).sum(1))
    weight = torch.cat((*xx, *xh, c.h_hh * constants.beta_hh))
    # the resonance integrals are the overlaps times beta, which is never zero
    return [
        (constants.beta_xx, c.h_xx * integrals.h_xx / constants.beta_xx),
        (constants.beta_xh, c.h_xh * integrals.h_xh / constants.beta_xh),
        (constants.beta_hh, c.h_hh * integrals.h_hh / constants.beta_hh),
        (pairs.mean, weight * by_mean),
        (pairs.difference, weight * by_difference),
        (pairs.norms, weight * by_norms),
    ]
