"""Overlaps of Slater orbitals in prolate spheroidal coordinates.

Mulliken, Rieke, Orloff, Orloff, J. Chem. Phys. 17 (1949) 1248: with p = R (zeta_a + zeta_b) / 2
and x = R (zeta_a - zeta_b) / 2 every overlap is a polynomial in the auxiliary integrals

    A_k(p) = int_1^inf  t^k exp(-p t) dt        B_k(x) = int_-1^1  t^k exp(-x t) dt.

B_k is evaluated by Gauss-Legendre quadrature, which has no cancellation and no switch between
formulas at any x; derivatives are dA_k/dp = -A_{k+1} and dB_k/dx = -B_{k+1}.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import torch
from numpy.polynomial import polynomial as poly
from torch import Tensor

from .chunks import in_chunks
from .constants import lasting

CUTOFF = 45.0
"""Bohr; overlaps are held constant beyond it.  Those of the tables have fallen below 1e-13 there,
that of hydrogens whose exponents a network lowers to their bound to 9e-10."""


@functools.cache
@lasting
def _a_coefficients(order: int, device: torch.device) -> Tensor:
    """(order + 1, order + 1): A_k = exp(-p) sum_i c_ik / p^(i+1), c_ik = k! / (k - i)!."""
    c = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    for k in range(order + 1):
        for i in range(k + 1):
            c[i, k] = math.factorial(k) / math.factorial(k - i)
    return c.to(device)


@functools.cache
@lasting
def _quadrature(order: int, n_points: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes (G,) and weighted powers (G, order + 1) of Gauss-Legendre quadrature on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n_points)
    powers = weights[:, None] * nodes[:, None] ** np.arange(order + 1)
    return torch.from_numpy(nodes).to(device), torch.from_numpy(powers).to(device)


def _a_integrals(order: int, p: Tensor) -> Tensor:
    inverse = (1.0 / p).unsqueeze(-1)
    powers = inverse.expand(*p.shape, order + 1).cumprod(-1)
    return torch.exp(-p).unsqueeze(-1) * (powers @ _a_coefficients(order, p.device))


def _b_integrals(order: int, x: Tensor) -> Tensor:
    # G points integrate exp(-x t) to rounding when 2 G exceeds |x| with room to spare
    largest = float(x.abs().max()) if x.numel() else 0.0
    if not math.isfinite(largest):  # of molecules that are beyond all numbers
        largest = float(x.nan_to_num(0.0, 0.0, 0.0).abs().max())
    n_points = 20 if largest < 6 else 16 * math.ceil((24 + largest) / 16)
    nodes, powers = _quadrature(order, n_points, x.device)
    return torch.exp(-x.unsqueeze(-1) * nodes) @ powers


class _Auxiliary(torch.autograd.Function):
    """A_k or B_k for k = 0..order, shape (..., order + 1), with the analytic derivative."""

    @staticmethod
    def forward(ctx, argument: Tensor, order: int, evaluate) -> Tensor:
        values = evaluate(order + 1, argument)
        ctx.save_for_backward(values[..., 1:])
        return values[..., :-1]

    @staticmethod
    def backward(ctx, grad: Tensor):
        (higher,) = ctx.saved_tensors
        return -(grad * higher).sum(-1), None, None


def a_integrals(p: Tensor, order: int) -> Tensor:
    """A_0(p) ... A_order(p), (..., order + 1); p > 0."""
    if p.requires_grad:
        return _Auxiliary.apply(p, order, _a_integrals)
    return _a_integrals(order, p)


def b_integrals(x: Tensor, order: int) -> Tensor:
    """B_0(x) ... B_order(x), (..., order + 1)."""
    if x.requires_grad:
        return _Auxiliary.apply(x, order, _b_integrals)
    return _b_integrals(order, x)


# Orbital pairs: (l of a, l of b, m, angular factor after the integration over the azimuth).
SS, SZ, ZS, ZZ, XX = range(5)
_KINDS = (
    (0, 0, 0, 0.5),
    (0, 1, 0, math.sqrt(3) / 2),
    (1, 0, 0, math.sqrt(3) / 2),
    (1, 1, 0, 1.5),
    (1, 1, 1, 0.75),
)


def _power(base: np.ndarray, exponent: int) -> np.ndarray:
    """Integer power of a polynomial in (mu, nu), coefficients [k, l]."""
    out = np.ones((1, 1))
    for _ in range(exponent):
        out = _multiply(out, base)
    return out


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1))
    for k in range(a.shape[0]):
        for m in range(a.shape[1]):
            out[k : k + b.shape[0], m : m + b.shape[1]] += a[k, m] * b
    return out


@functools.cache
def _polynomial(n_a: int, n_b: int, kind: int) -> np.ndarray:
    """Coefficients (K, K) of A_k B_l, K = n_a + n_b + 1.

    In units of R/2 the radii are mu + nu and mu - nu, the heights above either centre
    1 + mu nu and mu nu - 1, the squared distance from the axis (mu^2 - 1)(1 - nu^2), and the
    volume element mu^2 - nu^2.
    """
    r_a, r_b = np.array([[0, 1], [1, 0]]), np.array([[0, -1], [1, 0]])
    z_a, z_b = np.array([[1, 0], [0, 1]]), np.array([[-1, 0], [0, 1]])
    axis2 = np.outer(poly.polysub([0, 0, 1], [1]), poly.polysub([1], [0, 0, 1]))
    l_a, l_b, m, factor = _KINDS[kind]
    c = _multiply(_power(r_a, n_a - 1 - l_a), _power(r_b, n_b - 1 - l_b))
    c = _multiply(c, _multiply(r_a, r_b))
    if m == 1:
        c = _multiply(c, axis2)
    else:
        c = _multiply(_multiply(c, _power(z_a, l_a)), _power(z_b, l_b))
    table = np.zeros((n_a + n_b + 1, n_a + n_b + 1))
    table[: c.shape[0], : c.shape[1]] = factor * c
    return table


@dataclasses.dataclass(frozen=True)
class PairTables:
    """What the kinds of Q pairs of orbitals, U different ones, alone determine.

    Attributes
    ----------
    kind : (Q,)
        Which of the U kinds a pair is.
    exponents : (2, U)
        n + 1/2 of both, the power of 2 zeta in the normalisation.
    factor : (U,)
        The rest of the normalisation of both.
    power : (U,)
        n_a + n_b + 1.
    coefficients : (U, K, K)
        Of A_k B_l.
    """

    kind: Tensor
    exponents: Tensor
    factor: Tensor
    power: Tensor
    coefficients: Tensor


@dataclasses.dataclass(frozen=True)
class OrbitalPairs:
    """Q pairs of orbitals whose overlaps are wanted, and all that does not depend on distances.

    Attributes
    ----------
    zeta : (2, Q)
        Exponents, 1/bohr.
    mean, difference : (Q,)
        Half of their sum and of their difference.
    norms : (Q,)
        Product of the normalisation constants.
    power : (Q,)
        n_a + n_b + 1.
    tables : PairTables
    """

    zeta: Tensor
    mean: Tensor
    difference: Tensor
    norms: Tensor
    power: Tensor
    tables: PairTables

    def rows(self, distance: Tensor) -> tuple[Tensor, ...]:
        """What the overlaps of pairs ``distance`` (Q,) bohr apart are made of, each (Q,): p, x, the
        normalisation, and the kind."""
        norms = self.norms * (0.5 * distance) ** self.power
        return distance * self.mean, distance * self.difference, norms, self.tables.kind


def pair_tables(shell_a: Tensor, shell_b: Tensor, kind: Tensor) -> PairTables:
    """Tables of Q pairs of given shells and kinds (``SS`` ... ``XX``)."""
    key, row = torch.unique((shell_a * 10 + shell_b) * 10 + kind, return_inverse=True)
    names = [(k // 100, k // 10 % 10, k % 10) for k in key.tolist()]
    size = max((n_a + n_b + 1 for n_a, n_b, _ in names), default=1)
    tables = np.zeros((len(names), size, size))
    for table, name in zip(tables, names, strict=True):
        polynomial = _polynomial(*name)
        table[: len(polynomial), : len(polynomial)] = polynomial
    n_a, n_b = (key // 100).to(torch.float64), (key // 10 % 10).to(torch.float64)
    # radial normalisation (2 zeta)^(n + 1/2) / sqrt((2 n)!)
    factorials = torch.lgamma(2 * n_a + 1) + torch.lgamma(2 * n_b + 1)
    return PairTables(
        row,
        torch.stack((n_a, n_b)) + 0.5,
        torch.exp(-0.5 * factorials),
        n_a + n_b + 1.0,
        torch.from_numpy(tables).to(shell_a.device),
    )


def orbital_pairs(zeta: Tensor, tables: PairTables) -> OrbitalPairs:
    """Prepare overlaps of Q pairs of exponents (2, Q), 1/bohr."""
    radial = (2 * zeta) ** tables.exponents[:, tables.kind]
    half = 0.5 * zeta
    return OrbitalPairs(
        zeta,
        half[0] + half[1],
        half[0] - half[1],
        radial[0] * radial[1] * tables.factor[tables.kind],
        tables.power[tables.kind],
        tables,
    )


@dataclasses.dataclass(frozen=True)
class Overlaps:
    """Overlaps (Q,) of orbital pairs, and what their derivatives are made of.

    Attributes
    ----------
    value : (Q,)
        sum c_kl A_k B_l times the normalisation.
    steep_p, steep_x : (Q,)
        The same with A_{k+1} and with B_{l+1}: minus the derivatives with respect to p and x.
    """

    value: Tensor
    steep_p: Tensor
    steep_x: Tensor


def overlaps(distance: Tensor, pairs: OrbitalPairs) -> Overlaps:
    """In the local frames of orbitals ``distance`` (Q,) bohr apart."""
    coefficients = pairs.tables.coefficients
    size = coefficients.shape[-1]

    def values(p: Tensor, x: Tensor, norms: Tensor, kind: Tensor) -> Tensor:
        A, B = a_integrals(p, size), b_integrals(x, size)
        # of A_k and of A_{k+1}
        left = A.unfold(1, size, 1) @ coefficients.index_select(0, kind)
        value, steep_p = (left * B[:, None, :-1]).sum(-1).unbind(1)
        return torch.stack((value, steep_p, (left[:, 0] * B[:, 1:]).sum(-1))) * norms

    return Overlaps(*in_chunks(values, *pairs.rows(distance), axis=1).unbind(0))


def distance_slopes(distance: Tensor, pairs: OrbitalPairs, found: Overlaps) -> Tensor:
    """Derivatives (Q,) of the overlaps per bohr."""
    steep = pairs.mean * found.steep_p + pairs.difference * found.steep_x
    return pairs.power * found.value / distance - steep


def exponent_slopes(distance: Tensor, pairs: OrbitalPairs, found: Overlaps) -> Tensor:
    """Derivatives (2, Q) of the overlaps with respect to the exponents."""
    half = 0.5 * distance
    by_p, by_x = half * found.steep_p, half * found.steep_x
    steep = torch.stack((by_p + by_x, by_p - by_x))
    exponents = pairs.tables.exponents.index_select(1, pairs.tables.kind)
    return found.value * (exponents / pairs.zeta) - steep


def local_overlaps(distance: Tensor, pairs: OrbitalPairs) -> Tensor:
    """Overlaps (Q,) alone, without the next higher integrals that only derivatives need."""
    coefficients = pairs.tables.coefficients
    order = coefficients.shape[-1] - 1

    def values(p: Tensor, x: Tensor, norms: Tensor, kind: Tensor) -> Tensor:
        A, B = a_integrals(p, order), b_integrals(x, order)
        left = (A.unsqueeze(1) @ coefficients.index_select(0, kind)).squeeze(1)
        return norms * (left * B).sum(-1)

    return in_chunks(values, *pairs.rows(distance))
