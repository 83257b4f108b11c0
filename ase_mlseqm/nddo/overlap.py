"""Overlaps of Slater orbitals in prolate spheroidal coordinates.

Mulliken, Rieke, Orloff, Orloff, J. Chem. Phys. 17 (1949) 1248: with p = R (zeta_a + zeta_b) / 2
and x = R (zeta_a - zeta_b) / 2 every overlap is a polynomial in the auxiliary integrals

    A_k(p) = int_1^inf  t^k exp(-p t) dt        B_k(x) = int_-1^1  t^k exp(-x t) dt.

B_k is evaluated by Gauss-Legendre quadrature, which has no cancellation and no switch between
formulas at any x; derivatives are dA_k/dp = -A_{k+1} and dB_k/dx = -B_{k+1}.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numpy.polynomial import polynomial as poly
from torch import Tensor

CUTOFF = 45.0
"""Bohr; all overlaps have fallen below 1e-15 there and are held constant beyond it."""


@functools.cache
def _a_coefficients(order: int, device: torch.device) -> Tensor:
    """(order + 1, order + 1): A_k = exp(-p) sum_i c_ik / p^(i+1), c_ik = k! / (k - i)!."""
    c = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    for k in range(order + 1):
        for i in range(k + 1):
            c[i, k] = math.factorial(k) / math.factorial(k - i)
    return c.to(device)


@functools.cache
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
_SS, _ZS, _SZ, _ZZ, _XX = (
    (0, 0, 0, 0.5),
    (1, 0, 0, math.sqrt(3) / 2),
    (0, 1, 0, math.sqrt(3) / 2),
    (1, 1, 0, 1.5),
    (1, 1, 1, 0.75),
)
KINDS = {"xx": (_SS, _SZ, _ZS, _ZZ, _XX), "xh": (_SS, _ZS), "hh": (_SS,)}


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
def _polynomials(shells: tuple[int, int], kind: str, device: torch.device) -> Tensor:
    """Coefficients (pairs of orbitals, K, K) of A_k B_l, K = n_a + n_b + 1.

    In units of R/2 the radii are mu + nu and mu - nu, the heights above either centre
    1 + mu nu and mu nu - 1, the squared distance from the axis (mu^2 - 1)(1 - nu^2), and the
    volume element mu^2 - nu^2.
    """
    size = sum(shells) + 1
    r_a, r_b = np.array([[0, 1], [1, 0]]), np.array([[0, -1], [1, 0]])
    z_a, z_b = np.array([[1, 0], [0, 1]]), np.array([[-1, 0], [0, 1]])
    axis2 = np.outer(poly.polysub([0, 0, 1], [1]), poly.polysub([1], [0, 0, 1]))
    volume = _multiply(r_a, r_b)
    tables = []
    for l_a, l_b, m, factor in KINDS[kind]:
        c = _multiply(_power(r_a, shells[0] - 1 - l_a), _power(r_b, shells[1] - 1 - l_b))
        c = _multiply(c, volume)
        if m == 1:
            c = _multiply(c, axis2)
        else:
            c = _multiply(_multiply(c, _power(z_a, l_a)), _power(z_b, l_b))
        table = np.zeros((size, size))
        table[: c.shape[0], : c.shape[1]] = factor * c
        tables.append(table)
    return torch.from_numpy(np.stack(tables)).to(device)


def norm(zeta: Tensor, shell: int) -> Tensor:
    """Radial normalisation (2 zeta)^(n + 1/2) / sqrt((2 n)!)."""
    return (2 * zeta) ** (shell + 0.5) / math.sqrt(math.factorial(2 * shell))


def local_overlaps(
    distance: Tensor,
    zeta_a: Tensor,
    zeta_b: Tensor,
    norms: Tensor,
    shells: tuple[int, int],
    kind: str,
    slopes: bool,
) -> Tensor:
    """Overlaps (1, n, P) in the local frame of pairs with the same two shells.

    With ``slopes`` (2, n, P): also their derivatives per bohr.

    Parameters
    ----------
    distance : (P,) bohr
    zeta_a, zeta_b, norms : (n, P)
        Exponents (1/bohr) and product of the norms of the n orbital pairs of ``kind``: for
        ``xx`` (s,s), (s,z), (z,s), (z,z), (x,x); for ``xh`` (s,s), (z,s); for ``hh`` (s,s).
    """
    coefficients = _polynomials(shells, kind, distance.device)
    half = 0.5 * distance
    power = sum(shells) + 1
    n = power if slopes else power - 1  # a derivative needs the next higher integrals
    mean, difference = zeta_a + zeta_b, zeta_a - zeta_b
    A, B = a_integrals(half * mean, n), b_integrals(half * difference, n)
    left = A[..., :power] @ coefficients
    value = (left * B[..., :power]).sum(-1)
    scale = norms * half**power
    if not slopes:
        return (scale * value).unsqueeze(0)
    steep = mean * ((A[..., 1:] @ coefficients) * B[..., :power]).sum(-1)
    steep = steep + difference * (left * B[..., 1:]).sum(-1)
    return torch.stack((scale * value, scale * (power * value / distance - 0.5 * steep)))
