"""Data sets in HDF5 by the names and in the units in which they were published."""

import h5py
import numpy as np
import pytest
from labelled import LEVEL, UNITS, assert_frames, error, group, write_h5

from ase_mlseqm.training.readers import read
from ase_mlseqm.units import BOHR, HARTREE

ATOMS = {"H": -0.4993212, "C": -37.8338337, "O": -75.0424652}
"""Those with which the labels are made up, Hartree."""
ORCA = "wB97X/6-31G(d), spherical d functions"


def spice(path, names=("CH3CH2OH", "H2O"), sign=-1):
    with h5py.File(path, "w") as file:
        for name in names:
            data, made = group(name), file.create_group(name.lower())
            made["atomic_numbers"] = data.numbers.astype(np.int16)
            for key, value, units in (
                ("conformations", data.positions / BOHR, "bohr"),
                ("dft_total_energy", data.energies / HARTREE, "hartree"),
                ("dft_total_gradient", sign * data.forces / HARTREE * BOHR, "hartree/bohr"),
                ("formation_energy", np.zeros(len(data.energies)), "hartree"),
                ("scf_dipole", np.ones((len(data.energies), 3)), "elementary_charge*bohr"),
            ):
                made.create_dataset(key, data=value).attrs["units"] = units
    return path


def test_spice(tmp_path):
    """Lengths are in bohr, and gradients are no forces."""
    path = spice(tmp_path / "SPICE.hdf5")
    found = read(path, "wB97M-D3(BJ)/def2-TZVPPD", isolated=ATOMS)
    assert_frames(found, [group("CH3CH2OH"), group("H2O")])
    np.testing.assert_allclose(found.dipoles, BOHR)


def test_forces_where_gradients_should_be(tmp_path):
    path = spice(tmp_path / "turned.hdf5", sign=1)
    message = error(path, level="other", isolated=ATOMS)
    assert "look like forces, not gradients" in message and "change their sign" in message


def transition1x(path, names=("CH3CH2OH", "H2O")):
    """A reaction is a group with three more in it; its splits are links into all data."""
    with h5py.File(path, "w") as file:
        for name in names:
            data = group(name)
            reaction = file.create_group(f"data/{name}/rxn0000")
            for k, made in enumerate([reaction, *map(reaction.create_group, ("reactant", "ts"))]):
                part = slice(k - 1, k) if k else slice(2, None)
                made["atomic_numbers"], made["positions"] = data.numbers, data.positions[part]
                made["wB97x_6-31G(d).energy"] = data.energies[part]
                made["wB97x_6-31G(d).forces"] = data.forces[part]
        file["train/CH3CH2OH"] = h5py.SoftLink("/data/CH3CH2OH")
        file["val/H2O"] = file["data/H2O"]
    return path


def test_transition1x(tmp_path):
    """In eV; what several links lead to is read once."""
    path = transition1x(tmp_path / "Transition1x.h5")
    found = read(path, isolated=ATOMS)
    assert found.level == [ORCA] and len(found) == 2 * 4 and not found.skipped
    data = group("CH3CH2OH")
    mine = [k for k, numbers in enumerate(found.numbers) if len(numbers) == len(data.numbers)]
    order = np.argsort(found.energies[mine])
    np.testing.assert_allclose(found.energies[mine][order], data.energies)
    for k, j in enumerate(order):
        np.testing.assert_allclose(found.positions[mine[j]], data.positions[k])
        np.testing.assert_allclose(found.forces[mine[j]], data.forces[k])


def test_isolated_atoms_of_transition1x_are_not_ours(tmp_path):
    """Its d functions are spherical: with our table carbon would be off by 1 mHartree or more."""
    assert "isolated atom H" in error(transition1x(tmp_path / "t.h5"))


@pytest.mark.parametrize("length", [1.0, BOHR])
def test_units_of_datasets(tmp_path, length):
    """They hold, whatever the units that are given."""
    data = group("CH3CH2OH")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_group("m")
        made["species"] = data.numbers
        name = "angstrom" if length == 1.0 else "Bohr"
        for key, value, units in (
            ("coordinates", data.positions / length, name),
            ("energies", data.energies / HARTREE, "Hartree"),
            ("forces", data.forces / HARTREE * length, f"hartree/{name}"),
        ):
            made.create_dataset(key, data=value).attrs["units"] = units
    assert_frames(read(tmp_path / "x.h5", LEVEL), [data])
    assert_frames(read(tmp_path / "x.h5", LEVEL, "hartree"), [data])


def test_names_of_two_layouts_in_a_group(tmp_path):
    """As people write them; none of these names means two things."""
    data = group("CH3CH2OH")
    path = write_h5(tmp_path / "x.h5", {"a": data, "b": data}, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        file["a"].move("species", "atomic_numbers")
        file["b"].move("energies", "wb97x_dz.energy")
        file["b"].move("forces", "wb97x_dz.forces")
    found = read(path)
    assert len(found) == 8 and not found.skipped
    assert_frames(found.select(range(4)), [data])
    assert_frames(found.select(range(4, 8)), [data])


def test_two_layouts_in_one_file(tmp_path):
    """One of forces among those of gradients would be turned round."""
    path = spice(tmp_path / "both.hdf5")
    data = group("C6H6")
    with h5py.File(path, "a") as file:
        made = file.create_group("zzz")
        made["species"], made["coordinates"] = data.numbers, data.positions
        made["energies"], made["forces"] = data.energies, data.forces
    found = read(path, "other", isolated=ATOMS)
    assert [s.record for s in found.skipped] == ["zzz"] and len(found) == 8
    assert "another than that of the first" in found.skipped[0].reason
