"""HDF5 as ANI-2x has it: a group holds all molecules of so many atoms."""

import h5py
import numpy as np
import pytest
from ase import Atoms
from labelled import LEVEL, group

from ase_mlseqm.training.graph import graph_fragments
from ase_mlseqm.training.readers import SINGLE_ATOMS, kind_of, read
from ase_mlseqm.units import HARTREE

MOLECULES = ("H2O", "HCN", "H2O")
FLUORINE = {"F": -99.6949}


def mixed(path, names=MOLECULES, n_frames=4, symbols=False):
    """The frames of molecules of as many atoms by turns; returns (numbers, positions, energy,
    forces) of all in this order."""
    rows = []
    for frame in range(n_frames):
        for name in names:
            data = group(name, n_frames)
            rows.append((data.numbers, *(v[frame] for v in (data.positions, data.energies))))
            rows[-1] = (*rows[-1], data.forces[frame])
    numbers, positions, energies, forces = (np.array(v) for v in zip(*rows, strict=True))
    with h5py.File(path, "w") as file:
        target = file.create_group("3")
        target["species"] = numbers
        if symbols:
            del target["species"]
            target["species"] = [Atoms(z).get_chemical_symbols() for z in numbers]
        target["coordinates"], target["energies"] = positions, energies / HARTREE
        target["forces"] = forces / HARTREE
    return rows


@pytest.mark.parametrize("symbols", [False, True])
def test_species_of_every_frame(tmp_path, symbols):
    rows = mixed(tmp_path / "ani2x.h5", symbols=symbols)
    data = read(tmp_path / "ani2x.h5", level=LEVEL, units="hartree")
    assert data.names == ["ani2x/3/CHN", "ani2x/3/H2O"] and data.skipped == []
    expected = [row for row in rows if 6 in row[0]] + [row for row in rows if 8 in row[0]]
    assert len(data) == len(expected) == 12 and data.molecule.tolist() == [0] * 4 + [1] * 8
    for k, (numbers, positions, energy, forces) in enumerate(expected):
        np.testing.assert_array_equal(data.numbers[k], numbers)
        np.testing.assert_allclose(data.positions[k], positions)
        assert data.energies[k] == pytest.approx(energy)
        np.testing.assert_allclose(data.forces[k], forces)


def test_other_data_of_the_frames(tmp_path):
    """Those of another shape are left aside, as in files of one molecule a group."""
    mixed(tmp_path / "x.h5")
    dipoles = np.random.default_rng(0).normal(size=(12, 3))
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["3"]["dipoles"], file["3"]["homo"] = dipoles, np.zeros(5)
    units = "hartree, angstrom, hartree/angstrom, e*angstrom"
    data = read(tmp_path / "x.h5", level=LEVEL, units=units)
    np.testing.assert_allclose(data.dipoles[:4], dipoles[1::3])
    assert data.homo is None


def test_what_is_left_out_is_named_by_its_place_in_the_group(tmp_path):
    mixed(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        species = file["3"]["species"][()]
        species[1], species[4] = [1, 9, 8], [8, 1, 120]
        file["3"]["species"][...] = species
        file["3"]["energies"][2] = np.nan
        one = file.create_group("1")
        one["species"], one["coordinates"] = [[1], [9], [1]], np.zeros((3, 1, 3))
        one["energies"], one["forces"] = [-0.4993, FLUORINE["F"], -0.4], np.zeros((3, 1, 3))
        file.create_group("0")
        for name, shape in (("species", (0, 5)), ("coordinates", (0, 5, 3)), ("energies", (0,))):
            file["0"][name] = np.zeros(shape)
        file["0"]["forces"] = np.zeros((0, 5, 3))
    data = read(tmp_path / "x.h5", level=LEVEL, units="hartree", elements=(1, 6, 7, 8))
    found = {s.record: s.reason for s in data.skipped}
    assert len(data) == 9 and set(found) == {"0", "1[0]", "1[1]", "1[2]", "3[1]", "3[2]", "3[4]"}
    assert kind_of(found["1[0]"]) == SINGLE_ATOMS and "F" in found["3[1]"]
    assert "120" in found["3[4]"] and "not a number" in found["3[2]"]


def test_rare_isomers(tmp_path):
    """A group holds all molecules with these atoms; one of thirty frames is a molecule, too, which
    must not be on both sides of a split."""
    ether, alcohol = group("CH3OCH3"), group("CH3CH2OH", 30)
    order = np.argsort(ether.numbers, kind="stable"), np.argsort(alcohol.numbers, kind="stable")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_group("9")
        parts = [
            np.concatenate([a[:1][:, order[0]], b[:, order[1]]])
            for a, b in ((ether.positions, alcohol.positions), (ether.forces, alcohol.forces))
        ]
        made["species"] = np.tile(np.sort(ether.numbers), (31, 1))
        made["coordinates"], made["forces"] = parts[0], parts[1] / HARTREE
        made["energies"] = np.concatenate([ether.energies[:1], alcohol.energies]) / HARTREE
    data = read(tmp_path / "x.h5", level=LEVEL, units="hartree")
    assert len(data.names) == 2 and np.bincount(data.molecule).tolist() == [1, 30]
    first, second = (graph_fragments(data.numbers[k], data.positions[k])[0] for k in (0, 1))
    assert first.name != second.name
