"""Dispersion at the minima of S66 (benchmarks/s66.py), with the public half of S66x8."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED

from ase_mlseqm import evaluate

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import s66

FILE = SHARED / "s66x8_half.h5"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="needs the half of S66x8")


@pytest.fixture(scope="module")
def curves():
    return s66.read_s66x8(FILE)


def energies(systems, method="PM3", **keywords):
    """With one method, eV; None is the shipped model."""
    return np.array([p.energy for p in evaluate(systems, method, ("energy",), **keywords)])


def errors(curves, values):
    """At the minima, kcal/mol."""
    return values[:, s66.AT_MINIMUM] - np.array(s66.CCSDT)[list(curves)]


def test_energies_that_add_up_do_not_interact(curves):
    """The parts are the two molecules of every dimer."""
    values = s66.interactions(curves, lambda systems: [sum(a.numbers**1.5) for a in systems])
    assert np.abs(values).max() < 1e-9
    assert len(s66.CCSDT) == 66 and values.shape == (33, 8)


def test_references_are_those_that_gfn2_reaches(curves):
    """Its published error on S66 is 0.7 kcal/mol: another order of the numbers would show."""
    interface = pytest.importorskip("tblite.interface")

    def gfn2(systems):
        found = []
        for atoms in systems:
            calc = interface.Calculator("GFN2-xTB", atoms.numbers, atoms.positions / 0.529177211)
            calc.set("verbosity", 0)
            found.append(27.211386 * calc.singlepoint().get("energy"))
        return found

    few = dict(list(curves.items())[::3])
    found = errors(few, s66.interactions(few, gfn2))
    assert np.abs(found).mean() < 1.0


@pytest.mark.parametrize(("name", "points"), [("wb97x-d3bj", 8), ("wb97x-d4", 7)])
def test_dispersion_binds_what_pm3_does_not(curves, name, points):
    """It mends stacks and mixed dimers, where PM3 lacks it, and moves minima inwards.

    At twice the distance D4 repels in four dimers, by 0.08 kcal/mol at most: so says dftd4, too.
    """
    plain = s66.interactions(curves, energies)
    corrected = s66.interactions(curves, lambda x: energies(x, dispersion=name))
    assert (corrected < plain)[:, :points].all()
    places = np.array(list(curves))
    for kind in ("dispersion", "mixed"):
        own = np.isin(places, s66.KINDS[kind])
        before, after = (np.abs(errors(curves, v)[own]).mean() for v in (plain, corrected))
        assert after < 0.5 * before
    before, after = s66.minima(plain), s66.minima(corrected)
    both = np.isfinite(before + after)
    assert both.sum() > 10
    assert (after[both] < before[both]).all()


def test_learned_model_gets_the_same_dispersion(curves):
    """D3 knows positions alone: what it adds does not depend on the Hamiltonian."""
    few = dict(list(curves.items())[::5])

    def added(method):
        plain, corrected = (
            s66.interactions(few, partial(energies, method=method, dispersion=name))
            for name in (None, "wb97x-d3bj")
        )
        return corrected - plain

    learned = added(None)
    assert (learned < 0).all() and learned.min() < -5
    assert np.abs(learned - added("PM3")).max() < 1e-6
