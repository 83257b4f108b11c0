"""Bonds that break into radicals."""

import numpy as np
import pytest
from helpers import TIGHT, build, moved, run, single

from ase_mlseqm import Engine
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo.parameters import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_stretched_hydrogen_breaks_its_symmetry(method):
    atom = single(Molecule(np.array([1]), np.zeros((1, 3)), 0, 2), method).energy
    previous = None
    for distance in (0.74, 1.2, 2.0, 3.0, 5.0, 10.0, 30.0):
        h2 = Molecule(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, distance]]))
        restricted = Engine(method, scf=TIGHT).run([h2])[0]
        broken = single(h2, method, ("energy", "magmoms"), unrestricted=True)
        if distance <= 10.0:
            assert restricted.converged
        restricted = restricted.energy if restricted.converged else np.inf
        assert broken.energy <= restricted + 1e-9
        assert broken.multiplicity == 1
        assert broken.magmoms.sum() == pytest.approx(0.0, abs=1e-8)
        if distance == 0.74:
            assert broken.energy == pytest.approx(restricted, abs=1e-8)
            assert broken.spin_squared == pytest.approx(0.0, abs=1e-6)
        if distance >= 2.0:
            assert broken.energy < restricted - 0.5
            assert abs(broken.magmoms[0]) > 0.5
            assert broken.spin_squared > 0.5
        previous = broken
    assert previous.energy == pytest.approx(2 * atom, abs=1e-6)
    assert previous.spin_squared == pytest.approx(1.0, abs=1e-6)


PAIRS = [(name, method) for name in ("C2H6", "N2H4", "H2O2", "Cl2") for method in METHODS]
LONG = [("H2O2", "MNDO"), ("H2O2", "AM1"), ("Cl2", "AM1"), ("Cl2", "PM3")]


@pytest.mark.parametrize(
    ("name", "method"),
    [pytest.param(*pair, marks=pytest.mark.slow) if pair in LONG else pair for pair in PAIRS],
)
def test_stretched_single_bonds_break_into_radicals(method, name):
    molecule = build(name, shake=0.0)
    half = len(molecule.numbers) // 2
    heavy = np.flatnonzero(molecule.numbers > 1)
    distance = np.linalg.norm(molecule.positions[:, None] - molecule.positions[heavy], axis=2)
    side = distance.argmin(1) == 0
    assert side.sum() == half
    axis = molecule.positions[heavy[1]] - molecule.positions[heavy[0]]
    axis = axis / np.linalg.norm(axis)
    fragment = Molecule(molecule.numbers[side], molecule.positions[side], 0, 2)
    other = Molecule(molecule.numbers[~side], molecule.positions[~side], 0, 2)
    one, two = run([fragment, other], method)
    apart = molecule.positions + np.where(side[:, None], 0.0, 60.0 * axis)
    stretched = moved(molecule, apart)
    restricted = Engine(method).run([stretched])[0]
    broken = single(stretched, method, ("energy", "magmoms", "forces"), unrestricted=True)
    assert broken.energy == pytest.approx(one.energy + two.energy, abs=1e-5)
    assert abs(broken.magmoms[side].sum()) == pytest.approx(1.0, abs=1e-4)
    assert broken.spin_squared > 0.9
    if restricted.converged:
        assert broken.energy < restricted.energy - 0.5


def test_degenerate_orbitals_break_in_every_orientation():
    """Of C2, whose four pi electrons a mixture of single orbitals does not describe."""
    turns = [np.linalg.qr(np.random.default_rng(k).normal(size=(3, 3)))[0] for k in range(4)]
    along = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.25]])
    places = [along, *(along @ turn for turn in turns)]
    carbon = np.array([6, 6])
    molecules, wanted = [Molecule(carbon, p) for p in places], ("energy", "magmoms")
    found = [single(one, "PM3", wanted, unrestricted=True) for one in molecules]
    assert np.ptp([point.energy for point in found]) < 1e-5
    assert all(point.spin_squared > 1.0 for point in found)
