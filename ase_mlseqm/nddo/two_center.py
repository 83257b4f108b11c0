"""Two-centre two-electron integrals in the local frame of a pair (z from the first to the second).

Dewar, Thiel, Theor. Chim. Acta 46 (1977) 89.  Every orbital product is a set of point charges, so
every integral is a fixed linear combination of terms 1/sqrt((R + a)^2 + b^2).  The charges are
listed once below; the distinct terms and their coefficients are found from them on import.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict

import torch
from torch import Tensor

from ..units import HARTREE
from .chunks import in_chunks
from .constants import lasting
from .products import PRODUCTS

# A charge is (coefficient, (x, y, z) in units of D_l, l).
_MONOPOLE = [(1.0, (0, 0, 0), 0)]


def _dipole(axis: int) -> list:
    plus, minus = [0, 0, 0], [0, 0, 0]
    plus[axis], minus[axis] = 1, -1
    return [(0.5, tuple(plus), 1), (-0.5, tuple(minus), 1)]


def _linear_quadrupole(axis: int) -> list:
    plus, minus = [0, 0, 0], [0, 0, 0]
    plus[axis], minus[axis] = 2, -2
    return [(0.25, tuple(plus), 2), (0.25, tuple(minus), 2), (-0.5, (0, 0, 0), 2)]


def _square_quadrupole(first: int, second: int) -> list:
    charges = []
    for one in (1, -1):
        for two in (1, -1):
            place = [0, 0, 0]
            place[first], place[second] = one, two
            charges.append((0.25 * one * two, tuple(place), 2))
    return charges


def _charges(product: tuple[int, int]) -> list:
    mu, nu = product  # 0 is s; 1, 2, 3 are p_x, p_y, p_z
    if nu == 0:
        return _MONOPOLE
    if mu == 0:
        return _dipole(nu - 1)
    if mu == nu:
        return _MONOPOLE + _linear_quadrupole(mu - 1)
    return _square_quadrupole(mu - 1, nu - 1)


def _interaction(first: list, second: list) -> dict:
    """Distinct terms of one integral and their coefficients.

    A term is named by (l of both, z of both, and the two perpendicular separations up to sign and
    order), all in units of the atoms' own D_l.
    """
    terms: dict = defaultdict(float)
    for c1, (x1, y1, z1), l1 in first:
        for c2, (x2, y2, z2), l2 in second:
            perpendicular = tuple(
                sorted(max((u1, -u2), (-u1, u2)) for u1, u2 in ((x1, x2), (y1, y2)))
            )
            terms[l1, l2, z1, z2, perpendicular] += c1 * c2
    return terms


def _integral(first: tuple[int, int], second: tuple[int, int]) -> dict:
    xy = (1, 2)
    if first == second == xy:
        # half of (xx|xx) - (xx|yy): square charges would make the energy depend on the azimuth
        same = _interaction(_charges((1, 1)), _charges((1, 1)))
        for term, c in _interaction(_charges((1, 1)), _charges((2, 2))).items():
            same[term] -= c
        return {term: 0.5 * c for term, c in same.items()}
    return _interaction(_charges(first), _charges(second))


@dataclasses.dataclass(frozen=True)
class TermTable:
    """T distinct terms of all integrals between atoms with ``n1`` and ``n2`` orbital products.

    Attributes
    ----------
    displacements : (10, 4 T)
        From D1, D2, rho_0, rho_1, rho_2 of the first and of the second atom to the displacements
        along z, x, y and the sum of the additive terms of all T terms.
    coefficients : (T, K)
        From terms to integrals (eV * bohr): K = n1 * n2, or what is made of these.
    """

    displacements: Tensor
    coefficients: Tensor

    @property
    def size(self) -> int:
        """T."""
        return len(self.coefficients)


@functools.cache
@lasting
def term_table(n1: int, n2: int, device: torch.device) -> TermTable:
    """Terms for atoms with ``n1`` and ``n2`` products (1 or 10)."""
    index: dict = {}
    entries = []
    for column1, first in enumerate(PRODUCTS[:n1]):
        for column2, second in enumerate(PRODUCTS[:n2]):
            for term, coefficient in _integral(first, second).items():
                if abs(coefficient) > 1e-12:
                    row = index.setdefault(term, len(index))
                    entries.append((row, column1 * n2 + column2, coefficient))
    size = len(index)
    coefficients = torch.zeros(size, n1 * n2, dtype=torch.float64)
    for row, column, coefficient in entries:
        coefficients[row, column] += coefficient * HARTREE
    # rows: separations of order 0 (none), 1, 2 and additive terms of order 0, 1, 2 of either atom
    table = torch.zeros(2, 6, 4, size, dtype=torch.float64)
    for (l1, l2, z1, z2, ((mx, nx), (my, ny))), row in index.items():
        for atom, l, z, x, y in ((0, l1, -z1, mx, my), (1, l2, z2, nx, ny)):
            table[atom, l, :3, row] = torch.tensor([z, x, y], dtype=torch.float64)
            table[atom, 3 + l, 3, row] = 1.0
    displacements = table[:, 1:].flatten(0, 1).flatten(1)
    return TermTable(displacements.contiguous().to(device), coefficients.to(device))


@dataclasses.dataclass(frozen=True)
class Terms:
    """Geometry-independent part of the terms of P pairs.

    Attributes
    ----------
    atoms : (P, 10)
        D1, D2, rho_0, rho_1, rho_2 of the first and of the second atom, bohr.
    along : (P, T)
        Displacements along z, bohr.
    b2 : (P, T)
        Sum of squares of those along x and y and of the sums of the additive terms.
    table : TermTable
    """

    atoms: Tensor
    along: Tensor
    b2: Tensor
    table: TermTable


def _across(atoms: Tensor, table: TermTable) -> Tensor:
    """(P, 3, T) displacements along x and y and sums of the additive terms, bohr: not kept, since
    one derivative alone needs them, and nothing takes more memory."""
    return (atoms @ table.displacements[:, table.size :]).unflatten(1, (3, -1))


def terms(atoms: Tensor, table: TermTable) -> Terms:
    """Prepare pairs of atoms whose D and rho are ``atoms`` (P, 10)."""
    along = atoms @ table.displacements[:, : table.size]
    b2 = in_chunks(lambda some: (_across(some, table) ** 2).sum(1), atoms)
    return Terms(atoms, along, b2, table)


def term_slopes(distance: Tensor, pairs: Terms, weights: Tensor) -> Tensor:
    """Derivatives (P, 10) with respect to D and rho of both atoms of the integrals' sum with
    ``weights`` (P, K)."""
    table = pairs.table

    def slopes(distance: Tensor, weights: Tensor, atoms: Tensor, along: Tensor, b2: Tensor):
        shifted = distance.unsqueeze(1) + along
        inverse = torch.addcmul(b2, shifted, shifted).rsqrt()
        steep = (weights @ table.coefficients.T) * -(inverse**3)
        moved = torch.cat((shifted.unsqueeze(1), _across(atoms, table)), 1) * steep.unsqueeze(1)
        return moved.flatten(1) @ table.displacements.T

    return in_chunks(slopes, distance, weights, pairs.atoms, pairs.along, pairs.b2)


def local_integrals(distance: Tensor, pairs: Terms, slopes: bool) -> Tensor:
    """Integrals (1, P, K) in eV of pairs ``distance`` (P,) bohr apart, in the local frame.

    With ``slopes`` (2, P, K): also their derivatives per bohr.
    """

    def values(distance: Tensor, along: Tensor, b2: Tensor) -> Tensor:
        shifted = distance.unsqueeze(1) + along
        inverse = torch.addcmul(b2, shifted, shifted).rsqrt()
        rows = [inverse, -shifted * inverse**3] if slopes else [inverse]
        return torch.stack(rows) @ pairs.table.coefficients

    return in_chunks(values, distance, pairs.along, pairs.b2, axis=1)
