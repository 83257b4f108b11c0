"""Errors by kind of label (benchmarks/causes.py)."""

import sys
from pathlib import Path

import pytest
from ase.build import molecule

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("tblite")

import causes

sys.path.pop(0)  # names there, such as training, also are names of folders here


def test_gfn2_computes_the_states_of_labels():
    """TBLite reads neither from ``info``: ions were neutral."""
    neutral, cation, triplet = (molecule("CH2_s1A1d") for _ in range(3))
    cation.info["charge"], triplet.info["multiplicity"] = 1, 3
    energies, _ = causes.gfn2([neutral, cation, triplet])
    assert energies[1] - energies[0] > 5.0
    assert abs(energies[2] - energies[0]) > 0.1
