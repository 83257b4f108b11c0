"""Atoms and bonds of a data set: which rows belong together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from learned import learned

from ase_mlseqm import Engine
from ase_mlseqm.batch import Molecule
from ase_mlseqm.errors import InputError
from ase_mlseqm.explain.parameters import atom_parameters
from ase_mlseqm.explain.survey import N_UNTRAINED, survey
from ase_mlseqm.training.dataset import Dataset

MOLECULES = json.loads(Path(__file__).with_name("environments.json").read_text())["molecules"]


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and positions."""
    entry = MOLECULES[name]
    return np.array(entry["numbers"], dtype=np.int64), np.array(entry["positions"])


def data_set(*molecules: tuple[np.ndarray, np.ndarray], frames: int = 3) -> Dataset:
    """Some frames of every molecule, shaken; no labels."""
    rng = np.random.default_rng(1)
    count = frames * len(molecules)
    return Dataset(
        numbers=[z for z, _ in molecules for _ in range(frames)],
        positions=[
            x + 0.03 * rng.standard_normal(x.shape) for _, x in molecules for _ in range(frames)
        ],
        energies=np.zeros(count),
        atomization=np.zeros(count),
        forces=[np.zeros_like(x) for _, x in molecules for _ in range(frames)],
        charge=np.zeros(count, dtype=np.int64),
        multiplicity=np.ones(count, dtype=np.int64),
        unrestricted=np.zeros(count, dtype=bool),
        molecule=np.repeat(np.arange(len(molecules)), frames),
        names=[f"set/{k}" for k in range(len(molecules))],
        smiles=[None] * len(molecules),
        level=["none"],
        source=np.zeros(count, dtype=np.int64),
    )


def dimer(one: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Two molecules 6 Angstrom apart."""
    (z1, x1), (z2, x2) = arrays(one), arrays(other)
    x2 = x2 - x2.min(0) + x1.max(0) + (6.0, 0.0, 0.0)
    return np.concatenate((z1, z2)), np.concatenate((x1, x2))


def test_bonds_are_those_of_most_frames():
    """In hot dynamics hydrogen flies away in one of five frames, and to another atom in one."""
    data = data_set(arrays("acetamide"), frames=5)
    hydrogen = int(np.flatnonzero(data.numbers[0] == 1)[0])
    data.positions[3][hydrogen] += [0.0, 0.0, 8.0]
    distances = np.linalg.norm(data.positions[4] - data.positions[4][hydrogen], axis=1)
    other = int(np.where(data.numbers[4] > 1, distances, 0.0).argmax())
    data.positions[4][hydrogen] = data.positions[4][other] + [0.0, 0.0, 1.0]
    found = survey(learned(std=0.1), data)
    assert len(found.bonds.kind) == 5 * 8
    assert len(set(found.atoms.fragment)) == 1


def test_rules_are_for_neutral_closed_shells():
    """That vinyl's radical is sp2 the bonds alone do not tell."""
    data = data_set(*map(arrays, ("acetamide", "acetamide", "acetamide", "acetamide")), frames=1)
    data.charge[1], data.multiplicity[2] = 1, 3
    data.unrestricted[2:] = True
    found = survey(learned(std=0.1), data)
    assert found.n_frames == 1 and set(found.atoms.frame) == {0}


def test_molecules_that_do_not_fit_into_memory_have_no_bonds(monkeypatch):
    """Those of the others keep their atoms."""

    class Small(Engine):
        def run(self, *args, **keywords):
            points = super().run(*args, **keywords)
            points[0] = dataclasses.replace(points[0], converged=False, bond_orders=None)
            return points

    monkeypatch.setattr("ase_mlseqm.explain.survey.Engine", Small)
    data = data_set(arrays("pyrrole"), arrays("acetamide"), frames=1)
    found = survey(learned(std=0.1), data)
    assert len(found.unconverged) == 1 and len(found.bonds.kind) == 8
    for a, b, length in zip(found.bonds.first, found.bonds.second, found.bonds.length, strict=True):
        assert found.atoms.frame[a] == found.atoms.frame[b] == 1
        i, j = data.positions[1][found.atoms.atom[[a, b]]]
        assert np.linalg.norm(i - j) == pytest.approx(length)


def test_rows_are_the_atoms_and_bonds_of_the_frames():
    model = learned(std=0.1)
    data = data_set(arrays("pyrrole"), dimer("water", "acetamide"))
    found = survey(model, data)
    atoms, bonds = found.atoms, found.bonds
    assert found.n_frames == 6 and found.unconverged == []
    assert len(atoms.untrained) == N_UNTRAINED
    molecules = [Molecule(z, x) for z, x in zip(data.numbers, data.positions, strict=True)]
    expected = np.concatenate([p.values for p in atom_parameters(model, molecules)])
    np.testing.assert_allclose(atoms.values, expected, rtol=1e-10)
    points = Engine(model).run(molecules, ("energy", "bond_orders"))
    assert len(bonds.kind) == 3 * (10 + 2 + 8)
    for kind, a, b, length, order in zip(*dataclasses.astuple(bonds), strict=True):
        k, i, j = atoms.frame[a], atoms.atom[a], atoms.atom[b]
        assert atoms.frame[b] == k and kind == f"{atoms.element[a]}-{atoms.element[b]}"
        vector = data.positions[k][i] - data.positions[k][j]
        assert length == pytest.approx(np.linalg.norm(vector))
        assert order == pytest.approx(points[k].bond_orders[i, j], abs=1e-6)
    assert set(bonds.kind) == {"C-C", "C-H", "C-N", "C-O", "N-H", "O-H"}
    assert set(atoms.hybridisation[(atoms.element == "N")]) == {"aromatic", "sp2"}


def test_a_molecule_is_the_same_alone_and_in_a_dimer():
    data = data_set(arrays("acetamide"), dimer("water", "acetamide"), dimer("acetamide", "phenol"))
    atoms = survey(learned(std=0.1), data).atoms
    assert len(set(atoms.fragment)) == 3
    amide = atoms.fragment[(atoms.frame == 0)][0]
    assert set(atoms.frame[atoms.fragment == amide]) == set(range(9))
    assert (atoms.fragment == amide).sum() == 9 * 9


def test_one_broken_bond_does_not_change_the_environment():
    """Bonded is what most frames have; the surveyed frame need not be one of them."""
    data = data_set(arrays("ethane"), frames=5)
    far = data.positions[2]
    carbon = np.flatnonzero(data.numbers[2] == 6)[1]
    moved = np.linalg.norm(far - far[carbon], axis=1) < 1.3
    axis = far[carbon] - far[np.flatnonzero(data.numbers[2] == 6)[0]]
    far[moved] += 0.7 * axis
    atoms = survey(learned(std=0.1), data).atoms
    assert set(atoms.hybridisation[atoms.element == "C"]) == {"sp3"}
    assert len(set(atoms.fragment)) == 1


def test_frames_are_drawn_by_the_seed():
    data = data_set(arrays("water"), arrays("methane"), frames=10)
    one, same, other = (
        survey(learned(std=0.1), data, max_frames=6, seed=seed).atoms.frame for seed in (0, 0, 1)
    )
    assert len(set(one)) == 6 and one.tolist() == same.tolist() != other.tolist()


def test_unknown_elements_are_refused():
    with pytest.raises(InputError, match="no parameters for F"):
        survey(learned(std=0.1), data_set(arrays("fluorobenzene")))
