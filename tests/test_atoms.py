"""Charge and spin of ``ase.Atoms``: every way to give them, and every contradiction."""

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as g2
from ase.calculators import calculator as ase_errors

from ase_mlseqm import MLSEQM, InputError, evaluate
from ase_mlseqm.atoms import charge_and_multiplicity, molecule_from_atoms
from ase_mlseqm.files.frames import with_results


def water(**info):
    atoms = g2("H2O")
    atoms.info.update(info)
    return atoms


def with_charges(values):
    atoms = water()
    atoms.set_initial_charges(values)
    return atoms


def with_moments(values):
    atoms = water()
    atoms.set_initial_magnetic_moments(values)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (water(), (0, None)),
        (water(charge=1), (1, None)),
        (water(charge=-1, spin=2), (-1, 2)),
        (water(charge=1.0, multiplicity=2.0), (1, 2)),
        (water(charge=np.int64(2), spin=np.int64(3)), (2, 3)),
        (water(charge="1"), (1, None)),
        (water(charge=None, spin=None), (0, None)),
        (water(multiplicity=3, spin=3), (0, 3)),
        (with_charges([0.4, 0.3, 0.3]), (1, None)),
        (with_charges([-0.8, 0.4, 0.4]), (0, None)),
        (with_charges([0, 0, 0]), (0, None)),
        (g2("OH"), (0, 2)),
        (with_moments([-1.0, -1.0, 0.0]), (0, 3)),
        (with_moments([1.0, -1.0, 0.0]), (0, 1)),
        (with_moments([0.0, 0.0, 0.0]), (0, None)),
    ],
)
def test_what_is_given(atoms, expected):
    assert charge_and_multiplicity(atoms) == expected


def test_keywords():
    assert charge_and_multiplicity(water(), 1, 2) == (1, 2)
    assert charge_and_multiplicity(water(charge=1, spin=2), 1, 2) == (1, 2)
    assert charge_and_multiplicity(water(), charge=0) == (0, None)


@pytest.mark.parametrize(
    ("atoms", "keywords", "words"),
    [
        (water(charge=1), {"charge": 0}, 'the keyword charge says 0, atoms.info["charge"] says 1'),
        (water(spin=1), {"multiplicity": 3}, "the multiplicity is given twice and differently"),
        (water(spin=1, multiplicity=3), {}, "the multiplicity is given twice and differently"),
        (with_charges([1.0, 0, 0]), {"charge": -1}, "the sum of the initial charges says 1"),
        (with_moments([2.0, 0, 0]), {"multiplicity": 1}, "moments plus one says 3"),
        (water(charge=0.5), {}, 'atoms.info["charge"] is 0.5: give a whole number'),
        (water(charge="two"), {}, "'two': give a whole number"),
        (water(charge=True), {}, 'atoms.info["charge"] is True: give a whole number'),
        (water(spin=np.True_), {}, "give a whole number"),
        (water(charge=float("nan")), {}, "nan: give a whole number"),
        (water(spin=[1]), {}, "give a whole number"),
        (with_charges([0.4, 0.0, 0.0]), {}, "the sum of the initial charges is 0.4"),
        (with_moments([0.5, 0.0, 0.0]), {}, "the sum of the initial magnetic moments is 0.5"),
        (water(spin=0), {}, 'atoms.info["spin"] is 0: give 2S + 1'),
        (water(multiplicity=-2), {}, 'atoms.info["multiplicity"] is -2: give 2S + 1'),
        (water(), {"multiplicity": 0}, "the keyword multiplicity is 0: give 2S + 1"),
        (water(), {"charge": 0.3}, "charge is 0.3: give a whole number"),
        (with_moments(np.eye(3)), {}, "initial magnetic moments are vectors"),
        (g2("OH"), {"charge": -1}, "moments means multiplicity 2, which is impossible"),
    ],
)
def test_contradictions_and_nonsense(atoms, keywords, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        charge_and_multiplicity(atoms, **keywords)
    assert "\n" not in str(caught.value)


def test_periodic_cells_are_refused():
    atoms = water()
    atoms.set_cell([9.0, 9.0, 9.0])
    assert len(molecule_from_atoms(atoms).numbers) == 3
    for pbc in (True, (False, False, True)):
        atoms.pbc = pbc
        with pytest.raises(InputError, match="periodic cells are not supported yet"):
            molecule_from_atoms(atoms)


def test_the_molecule_is_a_copy():
    atoms = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], info={"charge": -1, "spin": 2})
    molecule = molecule_from_atoms(atoms)
    assert (molecule.charge, molecule.multiplicity) == (-1, 2)
    assert molecule.numbers.tolist() == [6, 8]
    atoms.positions += 1.0
    np.testing.assert_array_equal(molecule.positions, [[0, 0, 0], [0, 0, 1.1]])
    assert molecule.positions.dtype == np.float64


def test_results_may_become_ions():
    """A file of results states charge 0 and multiplicity 1 whether anyone gave them or not."""
    atoms = water()
    (point,) = evaluate([atoms], "PM3")
    relaxed = with_results(atoms, point)
    assert charge_and_multiplicity(relaxed) == (0, 1)
    assert charge_and_multiplicity(relaxed, charge=1) == (1, None)
    assert charge_and_multiplicity(relaxed, charge=-1, multiplicity=2) == (-1, 2)
    assert charge_and_multiplicity(relaxed, multiplicity=3) == (0, 3)
    (ion,) = evaluate([atoms], "PM3", charges=[1])
    for given in ({"charge": 0}, {"charge": 2}):
        with pytest.raises(InputError, match="given twice"):
            charge_and_multiplicity(with_results(atoms, ion), **given)
    atoms.info["charge"] = 0  # of a file that is no result
    with pytest.raises(InputError, match="given twice"):
        charge_and_multiplicity(atoms, charge=1)


def test_an_argument_of_evaluate_overrules_a_file_of_results():
    atoms = water()
    relaxed = with_results(atoms, evaluate([atoms], "PM3")[0])
    (ion,) = evaluate([relaxed], "PM3", charges=[1])
    assert (ion.charge, ion.multiplicity) == (1, 2)
    relaxed.info["charge"] = 2  # what it says does not count, even where it is no default
    (neutral,) = evaluate([relaxed], "PM3", charges=[0], multiplicities=[3])
    assert (neutral.charge, neutral.multiplicity) == (0, 3)


@pytest.mark.parametrize(
    "info", [{"Spin": 3}, {"total_charge": "1"}, {"mult": 2}, {"Charge": -1}, {"SPIN": "3"}]
)
def test_other_names_are_refused_whatever_their_value(info):
    atoms = water(**info)
    with pytest.raises(InputError, match="rename or remove it"):
        charge_and_multiplicity(atoms)


def test_another_name_that_comes_later_is_not_overlooked():
    atoms = water()
    atoms.calc = MLSEQM("PM3")
    atoms.get_potential_energy()
    atoms.info["total_charge"] = 0
    atoms.get_potential_energy()
    atoms.info["total_charge"] = 1
    with pytest.raises(ase_errors.InputError, match="rename or remove it"):
        atoms.get_potential_energy()


def test_moments_of_both_signs_ask_for_broken_symmetry():
    """As of ASE's other calculators; without it stretched H2 is 4.9 eV too high."""
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 3.0]], magmoms=[1, -1])
    broken, restricted = (
        evaluate([atoms], "PM3")[0],
        evaluate([atoms], "PM3", unrestricted=False)[0],
    )
    assert (broken.multiplicity, broken.unrestricted, restricted.unrestricted) == (1, True, False)
    assert broken.energy < restricted.energy - 4.0
    assert abs(broken.atomization_energy) < 0.05  # two free atoms
    atoms.calc = MLSEQM("PM3")
    assert atoms.get_potential_energy() == pytest.approx(broken.energy, abs=1e-6)
    assert sorted(atoms.get_magnetic_moments().round(2)) == [-1.0, 1.0]
