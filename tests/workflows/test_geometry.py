"""Which atoms are bonded, by how far they are apart."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm.unwrap import make_whole
from ase_mlseqm.workflows.geometry import bonds

LONG = {
    "H2 of GFN2-xTB, by xtb": ("HH", [[0, 0, 0], [0, 0, 0.777]]),
    "F2 of AM1, by MOPAC": ("FF", [[0, 0, 0], [0, 0, 1.427]]),
    "bifluoride, by experiment": ("FHF", [[0, 0, -1.145], [0, 0, 0], [0, 0, 1.145]]),
    "FOOF, by experiment: 1.575 and 1.217 Angstrom, 109.5 and 87.5 degrees": (
        "FOOF",
        [[1.485, 0, -0.526], [0, 0, 0], [0, 0, 1.217], [0.065, 1.483, 1.743]],
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_long_bonds_of_hydrogen_and_fluorine(name):
    symbols, positions = LONG[name]
    chain = Atoms(symbols, positions)
    assert bonds(chain) == {(k, k + 1) for k in range(len(chain) - 1)}
    cut = Atoms(symbols, positions, cell=[9, 9, 9], pbc=True)
    cut.positions[:, 2] -= 0.5 * chain.get_distance(0, 1)
    cut.wrap()
    assert make_whole(cut)
    np.testing.assert_allclose(cut.get_all_distances(), chain.get_all_distances(), atol=1e-9)


@pytest.mark.parametrize("name", ["CF4", "C2F4", "NF3", "H2CF2", "CH3COF", "C2H6", "H2O"])
def test_neighbours_of_one_atom_are_not_bonded(name):
    found = bonds(molecule(name))
    assert len(found) == len(molecule(name)) - 1, "a tree"


def test_hydrogen_bonds_are_none():
    """The dimer of hydrogen fluoride, by experiment: F and F 2.73 Angstrom apart."""
    pair = Atoms("FHFH", [[0, 0, 0], [0, 0, 0.93], [0, 0, 2.73], [0.83, 0, 3.14]])
    assert bonds(pair) == {(0, 1), (2, 3)}
