"""Paths and transition states of lists: each as it is alone, shared batches, failures."""

import dataclasses
import sys
import types

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, CalculatorError, SCFError
from ase.calculators.emt import EMT
from ase.io import read
from reactions import hop, inversion, isomerisation, planar, torsion

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.ts import TSConfig, ts

SHORT = NEBConfig(images=5, max_steps=12)
DIMER = TSConfig(refiner="dimer", irc=False)


def pm3():
    return MLSEQM(method="PM3")


def columns(*reactions):
    """Reactants and products."""
    return [list(column) for column in zip(*(ends() for ends in reactions), strict=True)]


def same_path(found, alone, digits=1e-6):
    assert (found.steps, found.message) == (alone.steps, alone.message)
    assert found.config == alone.config
    for image, expected in zip(found.images, alone.images, strict=True):
        np.testing.assert_allclose(image.positions, expected.positions, rtol=0, atol=digits)


def test_paths_share_batches(engine_calls, tmp_path):
    """As many calls as the longest alone, not as all together, and the same paths."""
    reactions = (inversion, torsion, isomerisation)
    files = [tmp_path / f"{ends.__name__}.extxyz" for ends in reactions]
    found = neb(*columns(*reactions), pm3(), SHORT, path=files)
    together, counts = len(engine_calls), []
    assert max(engine_calls) > SHORT.images
    for ends, one, file in zip(reactions, found, files, strict=True):
        engine_calls.clear()
        same_path(one, neb(*ends(), pm3(), SHORT))
        counts.append(len(engine_calls))
        assert read(file, 0).info["step"] == one.steps
    # the paths start after relaxations of different lengths
    assert max(counts) <= together < 0.75 * sum(counts)


def test_paths_that_were_cut_off_go_on_together(tmp_path, engine_calls):
    ends, files = columns(inversion, torsion), [tmp_path / "a.xyz", tmp_path / "b.xyz"]
    whole = neb(*ends, pm3(), SHORT)
    neb(*ends, pm3(), dataclasses.replace(SHORT, max_steps=4), path=files)
    engine_calls.clear()
    for one, other in zip(neb(*ends, pm3(), SHORT, path=files), whole, strict=True):
        same_path(one, other)
    assert engine_calls[0] == 2 * (SHORT.images - 2)


def test_a_file_without_a_place_is_told_at_once(tmp_path):
    """Not after all other paths are done, which go on from their own files."""
    ends, good = columns(isomerisation, inversion), tmp_path / "good.extxyz"
    with pytest.raises(OSError, match="nowhere"):
        neb(*ends, pm3(), SHORT, path=[good, tmp_path / "nowhere" / "path.extxyz"])
    whole = neb(*ends, pm3(), SHORT)
    assert not good.exists() or read(good, 0).info["step"] < whole[0].steps
    again = neb(*ends, pm3(), SHORT, path=[good, tmp_path / "other.extxyz"])
    for one, other in zip(again, whole, strict=True):
        same_path(one, other)


def test_paths_that_fail_do_no_harm():
    """Ends of different atoms, of unknown elements, that are one structure, and none at all."""
    xenon = Atoms("XeHF", [(0, 0, 0), (0, 0, 1.6), (0, 1.6, 0)])
    moved = xenon.copy()
    moved.positions[2] *= -1
    reactants, products = columns(inversion, isomerisation)
    reactants[1:1] = [molecule("H2O"), xenon, molecule("HCN"), "nothing"]
    products[1:1] = [molecule("NH3"), moved, molecule("HCN"), molecule("HCN")]
    found = neb(reactants, products, pm3(), SHORT)
    sentences = ("the reactant is H2O, the product H3N", "Xe", "the same structure", "structure")
    for one, sentence in zip(found[1:5], sentences, strict=True):
        assert isinstance(one, CalculatorError | InputError) and sentence in str(one)
    for place, ends in ((0, inversion), (5, isomerisation)):
        same_path(found[place], neb(*ends(), pm3(), SHORT))


class Failing(EMT):
    """Gives up when gold is near its first place."""

    def calculate(self, atoms, *args):
        super().calculate(atoms, *args)
        if abs(atoms.positions[-1, 1] - 1.0) < 0.01:
            raise SCFError("lost")


def test_paths_with_another_calculator():
    """One after the other, with all digits of each alone."""
    lost = hop()
    for atoms in lost:
        atoms.positions[-1, 1] = 1.0
    reactants, products = columns(hop, hop)
    reactants.insert(1, lost[0])
    products.insert(1, lost[1])
    settings = NEBConfig(images=5, relax_ends=False)
    found = neb(reactants, products, Failing(), settings)
    assert isinstance(found[1], SCFError) and "lost" in str(found[1])
    alone = neb(*hop(), EMT(), settings)
    assert alone.converged
    for one in (found[0], found[2]):
        same_path(one, alone, 0.0)


def test_tblite():
    tblite = pytest.importorskip("tblite.ase")

    def gfn2():
        return tblite.TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0)

    settings = NEBConfig(images=3, max_steps=2)
    found = neb(*columns(inversion, isomerisation), gfn2(), settings)
    for ends, one in zip((inversion, isomerisation), found, strict=True):
        same_path(one, neb(*ends(), gfn2(), settings))
    states = ts([planar(), molecule("N2"), planar()], gfn2(), DIMER)
    assert isinstance(states[1], InputError) and "2 atoms" in str(states[1])
    energy = ts(planar(), gfn2(), DIMER).energy
    assert [states[k].energy for k in (0, 2)] == pytest.approx([energy] * 2, abs=1e-6)


def bent():
    """A guess between HCN and HNC."""
    return Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])


def same_state(found, alone):
    assert found.converged and found.message == alone.message
    assert found.energy == pytest.approx(alone.energy, abs=1e-6)
    np.testing.assert_allclose(found.vibrations.frequencies, alone.vibrations.frequencies, atol=0.5)
    assert found.barriers == pytest.approx(alone.barriers, abs=1e-5)
    assert found.connects is alone.connects


def test_transition_states_share_batches(engine_calls, tmp_path):
    """With ends for one of them; the checkpoints are those of each."""
    up, down = inversion()
    guesses, files = [bent(), planar()], [tmp_path / "a.json", tmp_path / "b.json"]
    ends = {"reactant": [None, up], "product": [None, down]}
    found = ts(guesses, pm3(), TSConfig(refiner="dimer"), checkpoint=files, **ends)
    together, counts = len(engine_calls), []
    for k, one in enumerate(found):
        engine_calls.clear()
        own = {name: column[k] for name, column in ends.items()}
        same_state(one, ts(guesses[k], pm3(), TSConfig(refiner="dimer"), **own))
        counts.append(len(engine_calls))
    assert found[0].connects is None and found[1].connects
    assert max(counts) <= together < 0.75 * sum(counts)
    engine_calls.clear()
    again = ts(guesses, pm3(), TSConfig(refiner="dimer"), checkpoint=files, **ends)
    assert engine_calls == []
    assert [one.barriers for one in again] == [one.barriers for one in found]


def test_transition_states_that_fail_do_no_harm():
    guesses = [planar(), molecule("N2"), Atoms("XeH2", np.eye(3)), planar()]
    ends = [None, None, None, molecule("H2O")]
    found = ts(guesses, pm3(), DIMER, reactant=ends)
    for one, sentence in zip(found[1:], ("2 atoms", "Xe", "atoms of the guess"), strict=True):
        assert isinstance(one, CalculatorError | InputError) and sentence in str(one)
    same_state(found[0], ts(planar(), pm3(), DIMER))


@pytest.mark.parametrize("error", [np.linalg.LinAlgError, RuntimeError])
def test_sella_that_breaks_down(error, monkeypatch):
    """Its own errors belong to one guess, too."""

    class Sella:
        nsteps = 0

        def __init__(self, atoms, **keywords):
            self.atoms = atoms

        def attach(self, step):
            self.observer = step

        def run(self, **keywords):
            self.observer()
            if self.atoms.positions[0, 1]:
                raise error("singular")
            return True

    monkeypatch.setitem(sys.modules, "sella", types.SimpleNamespace(Sella=Sella))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    config = dataclasses.replace(DIMER, refiner="sella")
    found = ts([bent(), planar()], pm3(), config)
    assert isinstance(found[0], CalculationFailed)
    assert str(found[0]) == "sella broke down in step 0: singular"
    assert found[1].energy == pytest.approx(pm3().get_potential_energy(planar()), abs=1e-6)


def test_lists_that_make_no_sense():
    up, down = inversion()
    with pytest.raises(InputError, match="product: give a list of 2, one for each"):
        neb([up, up], [down], EMT())
    with pytest.raises(InputError, match="product: give a list of 1, one for each"):
        neb([up], down, EMT())
    with pytest.raises(InputError, match="path: give a list of 1"):
        neb([up], [down], EMT(), path="name.extxyz")
    with pytest.raises(InputError, match="a callback is for one path"):
        neb([up], [down], EMT(), callback=print)
    with pytest.raises(InputError, match="checkpoint: give a list of 1"):
        ts([up], EMT(), checkpoint="name.json")
    with pytest.raises(InputError, match="a callback is for one guess"):
        ts([up], EMT(), callback=print)
    assert neb([], [], EMT()) == ts([], EMT()) == []
