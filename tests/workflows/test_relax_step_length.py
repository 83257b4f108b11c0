"""No atom moves further in one step of a relaxation than it may."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.relax_config import OPTIMIZERS
from ase_mlseqm.workflows.relax_many import ONE_FORCE_A_STEP, relax_many

CLUSTERS = [
    Atoms("Cu3", [(0, 0, 0), (2.0, 0, 0), (0.5, 3.4, 0)]),
    Atoms("Cu4", [(0, 0, 0), (2.0, 0, 0), (0, 2.1, 0), (0.5, 0.4, 2.9)]),
]


class Recording(EMT):
    """Keeps the positions it was asked for, by the number of atoms."""

    def __init__(self):
        super().__init__()
        self.asked = defaultdict(list)

    def calculate(self, atoms, *args):
        self.asked[len(atoms)].append(atoms.positions.copy())
        super().calculate(atoms, *args)

    def steps(self, size):
        """Largest displacement of an atom in every step, Angstrom."""
        pairs = itertools.pairwise(self.asked[size])
        return np.array([np.linalg.norm(b - a, axis=1).max() for a, b in pairs])


def kept(steps, length):
    """The first steps of such clusters would be far longer."""
    return length * 0.5 < steps.max() < length * (1 + 1e-9) and len(steps) > 3


@pytest.mark.parametrize("length", [0.02, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_alone(optimizer, length):
    calc = Recording()
    config = RelaxConfig(optimizer=optimizer, max_step_length=length, max_steps=30)
    relax(CLUSTERS[0], calc, config)
    assert kept(calc.steps(3), length)


@pytest.mark.parametrize("length", [0.02, 0.1])
@pytest.mark.parametrize("optimizer", ONE_FORCE_A_STEP)
def test_together(optimizer, length):
    calc = Recording()
    config = RelaxConfig(optimizer=optimizer, max_step_length=length, max_steps=30)
    relax_many(CLUSTERS, calc, config)
    for cluster in CLUSTERS:
        assert kept(calc.steps(len(cluster)), length)
