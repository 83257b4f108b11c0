"""Structures for the tests of dynamics."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm.workflows import MDConfig
from ase_mlseqm.workflows.md_config import set_velocities


@pytest.fixture
def grid():
    """Eight atoms at the corners of a cube."""
    return Atoms("CNOCNOCN", [(x, y, z) for x in (0, 2) for y in (0, 2) for z in (0, 2)])


@pytest.fixture
def warm():
    """Water with velocities of 300 K."""
    atoms = molecule("H2O")
    set_velocities(atoms, MDConfig(), np.random.default_rng(1))
    return atoms
