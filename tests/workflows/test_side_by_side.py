"""Functions side by side: answers of each alone, shared batches, failures, and how they end."""

import dataclasses
import threading
from contextlib import closing

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculatorSetupError
from ase.calculators.emt import EMT
from ase.optimize import BFGS
from reactions import inversion, isomerisation, planar, torsion

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.asking import Request
from ase_mlseqm.engine import Engine
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.side_by_side import side_by_side
from ase_mlseqm.workflows.ts import TSConfig, ts

SHORT = NEBConfig(images=5, max_steps=15)


def pm3(**options):
    return MLSEQM(method="PM3", **options)


def path(ends, calc):
    return neb(*ends, calc, SHORT)


def relaxed(atoms, calc):
    """Energy (eV) and number of steps of ASE's BFGS."""
    atoms = atoms.copy()
    atoms.calc = calc
    with BFGS(atoms, logfile=None) as optimizer:
        optimizer.run(fmax=0.01)
        return atoms.get_potential_energy(), optimizer.nsteps


def test_paths_are_those_of_each_alone():
    """The batches change what an SCF starts from by nothing, so the paths are the same."""
    reactions = [inversion(), torsion(), isomerisation()]
    found = dict(side_by_side(path, reactions, pm3()))
    for k, ends in enumerate(reactions):
        alone = path(ends, pm3())
        assert found[k].steps == alone.steps
        assert found[k].barrier == pytest.approx(alone.barrier, abs=1e-6)
        assert found[k].max_force == pytest.approx(alone.max_force, abs=1e-4)


def test_transition_states_with_hessians_inside():
    """Sella or the dimer, the Hessian and what follows run as they are."""
    guesses = [planar(), planar()]
    guesses[1].rotate(40, "x")
    config = TSConfig(refiner="dimer", irc=False)
    both = [r for _, r in side_by_side(lambda g, calc: ts(g, calc, config), guesses, pm3())]
    alone = ts(guesses[0], pm3(), config)
    for result in both:
        assert result.converged
        np.testing.assert_allclose(
            result.vibrations.frequencies, alone.vibrations.frequencies, atol=0.5
        )


def test_what_is_asked_for_together_is_one_run(engine_calls):
    """Three relaxations of different lengths take as many runs as the longest."""
    molecules = [molecule(name) for name in ("H2O", "CH3OH", "NH3")]
    found = dict(side_by_side(relaxed, molecules, pm3()))
    together = len(engine_calls)
    steps = [found[k][1] for k in range(3)]
    assert len(set(steps)) > 1
    assert together == max(steps) + 1  # one before the first step
    assert max(engine_calls) == 3


def test_not_more_at_once_than_asked_for(engine_calls):
    """The next one starts when one has ended."""
    molecules = [molecule(name) for name in ("H2O", "NH3", "CH4", "HF", "CO")]
    found = list(side_by_side(relaxed, molecules, pm3(), at_once=2))
    assert sorted(k for k, _ in found) == list(range(5))
    assert max(engine_calls) == 2
    for k, (energy, _) in found:
        assert energy == pytest.approx(relaxed(molecules[k], pm3())[0], abs=1e-7)


def test_a_failure_belongs_to_one():
    """What cannot be computed, and an error of the function, do no harm to the others."""

    def work(item, calc):
        if isinstance(item, str):
            raise ValueError(item)
        return relaxed(item, calc)

    items = [molecule("H2O"), Atoms("XeH", [(0, 0, 0), (0, 0, 1.6)]), "odd", molecule("NH3")]
    found = dict(side_by_side(work, items, pm3()))
    assert isinstance(found[1], CalculatorSetupError)
    assert "Xe" in str(found[1])
    assert isinstance(found[2], ValueError)
    for k in (0, 3):
        assert found[k][0] == pytest.approx(relaxed(items[k], pm3())[0], abs=1e-7)


def test_an_invalid_request_among_valid_ones():
    """Requests that are alike fail each for itself."""
    engine = Engine("PM3")
    water = MLSEQM(method="PM3")._prepare(molecule("H2O"))[1]
    good, bad = (Request(engine, [water], properties) for properties in (["energy"], ["mass"]))
    odd = Request(engine, [water, dataclasses.replace(water, multiplicity=2)], ["energy"])
    Request.meet([good, bad, odd])
    assert good.answer()[0].converged
    with pytest.raises(InputError, match="unknown property 'mass'"):
        bad.answer()
    with pytest.raises(InputError, match="electrons"):
        odd.answer()


def test_whoever_stops_listening_ends_all():
    """No thread is left when the results are not wanted any more."""
    before = threading.active_count()
    molecules = [molecule(name) for name in ("H2O", "C2H6", "C6H6")]
    with closing(side_by_side(relaxed, molecules, pm3(), at_once=3)) as results:
        next(results)
        assert threading.active_count() > before
    assert threading.active_count() == before


@pytest.mark.timeout(60)
def test_one_that_computes_while_it_is_stopped_ends_too():
    """As a function does that writes its last energy whatever happens."""

    def stubborn(atoms, calc):
        atoms.calc = calc
        try:
            for _ in range(1 if len(atoms) == 3 else 99):
                atoms.rattle(0.01)
                atoms.get_potential_energy()
        finally:
            atoms.rattle(0.01, seed=1)
            atoms.get_potential_energy()

    before = threading.active_count()
    molecules = [molecule("H2O"), molecule("NH3"), molecule("CH4")]
    with closing(side_by_side(stubborn, molecules, pm3(), at_once=3)) as results:
        next(results)
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_an_interruption_ends_all(monkeypatch):
    """Ctrl-C during a batch reaches the caller."""
    run, calls = Engine.run, []

    def interrupted(self, molecules, *args, **keywords):
        calls.append(len(molecules))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, molecules, *args, **keywords)

    monkeypatch.setattr(Engine, "run", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(relaxed, [molecule("H2O"), molecule("NH3")], pm3()))
    assert calls[-1] == 2
    assert threading.active_count() == before


def test_none_at_once():
    with pytest.raises(InputError, match="at_once is 0"):
        list(side_by_side(relaxed, [molecule("H2O")], pm3(), at_once=0))


def test_an_exit_is_no_result():
    """What is no error of one item ends all."""

    def work(item, calc):
        if item is None:
            raise SystemExit(3)
        return relaxed(item, calc)

    before = threading.active_count()
    with pytest.raises(SystemExit):
        list(side_by_side(work, [molecule("C2H6"), None], pm3()))
    assert threading.active_count() == before


def test_each_has_a_calculator_with_the_same_keywords():
    """Such as a field, which changes the energy."""
    field = (0.0, 0.0, 0.5)
    ((_, (energy, _)),) = side_by_side(relaxed, [molecule("H2O")], pm3(field=field))
    assert energy == pytest.approx(relaxed(molecule("H2O"), pm3(field=field))[0], abs=1e-7)
    assert abs(energy - relaxed(molecule("H2O"), pm3())[0]) > 0.01


def test_another_calculator_takes_them_in_turn():
    """An error is a result there, too."""
    dimers = [Atoms("Cu2", [(0, 0, 0), (0, 0, 2.4)]), Atoms("W2", [(0, 0, 0), (0, 0, 2.4)])]
    dimers.append(Atoms("Al2", [(0, 0, 0), (0, 0, 2.6)]))
    found = list(side_by_side(relaxed, dimers, EMT()))
    assert [k for k, _ in found] == [0, 1, 2]
    assert isinstance(found[1][1], NotImplementedError)
    assert found[2][1][0] == relaxed(dimers[2], EMT())[0]
