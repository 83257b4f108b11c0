"""Readers: the arrays of Zhou et al."""

import dataclasses

import numpy as np
import pytest
from labelled import (
    LEVEL,
    Group,
    assert_frames,
    error,
    group,
    write_zhou,
)

from ase_mlseqm.training.readers import read
from ase_mlseqm.units import HARTREE


def test_zhou(tmp_path):
    groups = [group("H2O"), group("CH3CH2OH"), group("C6H6")]
    folder = write_zhou(tmp_path / "zhou", groups)
    data = read(folder, level=LEVEL)
    order = np.argsort([len(n) for n in data.numbers], kind="stable")
    assert_frames(data.select(order), groups)
    assert sorted(data.names) == ["zhou/C2H6O-1", "zhou/C6H6-1", "zhou/H2O-1"]
    assert len(set(zip(data.molecule, map(len, data.numbers), strict=True))) == 3
    assert set(data.checksums) == {f"zhou/{n}.npy" for n in ("EtEi", "Gradient_ev", "R", "Z")}
    assert "--level" in error(folder)


@pytest.mark.parametrize("level", ["B3LYP", LEVEL])
def test_relative_energies_need_no_isolated_atoms(tmp_path, level):
    """They are in the file."""
    folder = write_zhou(tmp_path / "zhou", [group("H2O")])
    found = read(folder, level=level)
    np.testing.assert_allclose(found.atomization, np.load(folder / "EtEi.npy").ravel())
    given = read(folder, level=level, isolated={"H": -1.0, "O": -70.0})
    np.testing.assert_allclose(given.atomization, found.atomization)
    np.testing.assert_allclose(given.energies, found.atomization - 72 * HARTREE)


def test_isomers_of_zhou_keep_their_frames(tmp_path):
    """With the same atoms in one order: what belongs to which frame is found again."""
    butane, branched = group("trans-butane", 2), group("isobutane", 3)
    order = np.argsort(branched.numbers != 6, kind="stable")
    other = np.argsort(butane.numbers != 6, kind="stable")
    groups = [
        dataclasses.replace(
            data,
            numbers=data.numbers[sort],
            positions=data.positions[:, sort],
            forces=data.forces[:, sort],
        )
        for data, sort in ((butane, other), (branched, order))
    ]
    data = read(write_zhou(tmp_path / "zhou", groups), level=LEVEL)
    assert_frames(data, groups)
    assert sorted(data.names) == ["zhou/C4H10-1", "zhou/C4H10-2"]


def test_single_atoms_of_zhou_are_no_references(tmp_path):
    """Their relative energy is zero by definition."""
    atom = Group(np.array([8]), np.zeros((1, 1, 3)), np.array([-75.0]), np.zeros((1, 1, 3)))
    hydrogen = Group(np.array([1]), np.zeros((1, 1, 3)), np.array([-0.5]), np.zeros((1, 1, 3)))
    folder = write_zhou(tmp_path / "zhou", [group("H2O"), atom, hydrogen])
    assert len(read(folder, level="B3LYP")) == len(read(folder, level=LEVEL)) == 4


def test_zhou_broken(tmp_path):
    folder = write_zhou(tmp_path / "zhou", [group("H2O")])
    positions, numbers = np.load(folder / "R.npy"), np.load(folder / "Z.npy")
    positions[1, 0] = np.nan
    numbers[2, 0], numbers[3] = 200, 0
    np.save(folder / "R.npy", positions)
    np.save(folder / "Z.npy", numbers)
    data = read(folder, level=LEVEL)
    assert len(data) == 1
    assert {s.record for s in data.skipped} == {"frame 1", "frame 2", "frame 3"}
    np.save(folder / "R.npy", positions[:, :2])
    assert "shapes do not belong together" in error(folder, level=LEVEL)
    (folder / "R.npy").write_bytes(b"hello")
    assert "R.npy: cannot be read" in error(folder, level=LEVEL)
