"""Charge separations and additive terms, from the radial functions and explicit charges."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.multipoles import MIN_H_PP, Multipoles, multipole_slopes, multipoles
from ase_mlseqm.nddo.one_center import isolated_atom_energy, one_center
from ase_mlseqm.nddo.parameters import METHODS, elements, supported, table_parameters
from ase_mlseqm.units import HARTREE

CPU = torch.device("cpu")
INPUTS = ("zeta_s", "zeta_p", "g_ss", "g_pp", "g_p2", "h_sp")


def table(method):
    numbers = torch.tensor(sorted(supported(method)))
    return numbers, table_parameters(method, numbers)


def multipoles_of(numbers, parameters) -> Multipoles:
    values = [getattr(parameters, name) for name in INPUTS]
    return multipoles(*values, elements(CPU).shell[numbers], (numbers > 1).nonzero().squeeze(1))


def radial(n, zeta):
    norm = math.sqrt((2 * zeta) ** (2 * n + 1) / math.factorial(2 * n))
    return lambda r: norm * r ** (n - 1) * math.exp(-zeta * r)


def self_interaction(charges, rho):
    """Of a set of charges with a copy of itself, hartree; [(q, (x, y, z)), ...]."""
    total = 0.0
    for (q1, r1), (q2, r2) in itertools.product(charges, charges):
        total += q1 * q2 / math.sqrt(math.dist(r1, r2) ** 2 + (2 * rho) ** 2)
    return total


@pytest.mark.parametrize("method", METHODS)
def test_separations_are_the_moments_of_the_orbitals(method):
    numbers, p = table(method)
    D = multipoles_of(numbers, p).D
    for row, number in enumerate(numbers.tolist()):
        if number == 1:
            assert D[row].tolist() == [0.0, 0.0]
            continue
        n = int(elements(CPU).shell[number])
        s, p_ = radial(n, float(p.zeta_s[row])), radial(n, float(p.zeta_p[row]))
        dipole, _ = quad(lambda r: s(r) * p_(r) * r**3, 0, 60, epsabs=1e-13, limit=200)  # noqa: B023
        square, _ = quad(lambda r: p_(r) ** 2 * r**4, 0, 60, epsabs=1e-13, limit=200)  # noqa: B023
        # <s|z|p_z> = <r> / sqrt(3); half the difference of <z^2> and <x^2> in p_z is <r^2> / 5
        assert float(D[row, 0]) == pytest.approx(dipole / math.sqrt(3), rel=1e-9)
        assert float(D[row, 1]) == pytest.approx(math.sqrt(square / 5), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_separations_in_closed_form(method):
    """Eqs. 12 and 13 of Dewar and Thiel, as MOPAC writes them."""
    numbers, p = table(method)
    D = multipoles_of(numbers, p).D
    for row in (numbers > 1).nonzero().flatten().tolist():
        n = int(elements(CPU).shell[numbers[row]])
        z_s, z_p = float(p.zeta_s[row]), float(p.zeta_p[row])
        D1 = (2 * n + 1) * (4 * z_s * z_p) ** (n + 0.5) / (z_s + z_p) ** (2 * n + 2) / math.sqrt(3)
        D2 = math.sqrt((4 * n**2 + 6 * n + 2) / 20) / z_p
        assert D[row].tolist() == pytest.approx([D1, D2], rel=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_additive_terms_solve_their_equations(method):
    numbers, p = table(method)
    atoms = multipoles_of(numbers, p)
    for row, number in enumerate(numbers.tolist()):
        rho = atoms.rho[row].tolist()
        assert HARTREE / (2 * rho[0]) == pytest.approx(float(p.g_ss[row]), rel=1e-13)
        if number == 1:
            assert rho[1:] == [0.0, 0.0]
            continue
        D1, D2 = atoms.D[row].tolist()
        dipole = [(0.5, (0, 0, D1)), (-0.5, (0, 0, -D1))]
        square = [(0.25 * a * b, (a * D2, b * D2, 0)) for a in (1, -1) for b in (1, -1)]
        h_pp = max(0.1, 0.5 * float(p.g_pp[row] - p.g_p2[row]))
        h_sp = float(p.h_sp[row]) / HARTREE
        assert self_interaction(dipole, rho[1]) == pytest.approx(h_sp, rel=1e-12, abs=1e-14)
        assert self_interaction(square, rho[2]) == pytest.approx(h_pp / HARTREE, rel=1e-12)


@pytest.mark.parametrize("h_sp", [1e-3, 0.05, 0.5, 2.0, 6.0, 12.0])
@pytest.mark.parametrize("h_pp", [0.11, 0.3, 0.9, 2.5])
def test_additive_terms_of_unusual_parameters(h_sp, h_pp):
    numbers, p = torch.tensor([6, 17]), table_parameters("PM3", torch.tensor([6, 17]))
    p = dataclasses.replace(
        p, h_sp=torch.full_like(p.h_sp, h_sp), g_pp=p.g_p2 + 2 * h_pp, zeta_p=2.5 * p.zeta_p
    )
    atoms = multipoles_of(numbers, p)
    for row in range(2):
        D1, D2 = atoms.D[row].tolist()
        dipole = [(0.5, (0, 0, D1)), (-0.5, (0, 0, -D1))]
        square = [(0.25 * a * b, (a * D2, b * D2, 0)) for a in (1, -1) for b in (1, -1)]
        reached = self_interaction(dipole, float(atoms.rho[row, 1])) * HARTREE
        assert reached == pytest.approx(h_sp, rel=1e-12, abs=1e-13)
        reached = self_interaction(square, float(atoms.rho[row, 2])) * HARTREE
        assert reached == pytest.approx(h_pp, rel=1e-12, abs=1e-13)


def test_gradients_of_multipoles():
    """The implicit derivatives against five-point differences of the solved values."""
    numbers, p = table("AM1")
    leaves = {name: getattr(p, name).clone().requires_grad_() for name in INPUTS}
    atoms = multipoles_of(numbers, dataclasses.replace(p, **leaves))
    outputs = torch.cat((atoms.D, atoms.rho), 1)

    def values(name, shift):
        moved = {name: getattr(p, name) + shift}
        found = multipoles_of(numbers, dataclasses.replace(p, **moved))
        return torch.cat((found.D, found.rho), 1)

    h, largest = 1e-3, {}
    for name in INPUTS:
        f = {k: values(name, k * h) for k in (-2, -1, 1, 2)}
        numeric = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        for column in range(5):
            (slope,) = torch.autograd.grad(
                outputs[:, column].sum(), leaves[name], retain_graph=True, allow_unused=True
            )
            slope = torch.zeros(len(numbers)) if slope is None else slope
            np.testing.assert_allclose(slope, numeric[:, column], rtol=1e-7, atol=1e-8)
            largest[name] = max(largest.get(name, 0.0), float(numeric[:, column].abs().max()))
    assert min(largest.values()) > 1e-2


def test_second_pass_gives_the_same_gradient():
    """The graph of the implicit function can be walked twice and does not depend on the pass."""
    numbers = torch.tensor([8])
    p = table_parameters("PM3", numbers)
    zeta = p.zeta_s.clone().requires_grad_()
    rho = multipoles_of(numbers, dataclasses.replace(p, zeta_s=zeta)).rho[0, 1]
    (one,) = torch.autograd.grad(rho, zeta, retain_graph=True)
    (two,) = torch.autograd.grad(rho, zeta)
    assert float(one) == float(two) != 0.0


def test_clamp_of_pm3_chlorine():
    """(g_pp - g_p2) / 2 is 0.009 eV there; it is raised to 0.1 for rho_2 and only for that."""
    numbers = torch.tensor([17])
    p = table_parameters("PM3", numbers)
    h_pp = float(0.5 * (p.g_pp - p.g_p2))
    assert h_pp == pytest.approx(0.0090305, abs=1e-7)
    assert MIN_H_PP == 0.1
    D2, rho2 = float(multipoles_of(numbers, p).D[0, 1]), float(multipoles_of(numbers, p).rho[0, 2])
    square = [(0.25 * a * b, (a * D2, b * D2, 0)) for a in (1, -1) for b in (1, -1)]
    assert self_interaction(square, rho2) * HARTREE == pytest.approx(0.1, rel=1e-12)
    # one-centre terms and the isolated atom keep the published value
    coulomb = one_center(p, build_layout(numbers.view(1, 1))).coulomb
    assert float(coulomb[0, 5, 5]) == pytest.approx(h_pp, rel=1e-12)
    s, q = float(p.U_ss), float(p.U_pp)
    g_ss, g_sp, g_pp, g_p2, h_sp = (
        float(getattr(p, n)) for n in ("g_ss", "g_sp", "g_pp", "g_p2", "h_sp")
    )
    # s^2 p^5: two full p orbitals and one half full
    pairs = 2 * g_pp + 8 * (g_p2 - 0.5 * h_pp)
    expected = 2 * s + 5 * q + g_ss + 10 * g_sp - 5 * h_sp + pairs
    value = float(isolated_atom_energy(p, torch.tensor([7.0], dtype=torch.float64)))
    assert value == pytest.approx(expected, abs=1e-9)
    # and nothing moves with the difference as long as it is below the bound
    moved = dataclasses.replace(p, g_pp=p.g_pp + 0.05)
    assert float(multipoles_of(numbers, moved).rho[0, 2]) == rho2


def test_slopes_on_both_sides_of_the_clamp():
    """Against differences, also of PM3's chlorine, whose difference of integrals is raised."""
    numbers = torch.tensor([17, 8])
    p = table_parameters("PM3", numbers)
    weights = torch.tensor([[0.7, -0.3, 0.0, 1.1, 0.9], [-0.4, 0.8, 0.0, 0.6, -1.2]]).double()

    def total(**moved):
        found = multipoles_of(numbers, dataclasses.replace(p, **moved))
        return (torch.cat((found.D, found.rho), 1) * weights).sum(1)

    atoms, shell = multipoles_of(numbers, p), elements(numbers.device).shell[numbers]
    by_zeta, by_g = multipole_slopes(
        *(p.zeta_s, p.zeta_p, p.g_pp, p.g_p2, shell, torch.arange(2), atoms),
        Multipoles(weights[:, :2], weights[:, 2:]),
    )
    h = 1e-4
    names = ("zeta_s", "zeta_p", "g_pp", "g_p2", "h_sp")
    for name, found in zip(names, torch.cat((by_zeta, by_g), 1).T, strict=True):
        value = getattr(p, name)
        numeric = (total(**{name: value + h}) - total(**{name: value - h})) / (2 * h)
        np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-8, err_msg=name)
    assert by_g[0, :2].tolist() == [0.0, 0.0] and float(by_g[1, 0].abs()) > 0.01


@pytest.mark.parametrize("bad", [0.0, -0.5])
def test_no_rotational_invariance_is_lost_on_one_center(bad):
    """(p p'|p p') is half of g_pp - g_p2, whatever the parameters."""
    p = table_parameters("PM3", torch.tensor([8]))
    p = dataclasses.replace(p, g_pp=p.g_p2 + bad)
    coulomb = one_center(p, build_layout(torch.tensor([[8]]))).coulomb
    assert float(coulomb[0, 5, 5]) == pytest.approx(0.5 * bad, abs=1e-12)
