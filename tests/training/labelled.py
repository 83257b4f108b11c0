"""Small files of labelled frames, and where the project's reference data lie."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as g2
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm import evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.errors import InputError
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.training.readers import read
from ase_mlseqm.units import HARTREE

LEVEL = "wB97X/6-31G*"
UNITS = "Hartree, Angstrom, Hartree/Angstrom"
BINDING = -4.0
"""Atomization energy of the made-up labels, eV per atom."""

SMILES = {"H2O": "O", "CH3CH2OH": "CCO", "C6H6": "c1ccccc1"}


@dataclasses.dataclass
class Group:
    """Frames of one molecule in eV and Angstrom with PM3's forces; energies are made up."""

    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray

    @property
    def symbols(self) -> list[str]:
        return Atoms(self.numbers).get_chemical_symbols()


@functools.cache
def group(name: str, n_frames: int = 4) -> Group:
    """Frames of a molecule of ASE's G2 set, shaken."""
    atoms = g2(name)
    rng = np.random.default_rng(len(name))
    positions = atoms.positions + 0.08 * rng.standard_normal((n_frames, len(atoms), 3))
    results = evaluate([Molecule(atoms.numbers.astype(np.int64), p) for p in positions], "PM3")
    isolated = sum(KNOWN[LEVEL][s] for s in atoms.get_chemical_symbols()) * HARTREE
    energies = isolated + len(atoms) * (BINDING + 0.01 * np.arange(n_frames))
    return Group(atoms.numbers, positions, energies, np.array([r.forces for r in results]))


def write_h5(path: Path, groups: dict[str, Group], **attributes: str) -> Path:
    """HDF5 in Hartree, with the attributes given; changes are made to the file afterwards."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        for name, data in groups.items():
            put(file.create_group(name), data)
    return path


def put(target: h5py.Group, data: Group) -> None:
    """One group in Hartree and Hartree/Angstrom."""
    target["species"] = data.numbers
    target["coordinates"] = data.positions
    target["energies"] = data.energies / HARTREE
    target["forces"] = data.forces / HARTREE


def standard(tmp_path: Path, name: str = "set.h5") -> Path:
    """Water and ethanol with level, units and SMILES stated."""
    groups = {"a": group("H2O"), "b": group("CH3CH2OH")}
    path = write_h5(tmp_path / name, groups, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        file["a"].attrs["smiles"], file["b"].attrs["smiles"] = "O", "CCO"
    return path


def frames(data: Group, **info: object) -> list[Atoms]:
    """The frames as ASE keeps them."""
    out = []
    for positions, energy, forces in zip(data.positions, data.energies, data.forces, strict=True):
        atoms = Atoms(data.numbers, positions, info=dict(info))
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        out.append(atoms)
    return out


def write_zhou(folder: Path, groups: list[Group]) -> Path:
    """The four arrays of Zhou et al.: relative energies, gradients, atoms padded with zeros."""
    folder.mkdir()
    width = max(len(g.numbers) for g in groups) + 1
    total = sum(len(g.energies) for g in groups)
    arrays = {
        "EtEi": np.zeros(total),
        "Gradient_ev": np.zeros((total, width, 3)),
        "R": np.zeros((total, width, 3)),
        "Z": np.zeros((total, width), dtype=np.int64),
    }
    row = 0
    for data in groups:
        isolated = sum(KNOWN[LEVEL][s] for s in data.symbols) * HARTREE
        n = len(data.numbers)
        for k in range(len(data.energies)):
            arrays["EtEi"][row] = data.energies[k] - isolated
            arrays["Gradient_ev"][row, :n] = -data.forces[k]
            arrays["R"][row, :n] = data.positions[k]
            arrays["Z"][row, :n] = data.numbers
            row += 1
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def error(*args, **options) -> str:
    """The sentence with which these files are refused."""
    with pytest.raises(InputError) as caught:
        read(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_frames(dataset, groups: list[Group], tolerance=1e-9):
    """The frames of the data set are those of the groups, in order."""
    flat = [(g, k) for g in groups for k in range(len(g.energies))]
    assert len(dataset) == len(flat)
    for row, (data, k) in enumerate(flat):
        np.testing.assert_array_equal(dataset.numbers[row], data.numbers)
        np.testing.assert_allclose(dataset.positions[row], data.positions[k], atol=tolerance)
        np.testing.assert_allclose(dataset.forces[row], data.forces[k], atol=tolerance)
        assert dataset.energies[row] == pytest.approx(data.energies[k], abs=tolerance)
        expected = len(data.numbers) * (BINDING + 0.01 * k)
        assert dataset.atomization[row] == pytest.approx(expected, abs=max(tolerance, 1e-9))
        assert dataset.numbers[row].dtype == np.int64
        assert dataset.positions[row].dtype == dataset.forces[row].dtype == np.float64
