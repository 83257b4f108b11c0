"""The intrinsic reaction coordinate is steepest descent in mass-weighted coordinates."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from reactions import bent

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.irc import bofill, irc, quadratic_step
from ase_mlseqm.workflows.many import Many


@pytest.fixture(scope="module")
def sides():
    """Short steps from the transition state of HCN, in which hydrogen moves most."""
    top = bent().vibrations
    many = Many(MLSEQM(method="PM3", tolerance=1e-9))
    settings = {"step": 0.01, "max_steps": 25, "fmax": 1e-3}
    return irc(top.atoms, top.modes[0], top.hessian, many, **settings)


@pytest.mark.parametrize(("side", "sign"), [(0, 1.0), (1, -1.0)])
def test_the_first_step_is_along_the_mode(sides, side, sign):
    """In Cartesian coordinates, with the weighted length; the sides are opposite."""
    top = bent().vibrations
    weighted = np.sqrt(top.atoms.get_masses())[:, None] * top.modes[0]
    expected = sign * 0.01 * top.modes[0] / np.linalg.norm(weighted)
    moved = sides[side][0].positions - top.atoms.positions
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-12)


def cosines(path, power):
    """Of every step and the forces at both of its ends, each weighted with the mass to a power."""
    root = np.sqrt(path[0].get_masses())[:, None]
    out = []
    for a, b in itertools.pairwise(path):
        step = (root**power * (b.positions - a.positions)).ravel()
        forces = ((a.get_forces() + b.get_forces()) / root**power).ravel()
        out.append(step @ forces / np.linalg.norm(step) / np.linalg.norm(forces))
    return np.array(out)


@pytest.mark.parametrize("side", [0, 1])
def test_steps_follow_the_weighted_forces(sides, side):
    path = sides[side]
    assert len(path) == 25
    weighted, plain = cosines(path, 1), cosines(path, 0)
    assert weighted[2:].min() > 0.9999  # forces next to the top are too small
    assert plain.max() < 0.99  # what an unweighted descent would follow


@pytest.mark.parametrize("side", [0, 1])
def test_steps_have_the_weighted_length(sides, side):
    path = sides[side]
    root = np.sqrt(path[0].get_masses())[:, None]
    lengths = [
        np.linalg.norm(root * (b.positions - a.positions)) for a, b in itertools.pairwise(path)
    ]
    np.testing.assert_allclose(lengths, 0.01, rtol=1e-6)


def test_a_flat_top_is_not_an_end():
    """Forces below fmax that still grow: the minimum is further down."""
    top = bent().vibrations
    many = Many(MLSEQM(method="PM3", tolerance=1e-9))
    settings = {"step": 0.01, "max_steps": 8, "fmax": 1.0}
    for path in irc(top.atoms, top.modes[0], top.hessian, many, **settings):
        largest = [np.linalg.norm(atoms.get_forces(), axis=1).max() for atoms in path]
        assert max(largest) < settings["fmax"] and (np.diff(largest) > 0).all()
        assert len(path) == settings["max_steps"]


CURVATURES = np.array([-2.0, 3.0, 5.0])


class Saddle(Calculator):
    """A quadratic surface, eV/Angstrom^2, on which steepest descent has a closed form."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms, properties, changes):
        positions = atoms.positions
        energy = 0.5 * float((CURVATURES * positions**2).sum())
        self.results = {"energy": energy, "forces": -CURVATURES * positions}


def test_steepest_descent_on_a_quadratic_surface():
    """x = x0 exp(2 t), y = y0 exp(-3 t): from a start aside of the mode y x^(3/2) is kept."""
    top = Atoms("He", masses=[4.0])
    settings = {"step": 0.05, "max_steps": 20, "fmax": 1e-4}
    mode = np.array([[1.0, 0.3, 0.0]])
    both = irc(top, mode, np.diag(CURVATURES), Many(Saddle()), **settings)
    for path, sign in zip(both, (1.0, -1.0), strict=True):
        x, y, z = np.array([sign * atoms.positions[0] for atoms in path]).T
        assert len(path) == 20 and (np.diff(x) > 0).all() and (np.diff(y) < 0).all()
        np.testing.assert_allclose(y * x**1.5, y[0] * x[0] ** 1.5, rtol=1e-6)
        np.testing.assert_allclose(z, 0.0, atol=1e-12)


def test_steps_end_in_a_minimum_that_is_nearer():
    hessian, gradient = np.diag([2.0, 3.0]), np.array([0.2, 0.3])
    np.testing.assert_allclose(quadratic_step(gradient, hessian, 1.0), [-0.1, -0.1], atol=1e-6)
    short = quadratic_step(gradient, hessian, 0.05)
    assert np.linalg.norm(short) == pytest.approx(0.05)
    left = 1.0 + short / 0.1  # of the way to the minimum, exp(-2 t) and exp(-3 t)
    assert left[0] ** 3 == pytest.approx(left[1] ** 2)


def test_updated_hessians_give_the_change_of_the_gradient():
    """Whatever the mixture of both updates; nothing changes where the Hessian was right."""
    random = np.random.default_rng(0)
    for _ in range(5):
        hessian, moved, change = (random.normal(size=shape) for shape in ((4, 4), 4, 4))
        hessian = hessian + hessian.T
        update = bofill(hessian, moved, change)
        np.testing.assert_allclose((hessian + update) @ moved, change, atol=1e-10)
        np.testing.assert_allclose(update, update.T, atol=1e-12)
        np.testing.assert_array_equal(bofill(hessian, moved, hessian @ moved), 0.0)


def test_share_of_the_updates():
    """Powell's alone where the error is at right angles to the step, half of both at 45 degrees."""
    zero, x, y = np.zeros((2, 2)), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    crossed = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(bofill(zero, x, y), crossed, atol=1e-15)
    powell = np.array([[1.0, 1.0], [1.0, 0.0]])
    both = 0.5 * np.ones((2, 2)) + 0.5 * powell
    np.testing.assert_allclose(bofill(zero, x, x + y), both, atol=1e-15)
