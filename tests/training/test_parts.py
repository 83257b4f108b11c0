"""Which atoms of a frame are a molecule, and the projections made of that."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.data.s22 import create_s22_system
from helpers import build
from small import dataset

from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.training.batches import collate, known_contacts
from ase_mlseqm.training.config import TrainConfig
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.loss import LossConfig
from ase_mlseqm.training.parts import Parts, label_parts

DIMERS = ("Water_dimer", "Formic_acid_dimer", "Methane_dimer", "Ethene-ethyne_complex")


def of(atoms):
    return Molecule(atoms.numbers, atoms.positions)


@pytest.mark.parametrize("name", DIMERS)
def test_dimers_have_two_molecules(name):
    """Down to the short hydrogen bonds of acids, 1.67 Angstrom."""
    atoms = create_s22_system(name)
    data = dataset([of(atoms), build("CH3CH2OH")])
    found = label_parts(data, [0, 1], 12)
    assert found[0].max() == 1 and found[1].max() == 0
    sizes = np.bincount(found[0, : len(atoms)])
    assert sizes.sum() == len(atoms) and (sizes >= 3).all()


def test_bonds_that_form_join():
    """Carbon atoms 2.2 Angstrom apart, as in the transition states of cycloadditions."""
    ethene, other = molecule("C2H4"), molecule("C2H4")
    other.positions += [2.2, 0, 0]
    near = ethene + other
    other.positions += [1.0, 0, 0]
    data = dataset([of(near), of(ethene + other)])
    found = label_parts(data, [0, 1], len(near))
    assert found[0].max() == 0 and found[1].max() == 1


@pytest.mark.parametrize(("name", "distance"), [("Br2", 3.7), ("I2", 3.96), ("I2", 3.75)])
def test_heavy_halogens_in_contact_are_two_molecules(name, distance):
    """Side by side, at twice Bondi's radii (1.85 and 1.98 Angstrom), and a little nearer."""
    half = Atoms(name, [[0, 0, 0], [0, 0, {"Br2": 2.28, "I2": 2.67}[name]]])
    other = half.copy()
    other.positions += [distance, 0, 0]
    found = label_parts(dataset([of(half + other)]), [0], 4)
    assert found[0].tolist() == [0, 0, 1, 1]


def test_projection():
    """Symmetric, idempotent, and without net forces where they are not learned."""
    atoms = create_s22_system("Water_dimer")
    data = dataset([of(atoms), of(atoms), build("H2CO")])
    labels = torch.from_numpy(label_parts(data, [0, 1, 2], 6))
    numbers = torch.zeros(3, 6, dtype=torch.int64)
    for row, z in enumerate(data.numbers):
        numbers[row, : len(z)] = torch.from_numpy(z)
    parts = Parts.of(build_layout(numbers), labels, torch.tensor([True, False, False]))
    assert parts.frame.tolist() == [0, 0, 1, 1, 2]
    assert parts.several.tolist() == [True] * 4 + [False]
    a, b = torch.randn(2, 16, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((parts.internal(a) * b).sum(), (a * parts.internal(b)).sum())
    torch.testing.assert_close(parts.internal(parts.internal(a)), parts.internal(a))
    torch.testing.assert_close(
        parts.internal(a)[[*range(6), *range(12, 16)]], a[[*range(6), *range(12, 16)]]
    )
    assert parts.total(parts.internal(a))[2:4].abs().max() < 1e-12
    torch.testing.assert_close(parts.total(a)[0], a[:3].sum(0))


def test_they_are_told_apart_only_where_it_matters():
    data = dataset([build("H2O")])
    assert known_contacts(data, TrainConfig()) is None
    weighted = TrainConfig(loss=LossConfig(contact_weight=1.0))
    np.testing.assert_array_equal(known_contacts(data, weighted), [True])
    left_out = known_contacts(data, TrainConfig(contacts=(False,)))
    np.testing.assert_array_equal(left_out, [False])
    assert collate(data, [0], torch.device("cpu"), left_out).contacts.tolist() == [False]
    assert collate(data, [0], torch.device("cpu")).parts is None
    files = Dataset.concatenate([dataset([build("H2O"), build("CH4")]), data])
    for contacts, known in (((False,), [False, False, True]), ((True, False), [True, True, False])):
        found = known_contacts(files, TrainConfig(contacts=contacts))
        np.testing.assert_array_equal(found, known)
