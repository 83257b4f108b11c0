"""Slater overlaps against mpmath and brute-force quadrature of the orbitals themselves."""

import math

import mpmath
import numpy as np
import pytest
import torch

from ase_mlseqm.nddo import overlap
from ase_mlseqm.nddo.parameters import METHODS, elements, supported, table_parameters

ORDER = 10  # the two 5s5p shells of iodine
ARGUMENTS = (0.0, 1e-12, 1e-6, 1e-3, 0.1, 1.0, 5.0, 20.0, 60.0)
SHELLS = ((1, 1), (2, 1), (2, 2), (3, 2), (5, 1), (5, 5))
KINDS = {
    "ss": overlap.SS,
    "sz": overlap.SZ,
    "zs": overlap.ZS,
    "zz": overlap.ZZ,
    "xx": overlap.XX,
}
ORBITALS = {
    "hh": (("s", "s"),),
    "xh": (("s", "s"), ("z", "s")),
    "xx": (("s", "s"), ("s", "z"), ("z", "s"), ("z", "z"), ("x", "x")),
}


def kind_of(shells):
    return {0: "xx", 1: "xh", 2: "hh"}[shells.count(1)]


def b_exact(k, x):
    with mpmath.workdps(60):
        return float(mpmath.quad(lambda t: t**k * mpmath.exp(-mpmath.mpf(x) * t), [-1, 0, 1]))


def a_exact(k, p):
    # upper incomplete gamma function: int_1^inf t^k exp(-p t) dt = Gamma(k + 1, p) / p^(k + 1)
    with mpmath.workdps(60):
        return float(mpmath.gammainc(k + 1, p) / mpmath.mpf(p) ** (k + 1))


def slater(n, zeta, orbital, r, cos, sin):
    """Value of a Slater orbital; x is taken at azimuth 0, the rest of it is in the caller."""
    radial = math.sqrt((2 * zeta) ** (2 * n + 1) / math.factorial(2 * n)) * r ** (n - 1)
    radial = radial * np.exp(-zeta * r)
    angular = {"s": 0.5 / math.sqrt(math.pi), "p": 0.5 * math.sqrt(3 / math.pi)}
    if orbital == "s":
        return angular["s"] * radial
    return angular["p"] * radial * (cos if orbital == "z" else sin)


def brute_force(distance, zeta_a, zeta_b, shells, orbitals):
    """Overlap by Gauss-Laguerre x Gauss-Legendre quadrature around the two nuclei."""
    t, w_t = np.polynomial.laguerre.laggauss(40)
    nu, w_nu = np.polynomial.legendre.leggauss(96)
    p = 0.5 * distance * (zeta_a + zeta_b)
    mu = (1 + t / p)[:, None]
    weight = (w_t * np.exp(t) / p)[:, None] * w_nu
    r_a, r_b = 0.5 * distance * (mu + nu), 0.5 * distance * (mu - nu)
    height = 0.5 * distance * (1 + mu * nu)
    axis = 0.5 * distance * np.sqrt((mu**2 - 1) * (1 - nu**2))
    f_a = slater(shells[0], zeta_a, orbitals[0], r_a, height / r_a, axis / r_a)
    f_b = slater(shells[1], zeta_b, orbitals[1], r_b, (height - distance) / r_b, axis / r_b)
    azimuth = math.pi if orbitals[0] == "x" else 2 * math.pi
    volume = (0.5 * distance) ** 3 * (mu**2 - nu**2)
    return azimuth * float((weight * volume * f_a * f_b).sum())


def with_slopes(distance, pairs):
    """(2, n): overlaps and their derivatives with respect to the distance."""
    found = overlap.overlaps(distance, pairs)
    return torch.stack((found.value, overlap.distance_slopes(distance, pairs, found)))


def package(distance, zeta_a, zeta_b, shells, slopes=False):
    """(n,) overlaps for scalar tensors; every orbital has the same exponent on its atom.

    With ``slopes`` (2, n): also their derivatives with respect to the distance.
    """
    kinds = torch.tensor([KINDS["".join(pair)] for pair in ORBITALS[kind_of(shells)]])
    n = len(kinds)
    pairs = overlap.orbital_pairs(
        torch.stack((zeta_a.expand(n), zeta_b.expand(n))),
        overlap.pair_tables(torch.full((n,), shells[0]), torch.full((n,), shells[1]), kinds),
    )
    if not slopes:
        return overlap.local_overlaps(distance.expand(n), pairs)
    return with_slopes(distance.expand(n), pairs)


def reference(distance, zeta_a, zeta_b, shells):
    pairs = ORBITALS[kind_of(shells)]
    return np.array([brute_force(distance, zeta_a, zeta_b, shells, pair) for pair in pairs])


def five_point(f, x, h):
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


def scalar(value):
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("x", ARGUMENTS)
def test_b_integrals(x, sign):
    values = overlap.b_integrals(torch.tensor([sign * x], dtype=torch.float64), ORDER)[0]
    exact = [b_exact(k, sign * x) for k in range(ORDER + 1)]
    assert values.dtype == torch.float64
    np.testing.assert_allclose(values, exact, rtol=0, atol=1e-12 * math.exp(x))


def test_b_integrals_of_mixed_arguments():
    """The number of quadrature points follows the largest argument of a batch."""
    x = torch.tensor([[s * x for x in ARGUMENTS] for s in (1, -1)], dtype=torch.float64)
    values = overlap.b_integrals(x, ORDER)
    for row, column in np.ndindex(x.shape):
        here = float(x[row, column])
        exact = [b_exact(k, here) for k in range(ORDER + 1)]
        bound = 1e-12 * math.exp(abs(here))
        np.testing.assert_allclose(values[row, column], exact, rtol=0, atol=bound)


@pytest.mark.parametrize("x", [5.9, 5.999999, 6.0, 6.000001, 7.9, 8.0, 8.1, 24.0, 40.0, 120.0])
def test_b_integrals_where_the_number_of_points_changes(x):
    values = overlap.b_integrals(torch.tensor([x], dtype=torch.float64), ORDER)[0]
    exact = [b_exact(k, x) for k in range(ORDER + 1)]
    np.testing.assert_allclose(values, exact, rtol=0, atol=1e-12 * math.exp(x))


@pytest.mark.parametrize("p", [1e-2, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 120.0])
def test_a_integrals(p):
    values = overlap.a_integrals(torch.tensor([p], dtype=torch.float64), ORDER)[0]
    np.testing.assert_allclose(values, [a_exact(k, p) for k in range(ORDER + 1)], rtol=1e-12)


@pytest.mark.parametrize("x", ARGUMENTS)
def test_derivatives_of_b(x):
    argument = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    values = overlap.b_integrals(argument, ORDER)[0]
    for k in range(ORDER + 1):
        (slope,) = torch.autograd.grad(values[k], argument, retain_graph=True)
        assert float(slope) == pytest.approx(-b_exact(k + 1, x), rel=0, abs=1e-12 * math.exp(x))


@pytest.mark.parametrize("p", [0.1, 1.0, 5.0, 20.0, 60.0])
def test_derivatives_of_a(p):
    argument = torch.tensor([p], dtype=torch.float64, requires_grad=True)
    values = overlap.a_integrals(argument, ORDER)[0]
    for k in range(ORDER + 1):
        (slope,) = torch.autograd.grad(values[k], argument, retain_graph=True)
        assert float(slope) == pytest.approx(-a_exact(k + 1, p), rel=1e-12, abs=0)


def test_two_hydrogen_orbitals_in_closed_form():
    for distance in (0.2, 1.4, 5.0, 30.0):
        p = 1.3 * distance
        exact = math.exp(-p) * (1 + p + p**2 / 3)
        value = package(scalar(distance), scalar(1.3), scalar(1.3), (1, 1))
        assert float(value[0]) == pytest.approx(exact, rel=1e-12, abs=0)


@pytest.mark.parametrize("shells", SHELLS)
@pytest.mark.parametrize("distance", [0.4, 1.5, 2.8, 6.0, 15.0])
@pytest.mark.parametrize(
    ("zeta_a", "zeta_b"), [(1.8, 1.8), (1.3, 2.4), (2.4, 1.3), (7.0, 1.2), (0.9, 3.8)]
)
def test_overlaps(shells, distance, zeta_a, zeta_b):
    values = package(scalar(distance), scalar(zeta_a), scalar(zeta_b), shells)
    exact = reference(distance, zeta_a, zeta_b, shells)
    np.testing.assert_allclose(values, exact, rtol=0, atol=1e-12)
    if distance <= 6.0:  # small ones are right, too
        np.testing.assert_allclose(values, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("shells", SHELLS)
@pytest.mark.parametrize("difference", [0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3])
def test_nearly_equal_exponents(shells, difference):
    for distance in (1.0, 2.6, 9.0):
        for sign in (1, -1):
            zeta_b = 1.7 + sign * difference
            values = package(scalar(distance), scalar(1.7), scalar(zeta_b), shells)
            exact = reference(distance, 1.7, zeta_b, shells)
            np.testing.assert_allclose(values, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shells", SHELLS)
@pytest.mark.parametrize(
    ("zeta_a", "zeta_b"),
    [(1.7, 1.7), (1.7, 1.7 + 1e-12), (1.7, 1.7 - 1e-6), (1.1, 2.9), (3.8, 1.2)],
)
def test_derivatives_of_overlaps(shells, zeta_a, zeta_b):
    """Against differences of the quadrature, not of the package."""
    for distance in (1.3, 3.1):
        arguments = [scalar(v).requires_grad_() for v in (distance, zeta_a, zeta_b)]
        values, along = package(*arguments, shells, slopes=True)
        for column, pair in enumerate(ORBITALS[kind_of(shells)]):
            slopes = torch.autograd.grad(values[column], arguments, retain_graph=True)
            point = [distance, zeta_a, zeta_b]
            for which, slope in enumerate(slopes):

                def f(x, which=which, pair=pair, point=point):
                    moved = point.copy()
                    moved[which] = x
                    return brute_force(*moved, shells, pair)

                numeric = five_point(f, point[which], 2e-3)
                assert float(slope) == pytest.approx(numeric, rel=0, abs=1e-9)
                if which == 0:
                    assert along[column].item() == pytest.approx(numeric, rel=0, abs=1e-9)


def test_all_shells_in_one_call():
    """Orbital pairs of any shells and kinds side by side, in any order."""
    rng = np.random.default_rng(0)
    shells = [(a, b) for a in (1, 2, 3, 4, 5) for b in (1, 2, 3, 4, 5) if a >= b]
    wanted = [(pair, orbitals) for pair in shells for orbitals in ORBITALS[kind_of(pair)]]
    wanted = [wanted[k] for k in rng.permutation(len(wanted))]
    n = len(wanted)
    distance, zeta_a, zeta_b = rng.uniform([[1.0], [1.0], [1.0]], [[5.0], [4.0], [4.0]], (3, n))
    pairs = overlap.orbital_pairs(
        torch.from_numpy(np.stack((zeta_a, zeta_b))),
        overlap.pair_tables(
            torch.tensor([pair[0] for pair, _ in wanted]),
            torch.tensor([pair[1] for pair, _ in wanted]),
            torch.tensor([KINDS["".join(orbitals)] for _, orbitals in wanted]),
        ),
    )
    found = with_slopes(torch.from_numpy(distance), pairs)
    for k, (pair, orbitals) in enumerate(wanted):
        exact = brute_force(distance[k], zeta_a[k], zeta_b[k], pair, orbitals)
        assert found[0, k].item() == pytest.approx(exact, rel=0, abs=1e-12)

        def f(r, k=k, pair=pair, orbitals=orbitals):
            return brute_force(r, zeta_a[k], zeta_b[k], pair, orbitals)

        numeric = five_point(f, distance[k], 2e-3)
        assert found[1, k].item() == pytest.approx(numeric, rel=0, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_at_the_cutoff(method):
    """Overlaps are frozen beyond the cutoff: what is frozen must not be worth a force."""
    numbers = torch.tensor(sorted(supported(method)))
    p, shell = table_parameters(method, numbers), elements(numbers.device).shell[numbers]
    for a in range(len(numbers)):
        for b in range(a + 1):
            one, two = (a, b) if shell[a] >= shell[b] else (b, a)
            shells = (int(shell[one]), int(shell[two]))
            for zeta_a in (p.zeta_s[one], p.zeta_p[one]):
                for zeta_b in (p.zeta_s[two], p.zeta_p[two]):
                    if zeta_a > 0 and zeta_b > 0:
                        left = package(scalar(overlap.CUTOFF), zeta_a, zeta_b, shells)
                        assert float(left.abs().max()) < 1e-13
