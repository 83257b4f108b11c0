"""The calculator in ASE: copies, files, optimisers, plugins."""

import copy
import importlib
import json
import pickle
import shutil
import subprocess
import sys
import time
from typing import ClassVar

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    all_changes,
    compare_atoms,
    get_calculator_class,
)
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.optimize import BFGS
from molecules_with_calculator import ethanol, water

from ase_mlseqm import MLSEQM, Engine
from ase_mlseqm.models import model_file
from ase_mlseqm.options import CalculatorOptions, field_docs

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


class Constant(Calculator):
    """What ASE's own shell takes around nothing at all."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


def test_overhead(monkeypatch):
    """The shell around the engine takes a quarter of the time of ASE's own; half is allowed."""
    atoms = ethanol()
    atoms.get_potential_energy()
    point = atoms.calc.singlepoint
    monkeypatch.setattr(Engine, "run", lambda self, *args, **keywords: [point])
    plain = Atoms(atoms.numbers, atoms.positions, calculator=Constant())
    # both in turn, and the best of each: other work on the machine counts for neither
    best = {"ours": np.inf, "plain": np.inf}
    for _ in range(200):
        for name, each in (("ours", atoms), ("plain", plain)):
            each.positions[0, 0] += 1e-3
            start = time.perf_counter()
            each.get_forces()
            each.get_potential_energy()
            each.get_forces()
            best[name] = min(best[name], time.perf_counter() - start)
    assert best["ours"] < best["plain"] / 2


def test_a_model_that_is_written_anew_or_removed_stays_what_it_was(tmp_path):
    """A training writes its model while dynamics run with it."""
    model = tmp_path / "mine.safetensors"
    first = model_file("hipnn-pm3").model.source
    shutil.copy(first, model)
    atoms = water()
    atoms.calc = MLSEQM(model=model)
    before = atoms.get_potential_energy()
    shutil.copy(first.with_name("hipnn-pm3.1.safetensors"), model)
    atoms.positions += 0.5
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-6)
    other = water()
    model.unlink()
    assert atoms.calc.singlepoint.parameters is not None
    shutil.copy(first.with_name("hipnn-pm3.1.safetensors"), model)
    other.calc = MLSEQM(model=model)
    assert abs(other.get_potential_energy() - before) > 1e-4


def test_a_model_of_a_relative_path_is_found_from_another_folder(tmp_path, monkeypatch):
    """Scripts change their folder between steps."""
    shutil.copy(model_file("hipnn-pm3").model.source, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    atoms = water()
    atoms.calc = MLSEQM(model="mine.safetensors")
    before = atoms.get_potential_energy()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    atoms.positions += 0.5
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-6)
    # the name of an installed model is no path, whatever lies in the folder
    (tmp_path / "elsewhere" / "hipnn-pm3").write_text("")
    assert MLSEQM(model="hipnn-pm3").todict() == {"model": "hipnn-pm3"}
