"""Two-centre integrals against point charges placed in space, and their limits."""

import itertools
import math

import numpy as np
import pytest
import torch

from ase_mlseqm.nddo.multipoles import Multipoles
from ase_mlseqm.nddo.two_center import local_integrals, term_table, terms
from ase_mlseqm.units import HARTREE

PAIRS = list(itertools.combinations_with_replacement("sxyz", 2))
AXIS = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}


def distribution(pair, D1, D2):
    """Charges [(q, position, l)] of an orbital product (Dewar and Thiel, table 1)."""
    zero = np.zeros(3)
    if pair == ("s", "s"):
        return [(1.0, zero, 0)]
    if pair[0] == "s":
        arm = D1 * AXIS[pair[1]]
        return [(0.5, arm, 1), (-0.5, -arm, 1)]
    if pair[0] == pair[1]:
        arm = 2 * D2 * AXIS[pair[0]]
        return [(1.0, zero, 0), (0.25, arm, 2), (0.25, -arm, 2), (-0.5, zero, 2)]
    u, v = D2 * AXIS[pair[0]], D2 * AXIS[pair[1]]
    return [(0.25 * a * b, a * u + b * v, 2) for a in (1, -1) for b in (1, -1)]


def interaction(first, second, separation, rho_a, rho_b):
    total = 0.0
    for q1, r1, l1 in first:
        for q2, r2, l2 in second:
            gap = r2 + separation - r1
            total += q1 * q2 / math.sqrt(gap @ gap + (rho_a[l1] + rho_b[l2]) ** 2)
    return total * HARTREE


def explicit(distance, atoms):
    """(10, 10) integrals of atom 0 at the origin and atom 1 on the z axis."""
    separation = distance * AXIS["z"]
    (D_a, D_b), (rho_a, rho_b) = atoms.D.tolist(), atoms.rho.tolist()
    sets_a = {pair: distribution(pair, *D_a) for pair in PAIRS}
    sets_b = {pair: distribution(pair, *D_b) for pair in PAIRS}

    def value(one, two):
        return interaction(sets_a[tuple(one)], sets_b[tuple(two)], separation, rho_a, rho_b)

    out = np.zeros((10, 10))
    for row, one in enumerate(PAIRS):
        for column, two in enumerate(PAIRS):
            if one == two == ("x", "y"):
                out[row, column] = 0.5 * (value("xx", "xx") - value("xx", "yy"))
            else:
                out[row, column] = value(one, two)
    return out


def random_atoms(seed):
    rng = np.random.default_rng(seed)
    D, rho = rng.uniform(0.2, 1.5, (2, 2)), rng.uniform(0.3, 2.0, (2, 3))
    return Multipoles(torch.from_numpy(D), torch.from_numpy(rho))


def both(atoms):
    """D and rho of the first and of the second of two atoms, (1, 10)."""
    return torch.cat((atoms.D, atoms.rho), 1).view(1, 10)


def package(distance, atoms, n1=10, n2=10):
    pairs = terms(both(atoms), term_table(n1, n2, torch.device("cpu")))
    r = torch.tensor([distance], dtype=torch.float64)
    return local_integrals(r, pairs, slopes=False).view(n1, n2).numpy()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("distance", [0.3, 1.0, 2.1, 4.5, 12.0, 80.0])
def test_against_charges_in_space(seed, distance):
    atoms = random_atoms(seed)
    expected = explicit(distance, atoms)
    np.testing.assert_allclose(package(distance, atoms), expected, rtol=0, atol=1e-12 * HARTREE)
    np.testing.assert_allclose(
        package(distance, atoms, 10, 1)[:, 0], expected[:, 0], rtol=0, atol=1e-12 * HARTREE
    )
    np.testing.assert_allclose(
        package(distance, atoms, 1, 1)[0, 0], expected[0, 0], rtol=0, atol=1e-12 * HARTREE
    )


def test_which_integrals_vanish():
    """By symmetry about the bond 22 distinct ones are left (Dewar and Thiel, table 2)."""
    values = package(2.0, random_atoms(7))
    parity = [(pair.count("x") % 2, pair.count("y") % 2) for pair in PAIRS]
    for row, column in itertools.product(range(10), range(10)):
        allowed = parity[row] == parity[column]
        assert (abs(values[row, column]) > 1e-12) == allowed
    assert len({round(abs(v), 10) for v in values.flatten() if abs(v) > 1e-12}) == 22


def test_exchanging_the_atoms():
    """Seen from the other atom the bond runs along -z: odd powers of z change sign."""
    atoms = random_atoms(3)
    swapped = Multipoles(atoms.D.flip(0), atoms.rho.flip(0))
    sign = np.array([(-1) ** pair.count("z") for pair in PAIRS])
    here, there = package(2.7, atoms), package(2.7, swapped)
    np.testing.assert_allclose(here, (there * sign[:, None] * sign).T, rtol=0, atol=1e-12)


def test_multipole_laws_far_apart():
    atoms = random_atoms(1)
    (D1_a, D2_a), (D1_b, D2_b) = atoms.D.tolist()
    R = 1e4
    w = dict(
        zip(
            itertools.product(map("".join, PAIRS), repeat=2),
            package(R, atoms).flatten() / HARTREE,
            strict=True,
        )
    )
    assert w["ss", "ss"] == pytest.approx(1 / R, rel=1e-6)
    assert w["ss", "sz"] == pytest.approx(-D1_b / R**2, rel=1e-6)
    assert w["sz", "ss"] == pytest.approx(D1_a / R**2, rel=1e-6)
    # terms of 1e-12 are differences of 1e-4: a dozen digits are gone before they start
    R = 300.0
    w = dict(
        zip(
            itertools.product(map("".join, PAIRS), repeat=2),
            package(R, atoms).flatten() / HARTREE,
            strict=True,
        )
    )
    assert w["sz", "sz"] == pytest.approx(-2 * D1_a * D1_b / R**3, rel=1e-3)
    assert w["sx", "sx"] == pytest.approx(D1_a * D1_b / R**3, rel=1e-3)
    assert w["sx", "sx"] == pytest.approx(w["sy", "sy"], rel=1e-12)
    # the potential of a linear quadrupole: 2 D2^2 / R^3 along it, minus half of that beside it
    assert w["zz", "ss"] - w["ss", "ss"] == pytest.approx(2 * D2_a**2 / R**3, rel=1e-3)
    assert w["xx", "ss"] - w["ss", "ss"] == pytest.approx(-(D2_a**2) / R**3, rel=1e-3)
    assert w["ss", "zz"] - w["ss", "ss"] == pytest.approx(2 * D2_b**2 / R**3, rel=1e-3)


def test_limits_of_coinciding_atoms():
    """Of two equal atoms at R = 0 the one-centre integrals are left."""
    atoms = random_atoms(5)
    atoms = Multipoles(atoms.D[:1].expand(2, 2), atoms.rho[:1].expand(2, 3))
    w = package(0.0, atoms)
    (D1, D2), rho = atoms.D[0].tolist(), atoms.rho[0].tolist()
    g_ss = HARTREE / (2 * rho[0])
    h_sp = HARTREE * (1 / (4 * rho[1]) - 1 / (4 * math.hypot(D1, rho[1])))
    # the linear quadrupole with itself, charges at 0 and +-2 D2
    own = 3 / 8 / (2 * rho[2]) + 1 / 8 / math.hypot(4 * D2, 2 * rho[2])
    own -= 1 / 2 / math.hypot(2 * D2, 2 * rho[2])
    monopole = 1 / (2 * rho[0])
    mixed = 0.5 / math.hypot(2 * D2, rho[0] + rho[2]) - 0.5 / (rho[0] + rho[2])
    assert w[0, 0] == pytest.approx(g_ss, rel=1e-12)
    assert np.diag(w)[1:4] == pytest.approx([h_sp] * 3, rel=1e-12)
    assert w[9, 9] == pytest.approx(HARTREE * (own + monopole + 2 * mixed), rel=1e-12)
    assert np.diag(w)[[4, 7]] == pytest.approx([w[9, 9]] * 2, rel=1e-12)


@pytest.mark.parametrize("azimuth", [0.1, 0.7, math.pi / 4, 2.0])
def test_no_integral_depends_on_the_azimuth(azimuth):
    atoms = random_atoms(2)
    packed = package(1.9, atoms)
    place = {pair: k for k, pair in enumerate(PAIRS)}
    full = np.zeros((4, 4, 4, 4))
    for a, b, c, d in itertools.product(range(4), repeat=4):
        one, two = ("sxyz"[min(a, b)], "sxyz"[max(a, b)]), ("sxyz"[min(c, d)], "sxyz"[max(c, d)])
        full[a, b, c, d] = packed[place[one], place[two]]
    turn = np.eye(4)
    turn[1:3, 1:3] = [
        [math.cos(azimuth), -math.sin(azimuth)],
        [math.sin(azimuth), math.cos(azimuth)],
    ]
    turned = np.einsum("abcd,ap,bq,cr,ds->pqrs", full, turn, turn, turn, turn)
    np.testing.assert_allclose(turned, full, rtol=0, atol=1e-12)
    xy = place["x", "y"]
    half = 0.5 * (
        packed[place["x", "x"], place["x", "x"]] - packed[place["x", "x"], place["y", "y"]]
    )
    assert packed[xy, xy] == pytest.approx(half, rel=1e-12)


def test_derivative_with_respect_to_the_distance():
    """Both the slope that the forces use and the graph."""
    atoms = random_atoms(6)
    pairs = terms(both(atoms), term_table(10, 10, torch.device("cpu")))
    for distance in (0.5, 2.2, 7.0):
        r = torch.tensor([distance], dtype=torch.float64, requires_grad=True)
        values, slopes = local_integrals(r, pairs, slopes=True)[:, 0]
        np.testing.assert_allclose(
            values.detach().reshape(10, 10), explicit(distance, atoms), rtol=0, atol=1e-11
        )
        numeric = 0.0
        for k, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            numeric = numeric + weight * explicit(distance + k * 2e-3, atoms).flatten() / 24e-3
        np.testing.assert_allclose(slopes.detach(), numeric, rtol=0, atol=1e-8)
        for column in range(100):
            (slope,) = torch.autograd.grad(values[column], r, retain_graph=True)
            assert float(slope) == pytest.approx(numeric[column], rel=0, abs=1e-8)
