"""All integrals of a batch in the molecular frame, in one differentiable pass over the pairs."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import torch
from torch import Tensor

from ..units import BOHR
from . import overlap
from .chunks import in_chunks
from .constants import lasting
from .core_repulsion import CoreConstants, core_constants, core_repulsion
from .layout import Layout
from .multipoles import Multipoles, multipoles
from .one_center import OneCenter, one_center
from .overlap import OrbitalPairs, Overlaps
from .parameters import Parameters
from .products import N_PRODUCTS
from .rotation import axial_parts, axial_products, from_axis, local_frames, product_rotation
from .two_center import Terms, TermTable, local_integrals, term_table, terms


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

    def row(self, k: int) -> Integrals:
        """Row ``k`` of stacked integrals."""
        return Integrals(*(t[k] for t in self.tensors()))

    def detach(self) -> Integrals:
        """The same numbers without a graph."""
        return Integrals(*(t.detach() for t in self.tensors()))


@functools.cache
@lasting
def resonance_means(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """From beta_s of both atoms of a pair and beta_p of both to the means of all pairs of orbitals:
    (4, 16), (4, 4) and (4, 1) of the three kinds of pairs."""
    tables = []
    for n1, n2 in ((4, 4), (4, 1), (1, 1)):
        table = torch.zeros(4, n1, n2, dtype=torch.float64)
        for mu, nu in itertools.product(range(n1), range(n2)):
            table[2 * (mu > 0), mu, nu] = table[1 + 2 * (nu > 0), mu, nu] = 0.5
        tables.append(table.flatten(1).to(device))
    return tables[0], tables[1], tables[2]


@functools.cache
@lasting
def _tables(device: torch.device) -> tuple[TermTable, TermTable, TermTable]:
    """Terms of the three kinds of pairs; those of ``xh`` make the parts along the bond and across
    it (``rotation.py``)."""
    xh = term_table(N_PRODUCTS, 1, device)
    along = dataclasses.replace(xh, coefficients=xh.coefficients @ axial_parts(device))
    return term_table(N_PRODUCTS, N_PRODUCTS, device), along, term_table(1, 1, device)


def prepare(layout: Layout, parameters: Parameters) -> Constants:
    """Everything that does not depend on the positions, differentiable in the parameters."""
    p = parameters
    atoms = multipoles(
        p.zeta_s, p.zeta_p, p.g_ss, p.g_pp, p.g_p2, p.h_sp, layout.shell, layout.heavy
    )
    # what pairs need of their atoms, (P, 2, ...)
    own = torch.stack((p.beta_s, p.beta_p, p.alpha), 1)
    both = torch.cat((atoms.D, atoms.rho, own), 1)[layout.pairs]
    gaussians = None
    if p.K.requires_grad or bool((p.K != 0).any()):
        gaussians = torch.stack((p.K, p.L, p.M), 1)
    known = layout.overlapping
    zeta = torch.stack((p.zeta_s, p.zeta_p), 1).flatten()[known.orbitals]
    xx, xh, hh = layout.xx, layout.xh, layout.hh

    of_xx, of_xh, of_hh = (
        terms(both[kind, :, :5].flatten(1), table)
        for kind, table in zip((xx, xh, hh), _tables(both.device), strict=True)
    )
    mean_xx, mean_xh, mean_hh = resonance_means(both.device)
    beta = both[:, :, 5:7].mT.flatten(1)
    return Constants(
        parameters=p,
        multipoles=atoms,
        one=one_center(p, layout),
        xx=of_xx,
        xh=of_xh,
        hh=of_hh,
        orbitals=overlap.orbital_pairs(zeta, known.tables),
        orbital_pair=known.pair,
        beta_xx=(beta[xx] @ mean_xx).unflatten(1, (4, 4)),
        # what hydrogen has no orbital for may be not a number
        beta_xh=beta[xh, :3] @ mean_xh[:3],
        beta_hh=(beta[hh, :2] @ mean_hh[:2]).squeeze(1),
        # a copy, which does not keep all the rest
        core=core_constants(layout, both[:, :, 7].contiguous(), gaussians),
    )


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Distances (P,) in Angstrom, unit vectors (P, 3) and how orbital products get from the local
    frame: of heavy-heavy pairs the transformations ``rotation`` (P_xx, 10, 10), of heavy-hydrogen
    pairs the products ``axial`` (P_xh, 10) of the unit vectors."""

    distance: Tensor
    direction: Tensor
    rotation: Tensor
    axial: Tensor


def geometry(layout: Layout, positions: Tensor) -> Geometry:
    """Geometry of all pairs at (n, 3) ``positions`` in Angstrom."""
    vectors = positions.index_select(0, layout.second) - positions.index_select(0, layout.first)
    distance = torch.linalg.vector_norm(vectors, dim=1)
    direction = vectors / distance.unsqueeze(1)
    rotation = in_chunks(lambda z: product_rotation(local_frames(z)), direction[layout.xx])
    return Geometry(distance, direction, rotation, axial_products(direction[layout.xh]))


def overlap_blocks(
    layout: Layout, values: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Overlap blocks (k, P_xx, 4, 4), (k, P_xh, 4), (k, P_hh) in the molecular frame.

    From the local overlaps (k, Q) of the orbital pairs of the layout.
    """
    n_hh = layout.n_pairs - layout.n_xx - layout.n_xh
    xx, xh, hh = values.split_with_sizes([5 * layout.n_xx, 2 * layout.n_xh, n_hh], 1)
    xx, xh = xx.view(len(values), 5, layout.n_xx), xh.view(len(values), 2, layout.n_xh)
    z = direction[layout.xx]
    eye = torch.eye(3, dtype=z.dtype, device=z.device)
    ss, sz, zs, sigma, pi = (part.unsqueeze(2) for part in xx.unbind(1))
    along = (sigma - pi).unsqueeze(3) * (z.unsqueeze(2) * z.unsqueeze(1))
    pp = along + pi.unsqueeze(3) * eye
    top = torch.cat((ss, sz * z), 2).unsqueeze(2)
    bottom = torch.cat(((zs * z).unsqueeze(3), pp), 3)
    s_xh = torch.cat((xh[:, 0].unsqueeze(2), xh[:, 1].unsqueeze(2) * direction[layout.xh]), 2)
    return torch.cat((top, bottom), 2), s_xh, hh


def orbital_distances(constants: Constants, shape: Geometry) -> Tensor:
    """Distances (Q,) of the pairs of orbitals, bohr, at most that from which on nothing is left."""
    clamped = (shape.distance * (1.0 / BOHR)).clamp(max=overlap.CUTOFF)
    return clamped.index_select(0, constants.orbital_pair)


def integrals_and_slopes(
    layout: Layout,
    constants: Constants,
    shape: Geometry,
    slopes: bool = True,
    found: Overlaps | None = None,
) -> Integrals:
    """All integrals (eV) and their derivatives along the bonds at fixed directions (eV/bohr).

    The derivatives are those with respect to the distance of the pair; see ``gradient.py`` for
    the rest.  Every tensor is stacked: row 0 has the integrals, row 1 the derivatives, which are
    missing with ``slopes`` False.  ``found`` are the overlaps at these distances, where they are
    known.
    """
    bohr = shape.distance * (1.0 / BOHR)
    xx, xh, hh = layout.xx, layout.xh, layout.hh
    of_xx = constants.xx

    def turned(distance: Tensor, turn: Tensor, atoms: Tensor, along: Tensor, b2: Tensor) -> Tensor:
        local = local_integrals(distance, Terms(atoms, along, b2, of_xx.table), slopes)
        # batched products by hand: @ would copy the rotations for integrals and slopes
        blocks = local.unflatten(2, (N_PRODUCTS, N_PRODUCTS)).unbind(0)
        return torch.stack([torch.bmm(torch.bmm(turn, block), turn.mT) for block in blocks])

    parts = bohr[xx], shape.rotation, of_xx.atoms, of_xx.along, of_xx.b2
    w_xx = in_chunks(turned, *parts, axis=1)
    w_xh = from_axis(local_integrals(bohr[xh], constants.xh, slopes), shape.axial)
    w_hh = local_integrals(bohr[hh], constants.hh, slopes)[..., 0]

    distance = orbital_distances(constants, shape)
    if slopes:
        found = found or overlap.overlaps(distance, constants.orbitals)
        along = overlap.distance_slopes(distance, constants.orbitals, found)
        # the clamped overlaps are constant
        local = torch.stack((found.value, along.masked_fill(distance >= overlap.CUTOFF, 0.0)))
    else:
        local = overlap.local_overlaps(distance, constants.orbitals).unsqueeze(0)
    s_xx, s_xh, s_hh = overlap_blocks(layout, local, shape.direction)
    ssss = torch.cat((w_xx[..., 0, 0], w_xh[..., 0], w_hh), 1)  # the same in all frames
    return Integrals(
        w_xx,
        w_xh,
        w_hh,
        constants.beta_xx * s_xx,
        constants.beta_xh * s_xh,
        constants.beta_hh * s_hh,
        core_repulsion(shape.distance, ssss, constants.core, slopes),
    )


def integrals(layout: Layout, constants: Constants, positions: Tensor) -> Integrals:
    """Integrals of all pairs at (n, 3) ``positions`` in Angstrom, differentiable."""
    shape = geometry(layout, positions)
    return integrals_and_slopes(layout, constants, shape, slopes=False).row(0)
