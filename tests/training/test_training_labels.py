"""Labels that the project adds to the public ones: level, sense, nothing of the test files."""

import csv
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read as read_atoms
from helpers import SHARED, needs_shared

from ase_mlseqm.labelling import label
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.parts import label_parts
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.smiles import smiles_fragments
from ase_mlseqm.training.split import leakage

FOLDER = Path(__file__).parents[2] / "benchmarks" / "training_labels"
KINDS = ("contacts", "groups", "reactions", "small", "survey", "torsions")
NEUTRAL = ("faces", "pairs", "parts", "reactions", "survey", "walls")
STATES = ("abstractions", "cleavages", "ions", "radicals", "states", "stretches")
NEXT = tuple(f"next/{kind}" for kind in NEUTRAL + STATES)
LEVEL = "wB97X/6-31G* (PySCF, Cartesian d functions, density fitting, grid level 3)"
UNRESTRICTED = LEVEL.replace("grid", "unrestricted, grid")
HELD_BACK = ("ani1x_heldout", "dft_test", "dft_large", "dft_large_val")
IN_S66 = {
    *("O", "CO", "CN", "C=C", "C#C", "CC(=O)O", "CC(N)=O", "CNC(C)=O", "c1ccccc1", "c1ccncc1"),
    *("O=c1cc[nH]c(=O)[nH]1", "C1CCCC1", "CCCCC", "CC(C)(C)C"),
}


def graph(data: Dataset, k: int) -> tuple:
    """Every atom with those that it is bonded to, in no order."""
    linked = bonds(data.numbers[k], data.positions[k][None])[0]
    numbers = data.numbers[k]
    return tuple(sorted((z, *sorted(numbers[row])) for z, row in zip(numbers, linked, strict=True)))


@pytest.fixture(scope="module")
def sets() -> dict[str, Dataset]:
    return {kind: read(FOLDER / f"{kind}.extxyz") for kind in (*KINDS, *NEXT)}


@pytest.mark.parametrize("kind", [*KINDS, *NEXT])
def test_files_are_whole(sets, kind):
    data = sets[kind]
    assert len(data) > (50 if kind in KINDS else 40) and not data.skipped
    assert data.level == [UNRESTRICTED if kind in ("next/cleavages", "next/stretches") else LEVEL]
    assert all(data.smiles)
    spins = {"abstractions": {2}, "radicals": {2, 3}, "states": {1, 2}}
    assert set(data.multiplicity) == spins.get(kind.removeprefix("next/"), {1})
    np.testing.assert_equal(data.unrestricted, (data.multiplicity > 1) | (kind == "next/cleavages"))
    charges = {"ions": {-1, 1}, "radicals": {-1, 0, 1}, "states": {-1, 0, 1}}
    assert set(data.charge) == charges.get(kind.removeprefix("next/"), {0})
    neutral = data.charge == 0
    assert not neutral.any() or np.isfinite(data.dipoles[neutral]).all()
    # bound (energies of cations count from neutral atoms, the ionization of which takes 11 eV and
    # more), and no net force or torque but the noise of the grid
    assert (data.atomization < 11.0 * (data.charge > 0)).all()
    for force, position in zip(data.forces, data.positions, strict=True):
        assert np.abs(force.sum(0)).max() < 0.05
        assert np.abs(np.cross(position - position.mean(0), force).sum(0)).max() < 0.1


@pytest.mark.parametrize("kind", ["contacts", "next/faces", "next/pairs", "next/walls"])
def test_pairs_touch(sets, kind):
    data = sets[kind]
    width = max(len(z) for z in data.numbers)
    several = label_parts(data, np.arange(len(data)), width).max(1) == 1
    assert several.mean() > 0.95
    for k in range(len(data)):
        names = {part.name for part in smiles_fragments(data.smiles[data.molecule[k]])}
        assert not names <= IN_S66


@pytest.mark.parametrize("kind", [*KINDS, *NEXT])
def test_pairs_of_s66_are_those_that_the_page_names(sets, kind):
    data = sets[kind]
    parts = [[part.name for part in smiles_fragments(name)] for name in data.smiles]
    found = {tuple(sorted(p)) for p in parts if len(p) == 2 and set(p) <= IN_S66}
    # products of the set that are no pairs of S66
    others = {("C=C", "C=C"), ("C=C", "O"), ("CC(=O)O", "O")}
    assert found - others <= {("O", "O"), ("C#C", "O")}
    assert not found or kind in ("reactions", "survey", "next/reactions", "next/survey")


def test_no_ion_of_those_that_show_how_models_err(sets):
    """Nor an isomer of one: the composition is another."""
    shown = read(FOLDER.parent / "structures" / "ions_radicals.xyz")
    shown = shown.select(shown.charge != 0)
    known, kept = (
        {(q, *sorted(z)) for q, z in zip(data.charge.tolist(), data.numbers, strict=True)}
        for data in (Dataset.concatenate([sets["next/ions"], sets["next/radicals"]]), shown)
    )
    assert len(kept) == 10 and not known & kept


def test_no_molecule_of_those_that_show_how_models_err(sets):
    """By their bonds and charge; some radicals are in `abstractions` with another molecule."""
    shown = read(FOLDER.parent / "structures" / "ions_radicals.xyz")
    others = Dataset.concatenate([sets["next/radicals"], sets["next/states"]])
    known, kept = (
        {(int(q), graph(data, k)) for k, q in enumerate(data.charge)} for data in (others, shown)
    )
    assert len(kept) == 20 and not known & kept


def test_no_bond_is_broken_as_in_the_tests(sets):
    tested = set()
    for path in (FOLDER.parent / "transferability" / "dissociation").glob("*.extxyz"):
        tested.add(read_atoms(path).get_chemical_formula())
    for kind in ("next/cleavages", "next/stretches"):
        found = {Atoms(z).get_chemical_formula() for z in sets[kind].numbers}
        assert len(tested) == 5 and len(found) > 30 and not found & tested


def test_stretched_bonds_are_broken_or_not(sets):
    """Those that are not are there a second time, restricted."""
    spins = [
        atoms.info["spin_squared"] for atoms in read_atoms(FOLDER / "next/cleavages.extxyz", ":")
    ]
    whole = np.array(spins) < 0.01
    assert whole.sum() == len(sets["next/stretches"]) and (~whole).sum() > 50
    energies = sorted(sets["next/cleavages"].energies)
    assert set(sets["next/stretches"].energies) <= set(energies)


@needs_shared
@pytest.mark.parametrize("held_back", HELD_BACK)
def test_no_fragment_of_the_test_files(sets, held_back):
    test = read(SHARED / f"{held_back}.h5")
    assert leakage(Dataset.concatenate(list(sets.values())), test) == []


@needs_shared
def test_no_reaction_of_the_test_files(sets):
    """Nor an isomer of one: the composition is another."""
    taken = set()
    for path in (SHARED / "rdb7_subset").glob("rxn*/ts*.xyz"):
        taken.add(read_atoms(path).get_chemical_formula())
    with (SHARED / "rdb7_subset" / "data.csv").open() as file:
        assert len(taken) > 20 and len(list(csv.DictReader(file))) == 40
    for kind in ("reactions", "next/reactions"):
        found = {Atoms(z).get_chemical_formula() for z in sets[kind].numbers}
        assert len(found) > 20 and not found & taken


@pytest.mark.parametrize("kind", [*KINDS, "next/parts", "next/survey", "next/walls"])
def test_labels_can_be_computed_again(kind):
    """The smallest frame of every file."""
    pytest.importorskip("pyscf")
    frames = read_atoms(FOLDER / f"{kind}.extxyz", ":")
    atoms = min(frames, key=lambda a: (a.numbers > 1).sum() + 0.01 * len(a))
    found = label(atoms)
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(found.forces, atoms.get_forces(), rtol=0, atol=1e-4)
