"""Numbers are float64, whatever torch is set to, and the input stays as it was."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase.build import molecule as g2
from helpers import TIGHT, build, run, single
from mixture import same

from ase_mlseqm import Engine
from ase_mlseqm.batch import Molecule
from ase_mlseqm.model import PlainModel
from ase_mlseqm.singlepoint import PROPERTIES


def test_float64_everywhere():
    molecules = [build("CH3OH"), build("CH3", 0, 2)]
    for result in run(molecules, "PM3", PROPERTIES):
        for field in dataclasses.fields(result):
            value = getattr(result, field.name)
            if isinstance(value, np.ndarray):
                assert value.dtype == np.float64, field.name
            if isinstance(value, dict):
                assert {v.dtype for v in value.values()} == {np.dtype(np.float64)}


def test_results_do_not_depend_on_the_default_dtype():
    molecule = build("CH3OH")
    expected = single(molecule, "PM3", ("energy", "forces"))
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            result = Engine(PlainModel("PM3"), scf=TIGHT).run([molecule])[0]
            same(result, expected)
            assert result.forces.dtype == np.float64
    finally:
        torch.set_default_dtype(before)


def test_float32_positions_are_computed_in_float64():
    atoms = g2("CH3OH")
    atoms.positions = atoms.positions.astype(np.float32)
    low = Molecule(atoms.numbers, atoms.positions.astype(np.float32))
    high = Molecule(atoms.numbers, atoms.positions)
    same(single(low, "PM3", ("energy", "forces")), single(high, "PM3", ("energy", "forces")))


def test_grad_mode_of_the_caller():
    molecule = build("CH3OH")
    expected = single(molecule, "PM3", ("energy", "forces"))
    with torch.no_grad():
        same(single(molecule, "PM3", ("energy", "forces")), expected)
    with torch.inference_mode():
        same(single(molecule, "PM3", ("energy", "forces")), expected)
    assert torch.is_grad_enabled()


def test_input_is_not_changed():
    molecule = build("CH3OH")
    numbers, positions = molecule.numbers.copy(), molecule.positions.copy()
    result = single(molecule, "PM3", PROPERTIES)
    result.forces[:] = 0.0
    np.testing.assert_array_equal(molecule.numbers, numbers)
    np.testing.assert_array_equal(molecule.positions, positions)
    assert np.abs(single(molecule, "PM3", PROPERTIES).forces).max() > 0.1


FIRST = """
import torch
from ase.build import molecule
from ase_mlseqm import MLSEQM, evaluate
atoms = molecule("CH3OH")
with {surroundings}:
    (first,) = evaluate([atoms])
    atoms.calc = MLSEQM(uncertainty=True)
    atoms.get_forces()
    assert atoms.calc.singlepoint.uncertainty > 0
(second,) = evaluate([atoms])
assert abs(first.forces - second.forces).max() < 1e-9
"""


@pytest.mark.parametrize("surroundings", ["torch.inference_mode()", "torch.device('meta')"])
def test_the_first_calculation_may_be_anywhere(surroundings):
    """What is made in inference mode, or on a default device that others chose, and kept would
    spoil the calculations to come."""
    script = FIRST.format(surroundings=surroundings)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
