"""Contacts of pairs from the forces at three places."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from pair_contacts import contact, contacts

sys.path.pop(0)  # names there, such as training, also are names of folders here

LINE = np.array([2.0, -1.0, 2.0]) / 3
LEAST = 3.3
"""Distance of the centres, Angstrom, at which the pair of these tests has its minimum."""


def curve(distances: list[float], bound: bool = True) -> tuple[list[Atoms], list[np.ndarray]]:
    """Two methane molecules, and forces between them that are harmonic about LEAST, or only pull;
    with forces inside the molecules, which do not matter."""
    frames, forces = [], []
    for distance in distances:
        one, other = molecule("CH4"), molecule("CH4")
        other.translate(distance * LINE)
        frames.append(one + other)
        pull = 0.2 * (distance - LEAST) if bound else 0.1
        inside = np.random.default_rng(0).normal(size=(10, 3))
        inside[:5] -= inside[:5].mean(0)
        inside[5:] -= inside[5:].mean(0)
        inside[:5] += pull * LINE / 5
        inside[5:] -= pull * LINE / 5
        forces.append(inside)
    return frames, forces


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_contacts_are_where_the_force_between_the_molecules_vanishes(order):
    frames, forces = curve([[3.1, 3.4, 4.0][k] for k in order])
    assert contacts(frames * 2, forces * 2) == pytest.approx([LEAST, LEAST], abs=1e-3)


def test_curves_that_fall_to_their_end_have_no_contact():
    assert np.isnan(contacts(*curve([3.1, 3.4, 4.0], bound=False))).all()


def test_a_contact_is_a_minimum_not_a_maximum():
    """Of a slope that is a parabola: the energy rises behind 1 and falls behind 2."""
    places = np.array([0.8, 1.5, 2.2])
    slopes = -(places - 1) * (places - 2)
    assert contact(places, slopes) == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(contact(places + 1, -np.abs(slopes) - 0.1))


def test_contacts_a_little_beyond_the_points_are_found():
    assert contact(np.array([1.0, 1.5, 2.0]), np.array([0.2, 0.7, 1.2])) == pytest.approx(0.8)
    assert np.isnan(contact(np.array([1.0, 1.5, 2.0]), np.array([0.5, 1.0, 1.5])))


def test_frames_that_are_no_curve_are_refused():
    frames, forces = curve([3.1, 3.4, 4.0])
    with pytest.raises(ValueError, match="no curve of a pair"):
        contacts([molecule("CH4")] * 3, [np.zeros((5, 3))] * 3)
    with pytest.raises(ValueError, match="no curve of a pair"):
        contacts([*frames[:2], molecule("C2H6") + molecule("O2")], forces)
