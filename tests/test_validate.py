"""Every input that cannot be computed is refused by one sentence that names the culprit."""

import dataclasses
import re

import numpy as np
import pytest
from helpers import build

from ase_mlseqm import Engine, InputError, Status
from ase_mlseqm.batch import Molecule
from ase_mlseqm.model import PlainModel
from ase_mlseqm.models import find_model
from ase_mlseqm.validate import MIN_DISTANCE, check, closest_pair, electron_counts

WATER = build("H2O", shake=0.0)


def at(numbers, positions, charge=0, multiplicity=None):
    return Molecule(
        np.array(numbers, dtype=int), np.array(positions, dtype=float), charge, multiplicity
    )


def spread(*numbers):
    """Atoms 3 Angstrom apart."""
    return at(numbers, [[3.0 * k, 0, 0] for k in range(len(numbers))])


def with_position(value, atom=1):
    positions = WATER.positions.copy()
    positions[atom, 2] = value
    return dataclasses.replace(WATER, positions=positions)


REFUSED = {
    "empty": (at([], np.zeros((0, 3))), "PM3", "there are no atoms to compute"),
    "shape": (at([1, 1], np.zeros((3, 3))), "PM3", "positions have shape (3, 3), not (2, 3)"),
    "nan": (with_position(np.nan), "PM3", "the position of atom 1 is not a finite number"),
    "inf": (with_position(np.inf, 2), "AM1", "the position of atom 2 is not a finite number"),
    "coinciding": (
        at([6, 8, 1], [[0, 0, 0], [1.2, 0, 0], [1.2, 0, 0]]),
        "PM3",
        "atoms 1 (O) and 2 (H) are 0.000 Angstrom apart",
    ),
    "close": (
        at([6, 8], [[0, 0, 0], [0, 0, 0.05]]),
        "PM3",
        "atoms 0 (C) and 1 (O) are 0.050 Angstrom apart",
    ),
    "iron": (spread(26, 8), "PM3", "PM3 has no parameters for Fe"),
    "two elements": (spread(2, 92), "AM1", "AM1 has no parameters for He, U"),
    "dummy": (spread(0, 1), "PM3", "PM3 has no parameters for X"),
    "negative number": (spread(-1, 1), "PM3", "PM3 has no parameters for Z=-1"),
    "half an atom": (
        dataclasses.replace(WATER, numbers=[8.5, 1.0, 1.0]),
        "PM3",
        "numbers are [8.5, 1.0, 1.0]: give whole atomic numbers",
    ),
    "column": (
        dataclasses.replace(WATER, numbers=[[8], [1], [1]]),
        "PM3",
        "numbers have shape (3, 1): give one for each atom",
    ),
    "symbols": (dataclasses.replace(WATER, numbers=list("OHH")), "PM3", "numbers are <U1 values"),
    "complex": (
        dataclasses.replace(WATER, positions=WATER.positions + 0j),
        "PM3",
        "positions are complex128 values: give an array of real numbers",
    ),
    "half a charge": (
        dataclasses.replace(WATER, charge=0.5),
        "PM3",
        "charge is 0.5: give a whole number",
    ),
    "word": (dataclasses.replace(WATER, charge="one"), "PM3", "charge is 'one': give a whole"),
    "half a spin": (
        dataclasses.replace(WATER, multiplicity=1.5),
        "PM3",
        "multiplicity is 1.5: give a whole number",
    ),
    "boron": (spread(5, 1), "PM3", "PM3 has no parameters for B"),
    "boron elsewhere": (spread(5, 1), "AM1", "method='MNDO' has them all"),
    "no electrons": (
        dataclasses.replace(spread(1, 1), charge=2),
        "PM3",
        "charge +2 leaves no valence electrons: the neutral atoms have 2",
    ),
    "less than none": (
        dataclasses.replace(WATER, charge=9),
        "PM3",
        "charge +9 leaves no valence electrons: the neutral atoms have 8",
    ),
    "too many electrons": (
        dataclasses.replace(spread(1, 1), charge=-3),
        "PM3",
        "charge -3 means 5 valence electrons, but the 2 orbitals hold at most 4",
    ),
    "odd singlet": (
        dataclasses.replace(WATER, charge=1, multiplicity=1),
        "PM3",
        "multiplicity 1 is impossible with 7 valence electrons (charge +1): give 2 or 4",
    ),
    "even doublet": (
        dataclasses.replace(WATER, multiplicity=2),
        "PM3",
        "multiplicity 2 is impossible with 8 valence electrons (charge +0): give 1 or 3",
    ),
    "one electron": (
        dataclasses.replace(spread(1, 1), charge=1, multiplicity=1),
        "PM3",
        "multiplicity 1 is impossible with 1 valence electrons (charge +1): give 2, or another",
    ),
    "full shell": (
        dataclasses.replace(spread(9), charge=-1, multiplicity=2),
        "PM3",
        "multiplicity 2 is impossible with 8 valence electrons (charge -1): give 1, or another",
    ),
    "zero": (dataclasses.replace(WATER, multiplicity=0), "PM3", "multiplicity 0 does not exist"),
    "negative": (dataclasses.replace(WATER, multiplicity=-1), "PM3", "multiplicity -1 does not"),
    "too high": (
        dataclasses.replace(spread(1, 1), multiplicity=5),
        "PM3",
        "multiplicity 5 needs 4 unpaired electrons, more than 2 valence electrons in 2 orbitals",
    ),
    "too high for the orbitals": (
        dataclasses.replace(WATER, multiplicity=7),
        "PM3",
        "multiplicity 7 needs 6 unpaired electrons, more than 8 valence electrons in 6 orbitals",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    molecule, method, words = REFUSED[name]
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        check(molecule, PlainModel(method))
    text = str(caught.value)
    assert "\n" not in text
    # the engine refuses it as well, with the same sentence
    with pytest.raises(InputError, match=re.escape(words)):
        Engine(method).run([molecule])


def test_positions_that_are_whole_numbers():
    """Lists and arrays of integers are positions, too, and numbers may be floats that are whole."""
    engine, places = Engine("PM3"), [[0, 0, 0], [0, 0, 1]]
    (expected,) = engine.run([at([1, 1], places)])
    for numbers in ([1, 1], [1.0, 1.0], np.array([1, 1], dtype=np.uint8)):
        for positions in (places, np.array(places)):
            (found,) = engine.run([Molecule(numbers, positions, 0.0, 1.0)])
            assert found.energy == expected.energy
            assert (type(found.charge), type(found.multiplicity)) == (int, int)


def test_a_restricted_radical_is_refused():
    radical = dataclasses.replace(WATER, charge=1)
    for molecule in (radical, dataclasses.replace(WATER, multiplicity=3)):
        with pytest.raises(InputError, match="needs an unrestricted calculation"):
            check(molecule, PlainModel("PM3"), unrestricted=False)
    assert check(radical, PlainModel("PM3")).multiplicity == 2


@pytest.mark.parametrize(
    ("charge", "multiplicity", "expected"),
    [(0, None, 1), (1, None, 2), (-1, None, 2), (2, None, 1), (0, 3, 3), (0, 5, 5), (7, None, 2)],
)
def test_the_multiplicity_is_filled_in(charge, multiplicity, expected):
    molecule = dataclasses.replace(WATER, charge=charge, multiplicity=multiplicity)
    assert check(molecule, PlainModel("PM3")).multiplicity == expected


def test_electron_counts():
    assert electron_counts(np.array([8, 1, 1])) == (8, 6)
    assert electron_counts(np.array([13, 53, 17, 5])) == (20, 16)


@pytest.mark.parametrize("n", [2, 10, 63, 64, 200])
def test_closest_pair(n):
    """The shortcut for large molecules finds what the direct search finds."""
    rng = np.random.default_rng(n)
    grid = 2.0 * np.array(np.unravel_index(np.arange(n), (6, 6, 6))).T.astype(float)
    positions = grid + 0.2 * rng.random((n, 3))
    assert closest_pair(positions) is None
    positions[-1] = positions[0] + [0.0, 0.0, 0.9 * MIN_DISTANCE]
    i, j, distance = closest_pair(positions)
    assert (i, j) == (0, n - 1)
    assert distance == pytest.approx(0.9 * MIN_DISTANCE)
    positions[-1] = positions[0] + [0.0, 0.0, 1.1 * MIN_DISTANCE]
    assert closest_pair(positions) is None


def test_one_atom_has_no_neighbours():
    assert closest_pair(np.zeros((1, 3))) is None


@pytest.mark.filterwarnings("ignore:overflow")
def test_absurd_distances_are_not_small():
    """Their squares are infinite."""
    far = dataclasses.replace(WATER, positions=1e200 * WATER.positions)
    assert closest_pair(far.positions) is None
    result = Engine("PM3").run([far])[0]
    assert result.status is Status.NOT_FINITE and np.isnan(result.energy)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("keywords", [{"method": "PM3"}, {}], ids=str)
@pytest.mark.parametrize("distance", [1e100, 1e160, 1e200])
def test_an_atom_beyond_all_numbers_is_its_own_problem(keywords, distance):
    """The network's numbers for it are not finite; the other molecules are computed."""
    positions = WATER.positions.copy()
    positions[0, 0] += distance
    far = dataclasses.replace(WATER, positions=positions)
    engine = Engine(find_model(**keywords))
    alone, other = engine.run([WATER])[0], engine.run([far, WATER])[1]
    assert other.converged and other.energy == pytest.approx(alone.energy, abs=1e-8)


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)
