"""Numbers of the calculator, and when they are computed."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import (
    PropertyNotImplementedError,
    PropertyNotPresent,
    compare_atoms,
)
from ase.outputs import Properties, all_outputs
from molecules_with_calculator import ethanol, water

from ase_mlseqm import MLSEQM, SinglePoint
from ase_mlseqm.singlepoint import PROPERTIES

TIGHT = 1e-10
"""eV; SCF tolerance where numbers are differentiated."""


# numbers


@pytest.mark.parametrize("method", ["MNDO", "AM1", "PM3"])
def test_forces_are_minus_the_derivative_of_the_energy(method):
    atoms = ethanol(method=method, tolerance=TIGHT)
    forces, step = atoms.get_forces(), 1e-3
    for atom, axis in ((0, 0), (2, 1), (3, 2)):
        energies = {}
        for k in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[atom, axis] += k * step
            energies[k] = moved.get_potential_energy()
        slope = (energies[-2] - 8 * energies[-1] + 8 * energies[1] - energies[2]) / (12 * step)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)


def test_dipole_is_minus_the_derivative_of_the_energy_in_a_field():
    dipole = ethanol(tolerance=TIGHT).get_dipole_moment()
    for axis in range(3):
        energies = []
        for k in (-2, -1, 1, 2):
            field = np.zeros(3)
            field[axis] = k * 1e-3
            energies.append(ethanol(tolerance=TIGHT, field=field).get_potential_energy())
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * 1e-3)
        assert dipole[axis] == pytest.approx(-slope, abs=1e-6)


def test_hessian_is_the_derivative_of_the_forces():
    for field in (None, (0.0, 0.1, -0.2)):
        atoms = water(tolerance=TIGHT, field=field)
        atoms.rattle(0.05, seed=1)
        hessian = atoms.calc.get_hessian(atoms)
        numeric = np.zeros_like(hessian)
        for row in range(9):
            forces = []
            for k in (-2, -1, 1, 2):
                moved = atoms.copy()
                moved.calc = atoms.calc
                moved.positions[row // 3, row % 3] += k * 2e-3
                forces.append(moved.get_forces().ravel())
            slope = forces[0] - 8 * forces[1] + 8 * forces[2] - forces[3]
            numeric[row] = -slope / (12 * 2e-3)
        assert hessian.shape == (9, 9)
        assert np.abs(hessian - hessian.T).max() == 0.0
        np.testing.assert_allclose(hessian, numeric, atol=3e-4)


@pytest.mark.parametrize(("charge", "multiplicity"), [(0, 1), (1, 2), (-1, 2), (0, 3)])
def test_results_are_consistent(charge, multiplicity):
    atoms = ethanol(charge=charge, multiplicity=multiplicity)
    assert atoms.get_charges().sum() == pytest.approx(charge, abs=1e-9)
    assert atoms.get_magnetic_moments().sum() == pytest.approx(multiplicity - 1, abs=1e-9)
    assert atoms.get_magnetic_moment() == multiplicity - 1
    calc = atoms.calc
    assert calc.results["free_energy"] == calc.results["energy"] == atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    spins = 1 if multiplicity == 1 else 2
    shape = (spins, 1, 6 + 3 * 4)
    assert calc.results["eigenvalues"].shape == calc.results["occupations"].shape == shape
    assert calc.results["occupations"].sum() == 20 - charge
    assert calc.get_number_of_spins() == spins
    assert (np.diff(calc.get_eigenvalues(spin=spins - 1)) >= 0).all()
    if multiplicity == 1:
        assert (atoms.get_magnetic_moments() == 0).all()
    point = calc.singlepoint
    assert isinstance(point, SinglePoint)
    assert (point.charge, point.multiplicity) == (charge, multiplicity)
    empty = [name for name, value in vars(point).items() if value is None]
    unasked = ["uncertainty", "uncertain", "dispersion"]
    assert empty == (unasked if multiplicity == 1 else [*unasked, "stability"])


def test_results_have_the_names_and_shapes_of_ase():
    atoms = ethanol()
    atoms.get_potential_energy()
    assert set(atoms.calc.results) == set(MLSEQM.implemented_properties) <= set(all_outputs)
    for properties in (Properties(atoms.calc.results), atoms.calc.export_properties()):
        assert properties["natoms"] == 9
        assert (properties["nspins"], properties["nkpts"], properties["nbands"]) == (1, 1, 18)
        np.testing.assert_array_equal(properties["forces"], atoms.get_forces())
    assert type(atoms.calc.results["energy"]) is float
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()
    with pytest.raises(PropertyNotPresent):
        MLSEQM().get_eigenvalues()


@pytest.mark.parametrize("keywords", [{}, {"charge": 1}, {"model": "hipnn-pm3", "method": None}])
@pytest.mark.filterwarnings("ignore:ions and radicals")
def test_what_waits_until_it_is_asked_for_equals_what_the_engine_gives(keywords):
    """Bond orders and parameters, restricted, unrestricted, and of a learned model."""
    atoms = ethanol(**keywords)
    atoms.get_potential_energy()
    point = atoms.calc.singlepoint
    engine, found, _ = atoms.calc._prepare(atoms)
    (expected,) = engine.run([found], PROPERTIES)
    np.testing.assert_allclose(point.bond_orders, expected.bond_orders, rtol=0, atol=1e-6)
    assert point.bond_orders[0, 1] > 0.9
    assert point.parameters.keys() == expected.parameters.keys()
    for name, values in expected.parameters.items():
        np.testing.assert_allclose(point.parameters[name], values, rtol=0, atol=1e-12)
    assert atoms.calc.singlepoint is point
    atoms.calc.reset()
    assert atoms.calc.singlepoint is None


# cache


def test_nothing_is_computed_twice(runs):
    atoms = ethanol()
    atoms.get_forces()
    atoms.get_potential_energy()
    atoms.get_dipole_moment()
    atoms.get_charges()
    atoms.get_magnetic_moments()
    atoms.calc.get_property("eigenvalues", atoms)
    assert atoms.calc.singlepoint.bond_orders.shape == (9, 9)
    assert len(runs) == 1
    atoms.get_forces()[:] = 0.0  # what is returned is a copy
    assert np.abs(atoms.get_forces()).max() > 0.1
    atoms.positions += 0.0
    atoms.info["comment"] = "does not matter"
    assert atoms.calc.check_state(atoms) == []
    atoms.get_potential_energy()
    assert len(runs) == 1
    atoms.positions[0, 0] += 1e-6
    assert atoms.calc.check_state(atoms) == ["positions"]
    assert atoms.calc.calculation_required(atoms, ["energy"])
    assert atoms.calc.get_property("energy", atoms, allow_calculation=False) is None
    assert atoms.calc.singlepoint is None  # the old one is not that of these atoms
    atoms.get_potential_energy()
    assert len(runs) == 2


def test_changes_of_info_count(runs):
    atoms = water()
    neutral = atoms.get_potential_energy()
    atoms.info["charge"] = 1
    assert atoms.calc.check_state(atoms) == ["info"]
    cation = atoms.get_potential_energy()
    assert cation - neutral > 8.0
    assert atoms.calc.singlepoint.multiplicity == 2
    atoms.info["multiplicity"] = 4
    quartet = atoms.get_potential_energy()
    assert quartet > cation + 1.0
    del atoms.info["multiplicity"]
    atoms.info["spin"] = 2
    assert atoms.get_potential_energy() == pytest.approx(cation, abs=1e-6)
    atoms.info.clear()
    assert atoms.get_potential_energy() == pytest.approx(neutral, abs=1e-6)
    assert len(runs) == 5


def test_changes_of_initial_charges_and_moments_count(runs):
    atoms = water()
    neutral = atoms.get_potential_energy()
    atoms.set_initial_charges([1, 0, 0])
    cation = atoms.get_potential_energy()
    assert cation - neutral > 8.0
    atoms.set_initial_magnetic_moments([3, 0, 0])
    assert atoms.get_potential_energy() > cation + 1.0
    assert atoms.get_magnetic_moment() == 3.0
    atoms.set_initial_magnetic_moments([1, 0, 0])
    assert atoms.get_potential_energy() == pytest.approx(cation, abs=1e-6)
    assert len(runs) == 4


def test_every_change_that_ase_knows_is_found():
    atoms = water()
    atoms.get_potential_energy()

    def changed(name):
        other = atoms.copy()
        if name == "positions":
            other.positions[1, 1] += 1e-10
        elif name == "numbers":
            other.numbers[0] = 16
        elif name == "cell":
            other.set_cell([10, 10, 10])
        elif name == "pbc":
            other.pbc = (True, False, False)
        elif name == "initial_charges":
            other.set_initial_charges([0.1, -0.1, 0.0])
        elif name == "initial_magmoms":
            other.set_initial_magnetic_moments([0.0, 1.0, -1.0])
        elif name == "nan":
            other.positions[0] = np.nan
        elif name == "atoms":
            other += Atoms("H", [(0, 0, 5)])
        return other

    for name in ("positions", "numbers", "cell", "pbc", "initial_charges", "initial_magmoms"):
        assert atoms.calc.check_state(changed(name)) == [name]
    for name in ("nan", "atoms", None):
        other = changed(name)
        expected = sorted(compare_atoms(atoms, other))
        assert sorted(atoms.calc.check_state(other)) == expected


def test_set_resets_only_when_something_changes(runs):
    atoms = water()
    pm3 = atoms.get_potential_energy()
    assert atoms.calc.set(method="pm3", charge=None) == {}
    atoms.get_potential_energy()
    assert len(runs) == 1
    assert atoms.calc.set(method="AM1") == {"method": "AM1"}
    assert atoms.calc.results == {}
    assert atoms.calc.singlepoint is None
    assert abs(atoms.get_potential_energy() - pm3) > 1.0
    assert atoms.calc.singlepoint.method == "AM1"
    assert runs == [[None], [None]]


def test_density_is_reused_where_it_is_of_use(runs):
    atoms = ethanol()
    atoms.get_potential_energy()
    first = atoms.calc.singlepoint.iterations
    atoms.positions[0, 0] += 0.01
    atoms.get_potential_energy()
    assert atoms.calc.singlepoint.iterations < first
    atoms.positions[0, 0] += 0.6  # too far
    atoms.get_potential_energy()
    atoms.info["charge"] = 1  # another state
    atoms.get_potential_energy()
    atoms.calc.set(reuse_density=False)
    atoms.get_potential_energy()
    atoms.positions[0, 0] += 0.01
    atoms.get_potential_energy()
    assert [guess is not None for (guess,) in runs] == [False, True, False, False, False, False]


def test_density_of_another_state_or_element_is_of_no_use(runs):
    """Although all are of one shape; of unrestricted ones the atoms have to be closer."""
    atoms = water(unrestricted=True)
    for change, kept in (
        (lambda: None, False),
        (lambda: atoms.info.update(multiplicity=3), False),
        (lambda: atoms.positions.__iadd__(0.2), True),
        (lambda: atoms.positions.__iadd__(0.3), False),
        (lambda: atoms.numbers.__setitem__(0, 16), False),
        (lambda: atoms.positions.__iadd__(0.01), True),
    ):
        change()
        atoms.get_potential_energy()
        assert (runs[-1][0] is not None) == kept
    atoms += Atoms("H", [(0, 0, 5.0)])
    atoms.info.clear()
    atoms.get_potential_energy()
    assert runs[-1] == [None]


def test_reused_density_gives_the_same_energy():
    atoms = ethanol(tolerance=TIGHT)
    atoms.get_potential_energy()
    atoms.positions[3] += 0.05
    fresh = atoms.copy()
    fresh.calc = MLSEQM(method="PM3", tolerance=TIGHT, reuse_density=False)
    assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)


def test_arrays_of_the_singlepoint_are_its_own():
    """Whoever takes a mean off them does not change what the calculator gives."""
    atoms = water()
    before = atoms.get_forces()
    for name in ("forces", "charges", "dipole", "mo_energies"):
        getattr(atoms.calc.singlepoint, name)[:] = 7.0
    np.testing.assert_array_equal(atoms.get_forces(), before)
    assert abs(atoms.get_charges()).max() < 1.0 and abs(atoms.get_dipole_moment()).max() < 1.0
    assert atoms.calc.get_eigenvalues().min() < -10.0
