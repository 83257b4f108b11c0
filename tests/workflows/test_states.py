"""Workflows and the solutions that an SCF can have: the lowest is followed, or it is said."""

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import read, write

from ase_mlseqm import MLSEQM, evaluate
from ase_mlseqm.cli import app as cli
from ase_mlseqm.engine import Engine
from ase_mlseqm.scf import driver, search
from ase_mlseqm.workflows import harmonic as module
from ase_mlseqm.workflows.harmonic import harmonic
from ase_mlseqm.workflows.many import Many
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.relax_lower import has_lower

CONFIG = RelaxConfig(fmax=0.02)


@pytest.fixture
def stretched():
    """Nitrogen dioxide, so wide that its lowest state is not that of its minimum."""
    atoms = molecule("NO2")
    atoms.positions *= 1.3
    return atoms


def pm3(**options):
    return MLSEQM(method="PM3", **options)


def test_a_relaxation_leaves_a_state_that_is_no_longer_the_lowest(stretched, monkeypatch):
    """At its end at the latest: here the SCF does not see it on the way."""
    monkeypatch.setattr(search, "MOVABLE_GAP", 0.0)
    monkeypatch.setattr(driver, "FOLLOWED_GAP", 0.0)
    monkeypatch.setattr(driver, "leave_saddles", lambda *given: given[-1] & False)
    lowest = relax(molecule("NO2"), pm3(), CONFIG)
    seen = []
    alone = relax(stretched, pm3(), CONFIG, callback=lambda *row: seen.append(row))
    (many, water) = relax([stretched, molecule("H2O")], pm3(), CONFIG)
    for result in (alone, many):
        assert result.converged
        assert result.energy == pytest.approx(lowest.energy, abs=1e-3)
        (anew,) = evaluate([result.atoms], "PM3", ("energy", "forces"))
        assert result.energy == pytest.approx(anew.energy, abs=1e-6)
        assert np.linalg.norm(anew.forces, axis=1).max() < 0.02
    assert [row[0] for row in seen] == list(range(len(alone.energies)))
    # at one and the same structure the energy fell
    jump = int(np.argmin(np.diff(alone.energies)[5:])) + 5
    assert alone.energies[jump + 1] < alone.energies[jump] - 1.0
    assert water.steps == relax([molecule("H2O")], pm3(), CONFIG)[0].steps


def test_what_has_no_other_state_is_computed_once_more_only(monkeypatch):
    calls, run = [], Engine.run

    def counting(self, molecules, *args, **keywords):
        calls.append(keywords.get("guesses"))
        return run(self, molecules, *args, **keywords)

    monkeypatch.setattr(Engine, "run", counting)
    result = relax(molecule("H2O"), pm3(), CONFIG)
    assert len(calls) == len(result.energies) + 1
    assert calls[-1] == [None]  # from scratch
    calls.clear()
    result = relax(molecule("H2O"), pm3(reuse_density=False), CONFIG)
    assert len(calls) == len(result.energies)
    assert has_lower([molecule("H2O")], EMT()) == [False]


def test_the_command_gives_the_properties_of_the_state_that_was_relaxed(
    stretched, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write("a.extxyz", [stretched, molecule("H2O")])
    line = ["relax", "a.extxyz", "--method", "PM3", "--fmax", "0.02", "--no-figure"]
    assert cli.main(line) == 0
    (frame, _) = read("a_relaxed.extxyz", ":")
    assert frame.info["relaxed"] and np.linalg.norm(frame.get_forces(), axis=1).max() < 0.02
    # a fresh SCF that ends elsewhere does not pass for the relaxed structure
    energy, run = frame.get_potential_energy(), Engine.run

    def another(self, molecules, properties=(), **keywords):
        found = run(self, molecules, properties, **keywords)
        if "bond_orders" in properties:
            found[0] = found[0].__class__(**{**vars(found[0]), "energy": energy + 1.0})
        return found

    monkeypatch.setattr(Engine, "run", another)
    capsys.readouterr()
    assert cli.main([*line, "--json"]) == 1
    assert "did not end in its state" in capsys.readouterr().out
    (frame, water) = read("a_relaxed.extxyz", ":")
    assert not frame.info["relaxed"] and water.info["relaxed"]


def test_densities_of_lists_are_used_as_the_calculator_says(monkeypatch):
    guesses, run = [], Engine.run

    def watching(self, molecules, *args, **keywords):
        guesses.append([g is not None for g in keywords["guesses"]])
        return run(self, molecules, *args, **keywords)

    monkeypatch.setattr(Engine, "run", watching)
    for reuse in (True, False):
        many = Many(pm3(reuse_density=reuse))
        for _ in range(2):
            many([molecule("H2O"), molecule("NH3")])
        many.forget(0)
        many([molecule("H2O"), molecule("NH3")])
    assert guesses == [[False] * 2, [True] * 2, [False, True], *[[False] * 2] * 3]


def test_densities_of_structures_far_away_or_of_others_are_not_used():
    """Where an atom moved by half an Angstrom or more, as with the calculator itself."""
    many, water = Many(pm3()), molecule("H2O")
    many([water])
    for shift, used in ((0.49, True), (0.51, False), (-0.51, False)):
        positions = water.positions.copy()
        positions[2, 1] += shift
        assert (many.density(0, positions) is not None) == used
    assert many.density(0, molecule("NH3").positions) is None
    assert many.density(1, water.positions) is None


def test_a_hessian_from_two_states_is_doubted(monkeypatch):
    atoms = relax(molecule("H2O"), pm3(), RelaxConfig(fmax=1e-3)).atoms
    assert harmonic(atoms, pm3()).messages == []
    differenced = module.hessians

    def broken(*args, **keywords):
        (found,) = differenced(*args, **keywords)
        return [found.__class__(found.hessian, 7.5, found.dipole_derivatives)]

    monkeypatch.setattr(module, "hessians", broken)
    (message,) = harmonic(atoms, pm3()).messages
    assert message.startswith("elements of the Hessian that should be equal differ by up to 7.5")
