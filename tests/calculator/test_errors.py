"""Errors of the calculator."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import (
    CalculationFailed,
    CalculatorSetupError,
    InputError,
    SCFError,
)
from molecules_with_calculator import ethanol, water

from ase_mlseqm import MLSEQM, Engine

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
        ({"charge": True}, "charge is True: give a whole number"),
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


def test_out_of_memory_is_a_failed_calculation(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Engine, "_run_batch", full)
    atoms = molecule("H2O")
    atoms.calc = MLSEQM(method="PM3")
    with pytest.raises(CalculationFailed, match="memory") as caught:
        atoms.get_potential_energy()
    assert not isinstance(caught.value, SCFError) and np.isnan(caught.value.singlepoint.energy)


@pytest.mark.parametrize("step", [0.0, -0.001, float("nan")])
def test_step_of_a_hessian(step):
    with pytest.raises(InputError, match=r"step is .*: give a positive number"):
        MLSEQM(method="PM3").second_derivatives(molecule("H2O"), step=step)
