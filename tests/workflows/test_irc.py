"""The intrinsic reaction coordinate is steepest descent in mass-weighted coordinates."""

import itertools

import numpy as np
import pytest
from reactions import bent

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.irc import irc
from ase_mlseqm.workflows.many import Many


@pytest.fixture(scope="module")
def sides():
    """Short steps from the transition state of HCN, in which hydrogen moves most."""
    top = bent().vibrations
    many = Many(MLSEQM(method="PM3", tolerance=1e-9))
    settings = {"step": 0.01, "max_steps": 25, "fmax": 1e-3}
    return irc(top.atoms, top.modes[0], top.hessian, many, **settings)


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
