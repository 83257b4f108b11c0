"""Many molecules relaxed at once, against one after the other with ASE."""

import dataclasses
import importlib

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, CalculatorError
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength
from ase.optimize import BFGS, FIRE, LBFGS
from helpers import Broken

from ase_mlseqm import MLSEQM, buckets
from ase_mlseqm.errors import InputError
from ase_mlseqm.workflows import Interrupted, checkpoints
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.relax_checkpoint import Checkpoint
from ase_mlseqm.workflows.relax_many import InterruptedMany, relax_many

NAMES = ("H2O", "CH3OH", "NH3", "CH3CHO", "HCN", "CH4")
DIFFERENT = (
    *("CO2", "H2O", "O3", "N2O", "HCN", "C2H2", "H2CO", "NCCN", "NH3", "H2O2", "HCOOH", "CH4"),
    *("H2CCO", "OCHCHO", "CH3CN", "CH3OH", "C2H4", "CH3CHO", "H3CNH2", "CH3ONO", "CH2OCH2"),
)
CONFIG = RelaxConfig(fmax=0.02)


def shaken(name, seed=0, size=0.08):
    atoms = molecule(name)
    atoms.rattle(size, seed=seed)
    return atoms


def alone(atoms, calc, kind=BFGS, fmax=0.02):
    """Energy, positions and force calls of ASE's optimiser."""
    work = atoms.copy()
    work.calc = calc
    optimizer = kind(work, logfile=None, maxstep=0.2)
    assert optimizer.run(fmax=fmax, steps=500)
    return work.get_potential_energy(), work.positions, optimizer.nsteps + 1


@pytest.mark.parametrize("kind", [BFGS, LBFGS, FIRE])
def test_same_steps_as_ase(kind):
    systems = [shaken(name) for name in NAMES]
    config = RelaxConfig(fmax=0.02, optimizer=kind.__name__)
    results = relax_many(systems, MLSEQM(method="PM3"), config)
    for atoms, result in zip(systems, results, strict=True):
        energy, positions, calls = alone(atoms, MLSEQM(method="PM3"), kind)
        assert result.converged and result.max_force < 0.02
        assert result.energy == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(result.atoms.positions, positions, atol=1e-4)
        assert len(result.energies) == calls


@pytest.mark.slow
def test_five_hundred_in_one_call(monkeypatch, engine_calls):
    """Every step is one batch of those that are not done yet; all are asked for a lower state."""
    asked: list[int] = []

    def lower(ends, calc):
        asked.append(len(ends))
        return [False] * len(ends)

    module = importlib.import_module("ase_mlseqm.workflows.relax_many")
    monkeypatch.setattr(module, "has_lower", lower)
    systems = [shaken(DIFFERENT[k % len(DIFFERENT)], seed=k) for k in range(500)]
    results = relax_many(systems, MLSEQM(), CONFIG)
    assert all(result.converged for result in results)
    assert engine_calls[0] == 500 and sorted(engine_calls, reverse=True) == engine_calls
    assert sum(asked) == 500
    monkeypatch.undo()
    for k in range(0, 500, len(DIFFERENT) + 1):  # each of them, shaken in another way
        energy, _, calls = alone(systems[k], MLSEQM())
        # what forces of 0.02 eV/A leave: F^2 / 2k is 4e-6 eV for a stiff bond
        assert results[k].energy == pytest.approx(energy, abs=1e-5), DIFFERENT[k % len(DIFFERENT)]
        assert len(results[k].energies) <= 1.3 * calls


@pytest.mark.parametrize("kind", [BFGS, LBFGS])
def test_force_calls_of_every_molecule(kind):
    """None takes more than ASE's optimiser, nor more than 1.3 times ASE's LBFGS."""
    systems = [shaken(name, seed=k) for k, name in enumerate(DIFFERENT)]
    config = RelaxConfig(fmax=0.02, optimizer=kind.__name__)
    results = relax_many(systems, MLSEQM(method="PM3"), config)
    for name, atoms, result in zip(DIFFERENT, systems, results, strict=True):
        assert result.converged, name
        for other in {kind, LBFGS}:
            energy, _, calls = alone(atoms, MLSEQM(method="PM3"), other)
            assert result.energy == pytest.approx(energy, abs=1e-5), name
            assert len(result.energies) <= (calls if other is kind else 1.3 * calls), name


def test_constraints():
    fixed, bond = shaken("CH3OH"), shaken("CH3OH")
    fixed.set_constraint(FixAtoms([0, 1]))
    bond.set_constraint(FixBondLength(0, 1))
    results = relax_many([fixed, bond], MLSEQM(method="PM3"), CONFIG)
    assert all(result.converged for result in results)
    np.testing.assert_array_equal(results[0].atoms.positions[:2], fixed.positions[:2])
    assert results[1].atoms.get_distance(0, 1) == pytest.approx(bond.get_distance(0, 1), abs=1e-6)


def test_any_calculator():
    systems = [shaken(name) for name in ("H2O", "CH4")]
    for atoms, result in zip(systems, relax_many(systems, EMT(), CONFIG), strict=True):
        energy, _, calls = alone(atoms, EMT())
        assert (result.energy, len(result.energies)) == (pytest.approx(energy, abs=1e-9), calls)


def test_one_bad_molecule_does_not_stop_the_others():
    bad = molecule("CH3SH")
    results = relax_many([shaken("H2O"), bad, shaken("NH3")], MLSEQM(), CONFIG)
    assert isinstance(results[1], CalculatorError)
    assert "method='PM3'" in str(results[1])
    assert results[0].converged and results[2].converged


def test_numbers_that_are_not_finite_stop_it():
    """At the start there is no result, later the last structure with good ones."""
    (found,) = relax_many([shaken("CH4")], Broken(), CONFIG)
    assert isinstance(found, CalculatorError) and "not finite" in str(found)
    (found,) = relax_many([shaken("CH4")], Broken(3), CONFIG)
    assert not found.converged and found.steps == 2
    assert found.message == "stopped after step 2: energy or forces are not finite"
    assert np.isfinite(found.atoms.get_forces()).all() and np.isfinite(found.energies).all()


def test_step_limit_and_reports():
    seen, counts = {}, []
    systems = [molecule("H2O"), shaken("CH3CHO")]
    results = relax_many(
        systems,
        MLSEQM(method="PM3"),
        RelaxConfig(fmax=1e-3, max_steps=6),
        done=lambda k, result: seen.setdefault(k, result),
        step=lambda number, active: counts.append((number, active)),
    )
    assert seen == dict(enumerate(results))
    assert results[0].converged and not results[1].converged
    assert "not converged in 6 steps: largest force" in results[1].message
    assert counts[0] == (0, 2) and counts[-1] == (6, 0)


def test_interrupt_keeps_what_is_done():
    def stop(number, active):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedMany) as caught:
        relax_many([shaken("H2O"), shaken("CH3OH")], MLSEQM(method="PM3"), CONFIG, step=stop)
    assert [len(result.energies) for result in caught.value.results] == [3, 3]
    assert all("interrupted after step 2" in r.message for r in caught.value.results)


def test_checkpoint(tmp_path, monkeypatch):
    """A second run starts where the first was, and does nothing again that is done."""
    file, calc = tmp_path / "c.extxyz", EMT()
    systems = [molecule("N2"), shaken("CH3OH"), shaken("H2O"), shaken("CH4")]
    systems[1].set_constraint(FixAtoms([0]))
    config = RelaxConfig(fmax=0.003, optimizer="FIRE")
    whole = relax_many(systems, calc, config)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)

    def stop(number, active):
        if number == 30:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedMany) as caught:
        relax_many(systems, calc, config, step=stop, checkpoint=file)
    before = [len(result.energies) for result in caught.value.results]
    seen = []
    rest = relax_many(
        systems, calc, config, checkpoint=file, step=lambda n, active: seen.append(active)
    )
    assert not file.exists()
    assert len(seen) < max(len(result.energies) for result in whole)
    for k, (one, other) in enumerate(zip(rest, whole, strict=True)):
        assert one.converged and one.energy == pytest.approx(other.energy, abs=1e-4)
        taken = before[k]
        assert one.energies[:taken] == pytest.approx(other.energies[:taken], abs=1e-9)
        assert f"converged in {len(one.energies) - 1} steps" == one.message
    np.testing.assert_allclose(rest[1].atoms.positions[0], systems[1].positions[0], atol=1e-7)
    # other settings begin anew, more steps do not
    with pytest.raises(Interrupted):  # as that of one
        relax_many(systems, calc, config, step=stop, checkpoint=file)
    same, other = (
        Checkpoint(file, systems, calc, dataclasses.replace(config, **change)).read()
        for change in ({"max_steps": 9}, {"fmax": 0.5})
    )
    assert sorted(same) == [0, 1, 2, 3] and other == {}
    file.write_text("")
    assert Checkpoint(file, systems, calc, config).read() == {}


def test_of_two_runs_with_one_checkpoint_the_second_is_refused(tmp_path):
    """As jobs on parts of a file are that write into one folder: one would take the other's."""
    file, settings = tmp_path / "c.extxyz", {"keep_checkpoint": True}
    found = []

    class Late(EMT):
        def calculate(self, *args, **keywords):
            if not found:
                other = relax_many([shaken("H2O")], EMT(), checkpoint=file, **settings)
                found.append((other, file.read_bytes()))
            super().calculate(*args, **keywords)

    with pytest.raises(InputError, match=r"c\.extxyz was written by another run meanwhile"):
        relax_many([shaken("CH4")], Late(), checkpoint=file, **settings)
    ((other,), content) = found[0]
    assert other.converged and file.read_bytes() == content


def test_nothing_and_nonsense():
    assert relax_many([], MLSEQM(), CONFIG) == []
    with pytest.raises(InputError, match="BFGS, LBFGS, FIRE for many"):
        relax_many([molecule("H2O")], MLSEQM(), RelaxConfig(optimizer="BFGSLineSearch"))


def test_what_does_not_fit_into_memory_fails_as_it_does_alone(monkeypatch):
    """Its SCF has not been tried."""
    monkeypatch.setattr(buckets, "physical", lambda: 3e5)
    calc, big = MLSEQM(method="PM3", max_memory=1e6), molecule("C6H6")
    with pytest.raises(CalculationFailed, match="memory") as alone:
        relax(big, calc)
    small, found = relax([molecule("H2O"), big], calc)
    assert small.converged
    assert (type(found), str(found)) == (type(alone.value), str(alone.value))
