"""All integrals of a batch in the molecular frame, in one differentiable pass over the pairs."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..units import BOHR
from . import overlap
from .core_repulsion import CoreConstants, core_constants, core_repulsion
from .layout import Layout
from .multipoles import Multipoles, multipoles
from .one_center import OneCenter, one_center
from .overlap import OrbitalPairs
from .parameters import Parameters, elements
from .products import N_PRODUCTS
from .rotation import local_frames, product_rotation
from .two_center import Terms, local_integrals, terms


@dataclasses.dataclass(frozen=True)
class Constants:
    """What the parameters alone determine; reused for every geometry of a plain method.

    ``orbitals`` are the Q pairs of orbitals that overlap, ``orbital_pair`` (Q,) their pairs of
    atoms; ``beta_xx`` (P, 4, 4), ``beta_xh`` (P, 4) and ``beta_hh`` (P,) the means of the
    resonance parameters.
    """

    parameters: Parameters
    multipoles: Multipoles
    one: OneCenter
    xx: Terms
    xh: Terms
    hh: Terms
    orbitals: OrbitalPairs
    orbital_pair: Tensor
    beta_xx: Tensor
    beta_xh: Tensor
    beta_hh: Tensor
    core: CoreConstants


@dataclasses.dataclass(frozen=True)
class Integrals:
    """Two-centre integrals and core repulsion of a batch, eV, in the molecular frame.

    Attributes
    ----------
    w_xx : (P_xx, 10, 10), w_xh : (P_xh, 10), w_hh : (P_hh,)
        Repulsion of packed orbital products.
    h_xx : (P_xx, 4, 4), h_xh : (P_xh, 4), h_hh : (P_hh,)
        Resonance integrals.
    core : (P,)
        Core-core repulsion within Z_A Z_B (ss|ss).
    """

    w_xx: Tensor
    w_xh: Tensor
    w_hh: Tensor
    h_xx: Tensor
    h_xh: Tensor
    h_hh: Tensor
    core: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """The seven fields, in order."""
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))

    def detach(self) -> Integrals:
        """The same numbers without a graph."""
        return Integrals(*(t.detach() for t in self.tensors()))


def prepare(layout: Layout, parameters: Parameters, trace_one_center: bool = True) -> Constants:
    """Everything that does not depend on the positions, differentiable in the parameters.

    Without ``trace_one_center`` the one-centre terms have no graph.
    """
    p = parameters
    with torch.set_grad_enabled(trace_one_center and torch.is_grad_enabled()):
        one = one_center(p, layout)
    heavy_mask = layout.numbers > 1
    shell = elements(layout.numbers.device).shell[layout.numbers]
    atoms = multipoles(p.zeta_s, p.zeta_p, p.g_ss, p.g_pp, p.g_p2, p.h_sp, shell, heavy_mask)
    known = layout.overlapping
    zeta = torch.stack((p.zeta_s, p.zeta_p)).flatten()
    orbitals = overlap.orbital_pairs(zeta[known.orbital_a], zeta[known.orbital_b], known.tables)
    beta = torch.stack((p.beta_s, p.beta_p, p.beta_p, p.beta_p), 1)
    i, j = layout.first, layout.second

    def pairs(kind: slice, n1: int, n2: int) -> Terms:
        return terms(atoms, i[kind], j[kind], n1, n2)

    xx, xh, hh = layout.xx, layout.xh, layout.hh
    return Constants(
        parameters=p,
        multipoles=atoms,
        one=one,
        xx=pairs(xx, N_PRODUCTS, N_PRODUCTS),
        xh=pairs(xh, N_PRODUCTS, 1),
        hh=pairs(hh, 1, 1),
        orbitals=orbitals,
        orbital_pair=known.pair,
        beta_xx=0.5 * (beta[i[xx]].unsqueeze(2) + beta[j[xx]].unsqueeze(1)),
        beta_xh=0.5 * (beta[i[xh]] + p.beta_s[j[xh]].unsqueeze(1)),
        beta_hh=0.5 * (p.beta_s[i[hh]] + p.beta_s[j[hh]]),
        core=core_constants(layout, p),
    )


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Distances (P,) in Angstrom, unit vectors (P, 3) and, of pairs with a heavy atom, the
    transformations (P_xx + P_xh, 10, 10) of orbital products from the local frame."""

    distance: Tensor
    direction: Tensor
    rotation: Tensor


def geometry(layout: Layout, positions: Tensor) -> Geometry:
    """Geometry of all pairs at (n, 3) ``positions`` in Angstrom."""
    vectors = positions.index_select(0, layout.second) - positions.index_select(0, layout.first)
    distance = torch.linalg.vector_norm(vectors, dim=1)
    direction = vectors / distance.unsqueeze(1)
    rotation = product_rotation(local_frames(direction[: layout.hh.start]))
    return Geometry(distance, direction, rotation)


def overlap_blocks(
    layout: Layout, values: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Overlap blocks (k, P_xx, 4, 4), (k, P_xh, 4), (k, P_hh) in the molecular frame.

    From the local overlaps (k, Q) of the orbital pairs of the layout.
    """
    n_xx, n_xh = 5 * layout.n_xx, 2 * layout.n_xh
    xx = values[:, :n_xx].unflatten(1, (5, -1)) if n_xx else values.new_zeros(len(values), 5, 0)
    xh = values[:, n_xx : n_xx + n_xh]
    xh = xh.unflatten(1, (2, -1)) if n_xh else values.new_zeros(len(values), 2, 0)
    hh = values[:, n_xx + n_xh :]
    z = direction[layout.xx]
    eye = torch.eye(3, dtype=z.dtype, device=z.device)
    ss, sz, zs, sigma, pi = (part.unsqueeze(2) for part in xx.unbind(1))
    along = (sigma - pi).unsqueeze(3) * (z.unsqueeze(2) * z.unsqueeze(1))
    pp = along + pi.unsqueeze(3) * eye
    top = torch.cat((ss, sz * z), 2).unsqueeze(2)
    bottom = torch.cat(((zs * z).unsqueeze(3), pp), 3)
    s_xh = torch.cat((xh[:, 0].unsqueeze(2), xh[:, 1].unsqueeze(2) * direction[layout.xh]), 2)
    return torch.cat((top, bottom), 2), s_xh, hh


def integrals_and_slopes(
    layout: Layout, constants: Constants, shape: Geometry, slopes: bool = True
) -> tuple[Integrals, Integrals | None]:
    """All integrals (eV) and their derivatives along the bonds at fixed directions (eV/Angstrom).

    The derivatives are those with respect to the distance of the pair; see ``gradient.py`` for
    the rest.  With ``slopes`` False they are None.
    """
    bohr = shape.distance * (1.0 / BOHR)
    xx, xh, hh = layout.xx, layout.xh, layout.hh
    rotation, square = shape.rotation, (N_PRODUCTS, N_PRODUCTS)
    local_xx = local_integrals(bohr[xx], constants.xx, slopes).unflatten(2, square)
    local_xh = local_integrals(bohr[xh], constants.xh, slopes)
    w_hh = local_integrals(bohr[hh], constants.hh, slopes)[..., 0]
    w_xx = rotation[xx] @ local_xx @ rotation[xx].mT
    w_xh = (rotation[xh] @ local_xh.unsqueeze(3)).squeeze(3)

    clamped = bohr.clamp(max=overlap.CUTOFF)
    distance = clamped.index_select(0, constants.orbital_pair)
    local = overlap.local_overlaps(distance, constants.orbitals, slopes)
    s_xx, s_xh, s_hh = overlap_blocks(layout, local, shape.direction)
    h_xx, h_xh = constants.beta_xx * s_xx, constants.beta_xh * s_xh
    h_hh = constants.beta_hh * s_hh
    ssss = torch.cat((local_xx[..., 0, 0], local_xh[..., 0], w_hh), 1)
    if not slopes:
        core = core_repulsion(shape.distance, ssss, constants.core, slopes)
        return Integrals(w_xx[0], w_xh[0], w_hh[0], h_xx[0], h_xh[0], h_hh[0], core[0]), None
    # per bohr until here; the clamped overlaps are constant
    per_angstrom = 1.0 / BOHR
    ssss = torch.stack((ssss[0], ssss[1] * per_angstrom))
    core = core_repulsion(shape.distance, ssss, constants.core, slopes)
    within = per_angstrom * (bohr < overlap.CUTOFF).to(bohr.dtype)
    steep = (
        *(t[1] * per_angstrom for t in (w_xx, w_xh, w_hh)),
        h_xx[1] * within[xx].view(-1, 1, 1),
        h_xh[1] * within[xh].unsqueeze(1),
        h_hh[1] * within[hh],
        core[1],
    )
    values = Integrals(w_xx[0], w_xh[0], w_hh[0], h_xx[0], h_xh[0], h_hh[0], core[0])
    return values, Integrals(*steep)


def integrals(layout: Layout, constants: Constants, positions: Tensor) -> Integrals:
    """Integrals of all pairs at (n, 3) ``positions`` in Angstrom, differentiable."""
    shape = geometry(layout, positions)
    return integrals_and_slopes(layout, constants, shape, slopes=False)[0]
