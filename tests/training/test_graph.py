"""Names of molecules from their bonds."""

import numpy as np
import pytest
from ase.build import molecule as g2
from helpers import rotation

from ase_mlseqm.training.graph import GroupNames, bonds, formula, graph_fragments

SMILES = {
    "CH3CH2OH": "CCO",
    "C6H6": "c1ccccc1",
    "trans-butane": "CCCC",
    "isobutane": "CC(C)C",
    "C3H4_C3v": "CC#C",
    "C3H4_D2d": "C=C=C",
    "C3H4_C2v": "C1=CC1",
    "CH3CONH2": "CC(N)=O",
    "C5H5N": "c1ccncc1",
    "bicyclobutane": "C1C2CC12",
    "cyclobutane": "C1CCC1",
    "H2": "[H][H]",
    "H2O": "O",
}


@pytest.mark.parametrize("name", SMILES)
def test_bonds_are_those_of_the_smiles(name):
    Chem = pytest.importorskip("rdkit.Chem")
    atoms = g2(name)
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    assert (linked == linked.T).all() and not linked.diagonal().any()
    reference = Chem.AddHs(Chem.MolFromSmiles(SMILES[name]))
    degrees = sorted((a.GetAtomicNum(), a.GetDegree()) for a in reference.GetAtoms())
    assert sorted(zip(atoms.numbers.tolist(), linked.sum(1).tolist(), strict=True)) == degrees


@pytest.mark.parametrize("name", SMILES)
def test_names_do_not_depend_on_order_place_or_heat(name):
    atoms = g2(name)
    rng = np.random.default_rng(3)
    expected = graph_fragments(atoms.numbers, atoms.positions)
    assert len(expected) == 1 and expected[0].heavy == (atoms.numbers > 1).sum()
    for _ in range(5):
        order = rng.permutation(len(atoms))
        moved = atoms.positions @ rotation(rng).T + rng.normal(size=3)
        moved = moved + 0.04 * rng.standard_normal(moved.shape)
        assert graph_fragments(atoms.numbers[order], moved[order]) == expected


def test_isomers_have_names_of_their_own():
    names = [graph_fragments(a.numbers, a.positions)[0].name for a in map(g2, SMILES)]
    assert len(set(names)) == len(names)


def test_a_dimer_is_its_molecules():
    """Also when they are joined by a hydrogen bond."""
    water, alcohol = g2("H2O"), g2("CH3OH")
    numbers = np.concatenate([water.numbers, alcohol.numbers])
    oxygen = alcohol.positions[alcohol.numbers == 8][0]
    away = oxygen + np.array([0, 0, 2.8])
    positions = np.concatenate([water.positions - water.positions[0] + away, alcohol.positions])
    alone = graph_fragments(water.numbers, water.positions)
    alone += graph_fragments(alcohol.numbers, alcohol.positions)
    assert graph_fragments(numbers, positions) == sorted(alone, key=lambda f: f.name)


def test_rings_that_refinement_alone_confuses():
    """Two bonded three-membered rings against two fused four-membered ones: all of degree 2, 3."""
    short = np.array([[0.0, 0, 0], [1.3, 0.75, 0], [1.3, -0.75, 0]])
    two_rings = np.concatenate([short - [0, 0, 0], -short - [1.5, 0, 0]])
    fused = 1.5 * np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1.0, 0]])
    carbon = np.full(6, 6)
    degrees = [sorted(bonds(carbon, p[None])[0].sum(1).tolist()) for p in (two_rings, fused)]
    assert degrees[0] == degrees[1] == [2, 2, 2, 2, 3, 3]
    assert graph_fragments(carbon, two_rings) != graph_fragments(carbon, fused)


@pytest.mark.parametrize(
    ("name", "pair", "longest"),
    [("C2H6", (0, 1), 1.22 * 2 * 0.76), ("CH4", (0, 1), 1.6 * (0.76 + 0.31))],
)
def test_how_long_bonds_may_be(name, pair, longest):
    """In sums of Cordero's radii: those of hydrogen longer than those between heavy atoms."""
    atoms = g2(name)
    atoms.rattle(0.0)
    for length, bonded in ((longest - 0.01, True), (longest + 0.01, False)):
        atoms.set_distance(*pair, length, fix=0)
        assert bonds(atoms.numbers, atoms.positions[None])[0][pair] == bonded


@pytest.mark.parametrize(
    ("name", "bonded"),
    [
        ("F2", "FF"),
        ("ClNO", "ClN ON"),
        ("F2O", "OF OF"),
        ("ClF3", "ClF ClF ClF"),
        ("CCl4", "CCl CCl CCl CCl"),
        ("NF3", "NF NF NF"),
        ("C2F4", "CC CF CF CF CF"),
    ],
)
def test_halogens_belong_to_their_nearest_atom(name, bonded):
    """Also where the bond is long at rest, as in F2, and when it is hot; not to their like."""
    atoms = g2(name)
    rng = np.random.default_rng(5)
    hot = atoms.positions + 0.05 * rng.standard_normal((20, len(atoms), 3))
    expected = sorted("".join(sorted(word)) for word in bonded.split())
    for linked in bonds(atoms.numbers, np.concatenate([atoms.positions[None], hot])):
        pairs = [atoms.symbols[i] + atoms.symbols[j] for i, j in np.argwhere(np.triu(linked))]
        assert sorted("".join(sorted(pair)) for pair in pairs) == expected


def test_molecules_side_by_side_share_no_halogen():
    """Hydrogen fluoride as in its dimer, and the closest contact of crystalline chlorine."""
    numbers, cl = np.array([9, 1, 9, 1]), np.array([17, 17, 17, 17])
    dimer = np.array([[0, 0, 0], [0, 0, 0.92], [0, 0, 2.75], [0.9, 0, 2.95]])
    crystal = np.array([[0, 0, 0], [0, 0, 1.99], [0, 3.27, 1.99], [0, 3.27, 3.98]])
    assert np.argwhere(np.triu(bonds(numbers, dimer[None])[0])).tolist() == [[0, 1], [2, 3]]
    assert np.argwhere(np.triu(bonds(cl, crystal[None])[0])).tolist() == [[0, 1], [2, 3]]


def test_names_of_groups_tell_elements_and_bonds():
    names, found = GroupNames(), {}
    for name in ("H2O", "SH2", "CH3OCH3", "CH3CH2OH"):
        atoms = g2(name)
        linked = bonds(atoms.numbers, atoms.positions[None])[0]
        found[name] = names.name(atoms.numbers, linked)
        assert names.name(atoms.numbers, linked) == found[name]
    assert list(found.values()) == ["H2O-1", "H2S-1", "C2H6O-1", "C2H6O-2"]


def test_formula():
    assert (
        formula(np.array([1, 8, 6, 1, 7, 1])) == "CH3NO" and formula(np.array([8, 1, 1])) == "H2O"
    )
