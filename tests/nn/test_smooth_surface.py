"""The surface of the shipped model where the network's vectors cancel by symmetry."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm import evaluate

AXIS = np.array([1.0, 0.0, 0.0])
CASES = {
    "carbon dioxide": (Atoms("COO", [(0, 0, 0), 1.166 * AXIS, -1.166 * AXIS]), 0.01),
    "methane": (molecule("CH4"), 0.01),
    "ethyne": (Atoms("CCHH", [0.6 * AXIS, -0.6 * AXIS, 1.66 * AXIS, -1.66 * AXIS]), 0.01),
    "carbon suboxide": (
        Atoms("C3O2", np.outer([0, 1.275, -1.275, 2.43, -2.43], AXIS)),
        0.05,  # the middle of a chain of double bonds is anharmonic, too
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("direction", [0, 1])
def test_force_constants_do_not_depend_on_the_step(name, direction):
    """The curvature for the first atom is the same for steps of 0.001 and 0.01 Angstrom.

    With a cusp rounded on the scale of 0.001, carbon dioxide's would fall by a twelfth.
    """
    atoms, bound = CASES[name]
    steps = np.array([0.001, -0.001, 0.01, -0.01])
    moved = []
    for step in steps:
        moved.append(atoms.copy())
        moved[-1].positions[0, direction] += step
    force = [point.forces[0, direction] for point in evaluate(moved, properties=("forces",))]
    near, far = (-(force[k] - force[k + 1]) / (2 * steps[k]) for k in (0, 2))
    assert near > 1.0
    assert far == pytest.approx(near, rel=bound)
