"""The ASE contract of the calculator."""

import copy
import importlib
import json
import pickle
import subprocess
import sys
import time

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import (
    CalculationFailed,
    CalculatorSetupError,
    InputError,
    PropertyNotImplementedError,
    PropertyNotPresent,
    SCFError,
    compare_atoms,
    get_calculator_class,
)
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.optimize import BFGS
from ase.outputs import Properties, all_outputs

from ase_mlseqm import MLSEQM, Engine, SinglePoint
from ase_mlseqm.options import CalculatorOptions, field_docs
from ase_mlseqm.singlepoint import PROPERTIES

TIGHT = 1e-10
"""eV; SCF tolerance where numbers are differentiated."""


def ethanol(**keywords):
    """A molecule without symmetry, with a calculator."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.02, seed=3)
    atoms.calc = MLSEQM(**({"method": "PM3"} | keywords))
    return atoms


def water(**keywords):
    atoms = molecule("H2O")
    atoms.calc = MLSEQM(**({"method": "PM3"} | keywords))
    return atoms


@pytest.fixture
def runs(monkeypatch):
    """The guesses of all calls of the engine."""
    calls = []
    original = Engine.run

    def run(self, molecules, *args, guesses=None, **keywords):
        calls.append(guesses)
        return original(self, molecules, *args, guesses=guesses, **keywords)

    monkeypatch.setattr(Engine, "run", run)
    return calls


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
    assert empty == []


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


def test_reused_density_gives_the_same_energy():
    atoms = ethanol(tolerance=TIGHT)
    atoms.get_potential_energy()
    atoms.positions[3] += 0.05
    fresh = atoms.copy()
    fresh.calc = MLSEQM(method="PM3", tolerance=TIGHT, reuse_density=False)
    assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)


# errors


def bad(name):
    """Atoms that cannot be computed, and what the message has to say."""
    atoms = molecule("H2O")
    if name == "periodic":
        atoms.set_cell([9, 9, 9])
        atoms.pbc = True
        return atoms, "periodic cells are not supported yet"
    if name == "element":
        atoms.symbols[0] = "Fe"
        return atoms, "no parameters for Fe"
    if name == "duplicate":
        atoms.positions[1] = atoms.positions[0]
        return atoms, "0.000 Angstrom apart"
    if name == "nan":
        atoms.positions[1, 2] = np.nan
        return atoms, "position of atom 1 is not a finite number"
    if name == "odd":
        atoms.info.update(charge=1, multiplicity=1)
        return atoms, "multiplicity 1 is impossible"
    if name == "twice":
        atoms.info["charge"] = 1
        atoms.set_initial_charges([-1, 0, 0])
        return atoms, "given twice and differently"
    if name == "spin":
        atoms.info["spin"] = 0
        return atoms, "give 2S [+] 1"
    if name == "fraction":
        atoms.set_initial_charges([0.5, 0, 0])
        return atoms, "give a whole number"
    return Atoms(), "no atoms"


@pytest.mark.parametrize(
    "name",
    ["periodic", "element", "duplicate", "nan", "odd", "twice", "spin", "fraction", "empty"],
)
def test_bad_input(name):
    good = water()
    calc = good.calc
    good.get_potential_energy()
    atoms, message = bad(name)
    atoms.calc = calc
    for _ in range(2):  # the second time must not find anything either
        with pytest.raises(InputError, match=message) as caught:
            atoms.get_potential_energy()
        assert "\n" not in str(caught.value)
        assert calc.results == {}
        assert calc.singlepoint is None
    with pytest.raises(InputError, match=message):
        calc.get_hessian(atoms)
    assert good.get_potential_energy() == water().get_potential_energy()


def test_unconverged_is_an_error_and_leaves_nothing_behind(runs):
    atoms = ethanol()
    atoms.get_potential_energy()
    atoms.calc.set(max_iterations=1, tolerance=1e-15)
    with pytest.raises(SCFError) as caught:
        atoms.get_forces()
    message = str(caught.value)
    point = caught.value.singlepoint
    assert not point.converged
    assert np.isnan(point.energy)
    assert "C2H6O" in message
    assert f"{point.iterations} iterations" in message
    assert f"residual {point.residual:.1e} eV" in message
    assert "max_iterations" in message
    assert isinstance(caught.value, CalculationFailed)
    assert atoms.calc.results == {}
    assert atoms.calc.singlepoint is None
    assert atoms.calc.atoms is None
    with pytest.raises(SCFError):
        atoms.get_potential_energy()
    with pytest.raises(SCFError, match="C2H6O"):
        atoms.calc.get_hessian(atoms)
    atoms.calc.set(max_iterations=None, tolerance=None)
    atoms.get_potential_energy()
    assert all(guess is None for (guess,) in runs[-1:])


def test_density_is_dropped_after_a_failure(runs, monkeypatch):
    atoms = water()
    atoms.get_potential_energy()
    atoms.positions[0, 2] += 0.01

    def interrupted(self, *args, **keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            atoms.get_potential_energy()
    assert atoms.calc.results == {}
    atoms.get_potential_energy()
    assert runs == [[None], [None]]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"methd": "PM3"}, "unknown keyword 'methd': did you mean 'method'"),
        ({"restart": "file"}, "unknown keyword 'restart'"),
        ({"method": "PM6"}, "unknown method 'PM6': choose one of MNDO, AM1, PM3"),
        ({"device": "abacus"}, "unknown device 'abacus'"),
        ({"charge": 0.5}, "charge is 0.5: give a whole number"),
        ({"charge": "one"}, "charge is 'one': give a whole number"),
        ({"multiplicity": 0}, "multiplicity is 0: give 1 or more"),
        ({"unrestricted": "no"}, "give True or False"),
        ({"field": (0, 0)}, "three finite numbers in V/Angstrom"),
        ({"field": (0, 0, np.inf)}, "three finite numbers in V/Angstrom"),
        ({"tolerance": 0}, "tolerance is 0: give a positive number"),
        ({"max_iterations": 0}, "max_iterations is 0: give 1 or more"),
    ],
)
def test_wrong_keywords(keywords, message):
    with pytest.raises(InputError, match=message) as caught:
        MLSEQM(**keywords)
    assert "\n" not in str(caught.value)
    atoms = water()
    energy = atoms.get_potential_energy()
    with pytest.raises(InputError, match=message):
        atoms.calc.set(**{"charge": 1} | keywords)
    assert atoms.calc.parameters["charge"] is None  # all or nothing
    assert atoms.calc.results["energy"] == energy


def test_a_calculator_without_atoms_says_so():
    for call in (MLSEQM().get_potential_energy, MLSEQM().get_hessian):
        with pytest.raises(CalculatorSetupError, match="no atoms"):
            call()
    assert MLSEQM().singlepoint is None


def test_a_keyword_that_contradicts_the_atoms():
    atoms = water(charge=1)
    atoms.info["charge"] = -1
    with pytest.raises(InputError, match="given twice and differently"):
        atoms.get_potential_energy()


# copies and files


def test_deepcopy_is_independent(runs):
    atoms = ethanol(method="AM1")
    energy = atoms.get_potential_energy()
    other = copy.deepcopy(atoms)
    assert other.calc is not atoms.calc
    assert other.get_potential_energy() == energy
    assert len(runs) == 1
    other.calc.results["forces"][:] = 0.0
    other.calc.set(method="PM3", charge=1)
    other.positions[0, 0] += 0.1
    other.get_potential_energy()
    assert atoms.get_potential_energy() == energy
    assert np.abs(atoms.get_forces()).max() > 0.1
    assert atoms.calc.parameters["method"] == "AM1"
    assert atoms.calc.singlepoint.charge == 0
    assert len(runs) == 2


def test_pickle(runs):
    atoms = ethanol(field=(0, 0, 0.1))
    energy = atoms.get_potential_energy()
    other = pickle.loads(pickle.dumps(atoms))
    assert other.get_potential_energy() == energy
    assert len(runs) == 1
    other.positions[0, 0] += 0.01
    other.get_potential_energy()
    assert runs[1][0] is not None  # the density came along


def test_todict_restores_the_calculator():
    keywords = {
        "method": "mndo",
        "charge": np.int64(1),
        "field": np.array([0.0, 0.1, 0.2]),
        "tolerance": np.float64(1e-8),
        "unrestricted": np.bool_(True),
        "max_iterations": 50.0,
    }
    calc = MLSEQM(**keywords)
    for skip in (True, False):
        stored = json.loads(json.dumps(calc.todict(skip_default=skip)))
        restored = get_calculator_class("mlseqm")(**stored)
        assert dict(restored.parameters) == dict(calc.parameters)
    assert MLSEQM(method="PM3").todict() == {"method": "PM3"}
    assert MLSEQM().todict() == {"model": "hipnn-pm3"}
    types = {type(value) for value in calc.todict(skip_default=False).values()}
    assert types <= {str, int, float, bool, tuple, type(None)}


@pytest.mark.parametrize("multiplicity", [1, 3])
def test_extxyz_round_trip(tmp_path, multiplicity):
    atoms = ethanol(multiplicity=multiplicity)
    atoms.get_potential_energy()
    write(tmp_path / "a.extxyz", atoms)
    back = read(tmp_path / "a.extxyz")
    assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(back.get_forces(), atoms.get_forces(), atol=1e-7)
    np.testing.assert_allclose(back.get_dipole_moment(), atoms.get_dipole_moment(), atol=1e-7)
    np.testing.assert_allclose(back.get_charges(), atoms.get_charges(), atol=1e-7)
    moments = atoms.get_magnetic_moments()
    np.testing.assert_allclose(back.get_magnetic_moments(), moments, atol=1e-7)
    assert back.get_magnetic_moment() == multiplicity - 1
    assert "stress" not in back.calc.results


def test_trajectory_round_trip(tmp_path):
    atoms = ethanol(charge=1)
    atoms.get_potential_energy()
    write(tmp_path / "a.traj", atoms)
    back = read(tmp_path / "a.traj")
    assert back.calc.name == "mlseqm"
    assert back.get_potential_energy() == atoms.get_potential_energy()
    np.testing.assert_array_equal(back.get_charges(), atoms.get_charges())
    np.testing.assert_array_equal(back.get_dipole_moment(), atoms.get_dipole_moment())


@pytest.mark.parametrize("suffix", ["json", "db"])
def test_database_round_trip(tmp_path, suffix):
    atoms = ethanol(charge=1, field=(0.0, 0.0, 0.1))
    atoms.get_potential_energy()
    with ase.db.connect(tmp_path / f"a.{suffix}") as database:
        database.write(atoms)
    (row,) = ase.db.connect(tmp_path / f"a.{suffix}").select()
    assert row.calculator == "mlseqm"
    assert row.energy == atoms.get_potential_energy()
    np.testing.assert_array_equal(row.charges, atoms.get_charges())
    np.testing.assert_array_equal(row.dipole, atoms.get_dipole_moment())
    np.testing.assert_array_equal(row.magmoms, atoms.get_magnetic_moments())
    back = row.toatoms()
    back.calc = get_calculator_class(row.calculator)(**row.calculator_parameters)
    assert back.get_potential_energy() == pytest.approx(row.energy, abs=1e-8)


def test_conversion_to_a_single_point_calculator():
    atoms = ethanol()
    atoms.get_potential_energy()
    known = {k: v for k, v in atoms.calc.results.items() if k not in ("eigenvalues", "occupations")}
    frozen = atoms.copy()
    frozen.calc = SinglePointCalculator(frozen, **known)
    np.testing.assert_array_equal(frozen.get_forces(), atoms.get_forces())
    np.testing.assert_array_equal(frozen.get_charges(), atoms.get_charges())


def test_get_atoms_returns_what_was_computed():
    atoms = ethanol()
    atoms.info["charge"] = 1
    atoms.get_potential_energy()
    back = atoms.calc.get_atoms()
    assert compare_atoms(back, atoms) == []
    assert back.info == atoms.info
    assert back.get_potential_energy() == atoms.get_potential_energy()


# in ASE


def test_relaxation_with_ase(runs):
    atoms = water()
    before = atoms.get_potential_energy()
    optimizer = BFGS(atoms, logfile=None)
    assert optimizer.run(fmax=1e-3, steps=50)
    assert atoms.get_potential_energy() < before
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3
    assert len(runs) == optimizer.nsteps + 1
    assert sum(guess is None for (guess,) in runs) == 1


def test_documentation_has_every_keyword():
    docs = field_docs(CalculatorOptions)
    assert set(docs) == set(MLSEQM.default_parameters) == set(CalculatorOptions.__annotations__)
    text = " ".join(MLSEQM.__doc__.split())
    for name, doc in docs.items():
        assert f"{name} : " in text
        assert doc in text
    assert "{keywords}" not in text


def python(code):
    """Output of a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_registers_the_calculator_without_torch():
    out = python(
        "import sys, ase_mlseqm\n"
        "from ase.calculators.calculator import get_calculator_class, names\n"
        "print(get_calculator_class('mlseqm').__name__, 'mlseqm' in names, 'torch' in sys.modules)"
    )
    assert out.split() == ["MLSEQM", "True", "False"]


def test_plugin_of_ase():
    plugins = pytest.importorskip("ase._4.plugins")
    found = [plugin for plugin in plugins.plugins.calculators if plugin.name == "mlseqm"]
    assert [plugin.implementation for plugin in found] == [MLSEQM]
    out = subprocess.run(
        [sys.executable, "-m", "ase", "info", "--plugins"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "mlseqm" in out.split("CalculatorPlugin")[-1]


def test_plugin_survives_another_ase(monkeypatch):
    from ase_mlseqm import ase_plugin

    monkeypatch.setitem(sys.modules, "ase._4.plugins.plugin", None)
    monkeypatch.setitem(sys.modules, "ase.calculators.calculator", None)
    module = importlib.reload(ase_plugin)
    module.register()
    assert module.__ase_plugins__ == set()
    monkeypatch.undo()
    importlib.reload(ase_plugin)


def test_overhead(monkeypatch):
    """The shell around the engine; 35 microseconds on the machine it was written on."""
    atoms = ethanol()
    atoms.get_potential_energy()
    point = atoms.calc.singlepoint
    monkeypatch.setattr(Engine, "run", lambda self, *args, **keywords: [point])
    best = np.inf
    for _ in range(200):
        atoms.positions[0, 0] += 1e-3
        start = time.perf_counter()
        atoms.get_forces()
        atoms.get_potential_energy()
        atoms.get_forces()
        best = min(best, time.perf_counter() - start)
    assert best < 150e-6
