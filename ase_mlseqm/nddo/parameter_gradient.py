"""Derivatives of the energy with respect to the parameters at fixed density and positions.

By hand: every two-centre integral depends on the parameters through the offsets of its terms, every
overlap through its exponents, and what the pairs say of their atoms is added up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..units import BOHR
from . import overlap
from .chunks import in_chunks
from .core_repulsion import core_slopes, decays
from .energy import AtomDensities
from .integrals import (
    Constants,
    Geometry,
    Integrals,
    orbital_distances,
    resonance_means,
)
from .layout import Layout
from .multipoles import Multipoles, multipole_slopes
from .one_center import isolated_atoms
from .parameters import Parameters
from .products import N_PRODUCTS
from .rotation import to_axis
from .two_center import Terms, term_slopes


def parameter_gradient(
    layout: Layout,
    constants: Constants,
    shape: Geometry,
    found: overlap.Overlaps | None,
    integrals: Integrals,
    coefficients: Integrals,
    atoms: AtomDensities,
    by_dipole: Tensor | None = None,
) -> Parameters:
    """d (E - sum of E_iso) / d parameter of every atom, eV.

    The SCF energy is stationary in the density, so the density is constant here; the energies of
    the isolated atoms depend on the parameters explicitly.

    Parameters
    ----------
    found, integrals : Overlaps or None, Integrals
        At these parameters; the overlaps where they are known.
    coefficients : Integrals
        dE / d integral.
    by_dipole : (n,), optional
        dE / d D1 of further terms of the energy (the electric field), eV/bohr.
    """
    p, heavy = constants.parameters, layout.heavy
    bohr = shape.distance * (1.0 / BOHR)
    by_beta, by_zeta = _resonance_slopes(layout, constants, shape, found, integrals, coefficients)
    by_terms, by_core = _repulsion_slopes(layout, constants, shape, bohr, integrals, coefficients)
    own = by_terms.new_zeros(len(layout.numbers), 7)
    own[:, :5] = by_terms
    own[:, 5:].index_add_(0, layout.pairs.view(-1), by_beta.reshape(-1, 2))
    if by_dipole is not None:
        own[:, 0] += by_dipole
    zeta, g = multipole_slopes(
        *(p.zeta_s, p.zeta_p, p.g_pp, p.g_p2, layout.shell, heavy, constants.multipoles),
        Multipoles(own[:, :2], own[:, 2:5]),
    )
    one = atoms.one_center - isolated_atoms(layout)
    # in the order of ATOMIC
    columns = (one[:, :2], by_zeta, own[:, 5:7], one[:, 2:], by_core[:, :1])
    atomic = torch.cat(columns, 1)
    atomic[:, 2:4].index_add_(0, heavy, zeta)
    atomic[:, 6] -= own[:, 2] * constants.multipoles.rho[:, 0] / p.g_ss  # rho_0 is 1 / (2 g_ss)
    atomic[:, 8:11].index_add_(0, heavy, g)
    gaussians = own.new_zeros(len(own), 3, 4)
    if by_core.shape[1] > 1:
        gaussians = by_core[:, 1:].unflatten(1, (3, -1))
    return Parameters(*atomic.unbind(1), *gaussians.unbind(1))


def _repulsion_slopes(
    layout: Layout,
    constants: Constants,
    shape: Geometry,
    bohr: Tensor,
    w: Integrals,
    c: Integrals,
) -> tuple[Tensor, Tensor]:
    """With respect to D and rho of every atom, (n, 5), and to its parameters of the core repulsion,
    (n, ...)."""
    xx, xh, hh = layout.xx, layout.xh, layout.hh
    decay, scale = decays(shape.distance, constants.core)
    screening = decay * scale
    # the core repulsion is a multiple of (ss|ss)
    screened = constants.core.zz * screening.sum(1)
    by_terms = bohr.new_zeros(len(layout.numbers), 5)

    def add(kind: slice, pairs: Terms, weights: Tensor) -> None:
        slopes = term_slopes(bohr[kind], pairs, weights)
        by_terms.index_add_(0, layout.pairs[kind].reshape(-1), slopes.view(-1, 5))

    local_xx = in_chunks(lambda turn, w_xx: turn.mT @ w_xx @ turn, shape.rotation, c.w_xx)
    local_xx[:, 0, 0] += screened[xx]
    add(xx, constants.xx, local_xx.view(-1, N_PRODUCTS**2))
    del local_xx  # of a large molecule these take much memory
    local_xh = to_axis(c.w_xh, shape.axial)
    local_xh[:, 0] += screened[xh]
    add(xh, constants.xh, local_xh)
    add(hh, constants.hh, (c.w_hh + screened[hh]).unsqueeze(1))
    # which is the same in all frames
    ssss = torch.cat((w.w_xx[:, 0, 0], w.w_xh[:, 0], w.w_hh))
    by_core = core_slopes(shape.distance, ssss, screening, constants.core, len(layout.numbers))
    return by_terms, by_core


def _resonance_slopes(
    layout: Layout,
    constants: Constants,
    shape: Geometry,
    found: overlap.Overlaps | None,
    integrals: Integrals,
    c: Integrals,
) -> tuple[Tensor, Tensor]:
    """With respect to beta_s and beta_p of both atoms, (P, 2, 2), and to the exponents, (n, 2)."""
    beta_xx, beta_xh, beta_hh = constants.beta_xx, constants.beta_xh, constants.beta_hh
    mean_xx, mean_xh, mean_hh = resonance_means(shape.distance.device)
    # the resonance integrals are the overlaps times beta, which is never zero
    by_beta = torch.cat(
        (
            (c.h_xx * integrals.h_xx / beta_xx).flatten(1) @ mean_xx.T,
            (c.h_xh * integrals.h_xh / beta_xh) @ mean_xh.T,
            (c.h_hh * integrals.h_hh / beta_hh).unsqueeze(1) @ mean_hh.T,
        )
    )
    # from blocks in the molecular frame to overlaps along and across the bond
    z = shape.direction[layout.xx]
    block = c.h_xx * beta_xx
    along_pp = (block[:, 1:, 1:] @ z.unsqueeze(2)).squeeze(2)
    sigma = (z * along_pp).sum(1)
    xx = (
        block[:, 0, 0],
        (block[:, 0, 1:] * z).sum(1),
        (block[:, 1:, 0] * z).sum(1),
        sigma,
        block[:, 1:, 1:].diagonal(dim1=1, dim2=2).sum(1) - sigma,
    )
    row = c.h_xh * beta_xh
    xh = (row[:, 0], (row[:, 1:] * shape.direction[layout.xh]).sum(1))
    weight = torch.cat((*xx, *xh, c.h_hh * beta_hh))
    distance = orbital_distances(constants, shape)
    found = found or overlap.overlaps(distance, constants.orbitals)
    slopes = overlap.exponent_slopes(distance, constants.orbitals, found) * weight
    by_zeta = distance.new_zeros(2 * len(layout.numbers))
    by_zeta.index_add_(0, layout.overlapping.orbitals.flatten(), slopes.flatten())
    return by_beta.unflatten(1, (2, 2)).mT, by_zeta.view(-1, 2)
