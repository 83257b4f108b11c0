"""Hybridisation from bonds against RDKit (see make_environments.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ase_mlseqm.explain.environments import environments
from ase_mlseqm.training.graph import bonds

MOLECULES = json.loads(Path(__file__).with_name("environments.json").read_text())["molecules"]


def found(name: str):
    """Numbers, bonds and environments of a molecule, from its geometry."""
    entry = MOLECULES[name]
    numbers = np.array(entry["numbers"])
    linked = bonds(numbers, np.array([entry["positions"]]))[0]
    return numbers, linked, environments(numbers, linked)


@pytest.mark.parametrize("name", [name for name in MOLECULES if name != "p-xylylene"])
def test_hybridisation_is_that_of_rdkit(name):
    numbers, linked, got = found(name)
    assert {tuple(b) for b in np.argwhere(np.triu(linked))} == {
        tuple(sorted(b)) for b in MOLECULES[name]["bonds"]
    }
    heavy = numbers > 1
    expected = np.array(MOLECULES[name]["hybridisation"])[heavy]
    assert got.hybridisation[heavy].tolist() == expected.tolist()


def test_a_quinoid_ring_is_not_aromatic():
    """RDKit thinks otherwise of p-xylylene, but not of benzoquinone and fulvene."""
    assert "aromatic" not in found("p-xylylene")[2].hybridisation


def test_order_of_atoms_does_not_matter():
    numbers, linked, got = found("adenine")
    order = np.random.default_rng(0).permutation(len(numbers))
    other = environments(numbers[order], linked[np.ix_(order, order)])
    assert (other.hybridisation == got.hybridisation[order]).all()
    assert (other.neighbours == got.neighbours[order]).all()


def test_hydrogen_and_neighbours_are_named():
    numbers, _, got = found("methyl acetate")
    assert set(got.hybridisation[numbers == 1]) == {"sp3 C"}
    assert sorted(got.neighbours[numbers == 6]) == ["CHHH", "COO", "OHHH"]
    numbers, _, got = found("phenol")
    assert sorted(set(got.hybridisation[numbers == 1])) == ["aromatic C", "sp2 O"]


def test_odd_things_have_a_name():
    got = environments(np.array([1, 1, 1, 10]), np.diag([1, 0, 0], 1).astype(bool) | _transposed())
    assert got.hybridisation.tolist() == ["H", "H", "other", "other"]
    assert got.neighbours.tolist() == ["H", "H", "none", "none"]


def _transposed() -> np.ndarray:
    return np.diag([1, 0, 0], -1).astype(bool)


@pytest.mark.parametrize(
    ("smiles", "aromatic", "oxygen"),
    [
        ("C=C1OC=CO1", 0, "sp2"),  # six pi electrons, but the exocyclic C=C needs one of its own
        ("S=c1cccc[nH]1", 6, None),  # C=S gives none
        ("CNOC", 0, "sp3"),  # nitrogen with a bonded oxygen is no nitro group
        ("C[N+](=O)[O-]", 0, "sp2"),
    ],
)
def test_what_takes_part_in_rings_and_conjugation(smiles, aromatic, oxygen):
    Chem = pytest.importorskip("rdkit.Chem")
    reference = Chem.AddHs(Chem.MolFromSmiles(smiles))
    atoms = list(reference.GetAtoms())
    numbers = np.array([atom.GetAtomicNum() for atom in atoms])
    got = environments(numbers, Chem.GetAdjacencyMatrix(reference).astype(bool)).hybridisation
    assert [kind == "aromatic" for kind in got] == [atom.GetIsAromatic() for atom in atoms]
    assert (got == "aromatic").sum() == aromatic
    named = {str(a.GetHybridization()).lower() for a in atoms if a.GetAtomicNum() == 8}
    assert set(got[numbers == 8].tolist()) == named == ({oxygen} if oxygen else set())
