"""Readers: numbers, conventions, refusals, broken records."""

import dataclasses
import functools
import hashlib

import ase.db
import ase.io
import ase.units
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from helpers import SHARED, needs_shared
from labelled import (
    LEVEL,
    UNITS,
    Group,
    assert_frames,
    error,
    frames,
    group,
    standard,
    write_h5,
)

from ase_mlseqm import evaluate
from ase_mlseqm.training.blocks import Block, Units, parse_units
from ase_mlseqm.training.checks import Clean, clean, isomers
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.training.readers import OTHER_STATES, SINGLE_ATOMS, kind_of, read
from ase_mlseqm.units import BOHR, EV_TO_KCAL, HARTREE

KJ = ase.units.kJ / ase.units.mol
KCAL = (4.184 * KJ, 1.0, ase.units.Hartree / ase.units.Bohr, ase.units.Debye)


def test_hdf5(tmp_path):
    path = standard(tmp_path)
    seen = []
    data = read(path, progress=lambda name, n: seen.append((name, n)))
    assert_frames(data, [group("H2O"), group("CH3CH2OH")])
    assert data.names == ["set/a", "set/b"] and data.smiles == ["O", "CCO"]
    assert data.molecule.tolist() == [0] * 4 + [1] * 4
    assert data.level == [LEVEL] and data.source.tolist() == [0] * 8
    assert data.checksums == {"set.h5": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert data.skipped == [] and data.dipoles is data.charges is data.homo is data.lumo is None
    assert seen == [("set.h5", 4), ("set.h5", 8)]


def test_nested_groups_and_symbols_as_bytes(tmp_path):
    """The layout of COMP6, and SMILES as an array of characters as in ANI-1."""
    path = write_h5(tmp_path / "c.h5", {"s66/mol0": group("H2O"), "s66/deep/mol1": group("C6H6")})
    with h5py.File(path, "a") as file:
        for name, key in (("s66/mol0", "H2O"), ("s66/deep/mol1", "C6H6")):
            del file[name]["species"]
            file[name]["species"] = np.array(group(key).symbols, dtype="S2")
        file["s66/mol0"]["smiles"] = np.array([b"[", b"H", b"]", b"O"])
    data = read(path, level=LEVEL, units="hartree")
    assert_frames(data, [group("C6H6"), group("H2O")])
    assert data.names == ["c/s66/deep/mol1", "c/s66/mol0"] and data.smiles == [None, "[H]O"]


@pytest.mark.parametrize(
    ("units", "energy", "length", "force"),
    [
        ("Hartree", HARTREE, 1, HARTREE),
        ("eV", 1, 1, 1),
        ("kcal/mol", 1 / EV_TO_KCAL, 1, 1 / EV_TO_KCAL),
        ("kJ/mol", 1 / 96.48533212, 1, 1 / 96.48533212),
        ("hartree, bohr", HARTREE, BOHR, HARTREE / BOHR),
        ("eV, Angstrom, kcal/mol/Angstrom", 1, 1, 1 / EV_TO_KCAL),
        ("hartree, angstrom, hartree/bohr", HARTREE, 1, HARTREE / BOHR),
    ],
)
def test_units(tmp_path, units, energy, length, force):
    data = group("H2O")
    with h5py.File(tmp_path / "u.h5", "w") as file:
        target = file.create_group("m")
        target["species"] = data.numbers
        target["coordinates"] = data.positions / length
        target["energies"] = data.energies / energy
        target["forces"] = data.forces / force
    assert_frames(read(tmp_path / "u.h5", level=LEVEL, units=units), [data], 1e-6)


def test_what_a_file_states_holds(tmp_path):
    """The arguments are for the other files of the same call."""
    path = standard(tmp_path)
    data = read(path, level="another", units="ev")
    assert data.level == [LEVEL]
    assert_frames(data, [group("H2O"), group("CH3CH2OH")])


def test_extras(tmp_path):
    path = standard(tmp_path)
    rng = np.random.default_rng(0)
    dipoles, charges, homo = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
    with h5py.File(path, "a") as file:
        file["a"]["dipoles"], file["a"]["charges"], file["a"]["homo"] = dipoles, charges, homo
        file["b"]["charges"] = np.zeros((4, 3))  # another molecule's shape
    data = read(path)
    assert data.dipoles is None and data.charges is None, "their units are not stated"
    with h5py.File(path, "a") as file:
        file.attrs["units"] = UNITS + ", e*Angstrom, e"
    data = read(path)
    np.testing.assert_array_equal(data.dipoles[:4], dipoles)
    np.testing.assert_array_equal(data.charges[:4], charges)
    np.testing.assert_allclose(data.homo[:4], homo * HARTREE)
    assert np.isnan(data.dipoles[4:]).all() and np.isnan(data.homo[4:]).all()
    assert [c.shape for c in data.charges[4:]] == [(9,)] * 4 and np.isnan(data.charges[4:]).all()
    assert data.lumo is None


def test_broken_records_are_listed(tmp_path):
    names = ("good", "keys", "shape", "species", "number", "odd", "empty", "rank", "link")
    path = write_h5(
        tmp_path / "x.h5", dict.fromkeys(names, group("H2O", 6)), level=LEVEL, units="ev"
    )
    with h5py.File(path, "a") as file:
        for target in file.values():
            target["energies"][...] *= HARTREE
            target["forces"][...] *= HARTREE
        good = file["good"]
        good["energies"][0] = np.nan
        good["coordinates"][1, 0, 0] = np.inf
        good["forces"][2, 1, 1] = np.nan
        good["coordinates"][3, 1] = good["coordinates"][3, 2] + 0.1
        good["energies"][4] = 0.0  # far above the atoms
        del file["keys"]["forces"]
        for name, key, value in (
            ("shape", "forces", np.zeros((6, 2, 3))),
            ("species", "species", np.array([b"O", b"Xq", b"H"])),
            ("number", "species", np.array([8, 0, 1])),
            ("odd", "species", np.array([8, 1, 6])),
            ("rank", "energies", np.zeros((6, 2))),
        ):
            del file[name][key]
            file[name][key] = value
        for key in ("energies", "coordinates", "forces"):
            old = file["empty"][key][:0]
            del file["empty"][key]
            file["empty"][key] = old
        file["dangling"] = h5py.SoftLink("/does/not/exist")
        del file["link"]["species"]
        file["link"]["species"] = h5py.SoftLink("/does/not/exist")
    data = read(path)
    assert len(data) == 1 and data.energies[0] == pytest.approx(group("H2O", 6).energies[5])
    found = {s.record: s.reason for s in data.skipped}
    assert {s.file for s in data.skipped} == {"x.h5"}
    expected = {
        "good[0]": "the energy is not a number",
        "good[1]": "a position is not a number",
        "good[2]": "a force is not a number",
        "good[3]": "two atoms are closer than 0.3",
        "good[4]": "atomization energy is not between -10 and 10 eV per atom",
        "keys": "there is no forces in it",
        "shape": "forces have shape (6, 2, 3), not (6, 3, 3)",
        "species": "unknown species 'Xq'",
        "number": "unknown species 0",
        **{f"odd[{k}]": "odd number of electrons" for k in range(6)},
        "empty": "there are no frames in it",
        "link": "there is no species in it",
        "rank": "energies have shape (6, 2), not (frames,)",
    }
    assert found.keys() == expected.keys()
    for record, reason in expected.items():
        assert reason in found[record]


def test_units_and_level_must_be_stated(tmp_path):
    path = write_h5(tmp_path / "n.h5", {"m": group("H2O")})
    assert "--level" in error(path, units="hartree") and "--units" in error(path, level=LEVEL)
    assert "unknown unit 'rydberg'" in error(path, level=LEVEL, units="rydberg")
    assert "unknown unit 'feet'" in error(path, level=LEVEL, units="ev, feet")
    assert "unknown unit of forces 'newton'" in error(path, level=LEVEL, units="ev,bohr,newton")


def test_wrong_units_leave_nothing(tmp_path):
    path = write_h5(tmp_path / "n.h5", {"m": group("H2O")})
    message = error(path, level=LEVEL, units="ev")
    assert "none of its 4 records can be used" in message and "eV per atom" in message


def test_files_that_cannot_be_read(tmp_path):
    assert "no such file" in error(tmp_path / "none.h5")
    assert "at least one" in error([])
    (tmp_path / "a.txt").write_text("hello")
    assert "unknown type of file; give one of .h5" in error(tmp_path / "a.txt")
    assert "write it as extended XYZ in eV and Angstrom" in error(tmp_path / "a.txt")
    (tmp_path / "a.h5").write_text("hello")
    assert "a.h5: cannot be read" in error(tmp_path / "a.h5", level=LEVEL, units="ev")
    path = write_h5(tmp_path / "b.h5", {"a": group("CH4")}, level=LEVEL)
    path.write_bytes(path.read_bytes().replace(b"GCOL", b"GC--"))  # where texts begin
    assert "b.h5: cannot be read" in error(path, units="ev")
    (tmp_path / "a.db").write_text("hello" * 100)
    assert "a.db: cannot be read" in error(tmp_path / "a.db", level=LEVEL)
    (tmp_path / "a.xyz").write_text("hello\nworld\n")
    assert "none of its 1 records" in error(tmp_path / "a.xyz", level=LEVEL)
    (tmp_path / "e.xyz").write_text("")
    assert "none of its 0 records" in error(tmp_path / "e.xyz", level=LEVEL)
    (tmp_path / "folder").mkdir()
    assert "EtEi.npy is missing" in error(tmp_path / "folder", level=LEVEL)
    path = standard(tmp_path)
    assert "given twice" in error([path, tmp_path / "." / "set.h5"])


def test_isomers_in_one_group(tmp_path):
    """Butane and isobutane with their atoms in one order, in a file without SMILES."""
    chain, branched = molecule("trans-butane"), molecule("isobutane")
    order = np.argsort(branched.numbers != 6, kind="stable")
    branched = branched[order]
    chain = chain[np.argsort(chain.numbers != 6, kind="stable")]
    assert (chain.numbers == branched.numbers).all()
    rng = np.random.default_rng(0)
    atoms = [a for a in (chain, branched) for _ in range(3)]
    positions = np.array([a.positions + 0.02 * rng.normal(size=(14, 3)) for a in atoms])
    points = evaluate([Atoms(chain.numbers, r) for r in positions], "PM3")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["level"], file.attrs["units"] = LEVEL, "eV, Angstrom, eV/Angstrom"
        found = file.create_group("C4H10")
        found["species"] = chain.numbers
        found["coordinates"] = positions
        found["energies"] = np.array([p.atomization_energy for p in points]) + sum(
            HARTREE * KNOWN[LEVEL][s] for s in chain.symbols
        )
        found["forces"] = [p.forces for p in points]
    data = read(tmp_path / "a.h5")
    assert data.molecule.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("others", "sizes"), [(4, [100]), (6, [94, 6]), (30, [70, 30])])
def test_bonds_that_few_frames_have_make_no_isomer(others, sizes):
    """Fewer than five of a hundred, as in hot dynamics."""
    water = molecule("H2O")
    positions = np.array([water.positions] * 100)
    positions[-others:, 1] += [0.0, 2.0, 0.0]
    nothing = np.zeros(100), np.zeros((100, 3, 3))
    block = Clean("g", None, [str(k) for k in range(100)], water.numbers, positions, *nothing, {})
    found = isomers(block)
    assert [len(part.energies) for part in found] == sizes
    assert [frame for part in found for frame in part.frames] == block.frames
    stated = isomers(dataclasses.replace(block, smiles="O"))
    assert [len(part.energies) for part in stated] == [100]


@pytest.mark.parametrize(
    ("units", "energy", "length", "force", "dipole"),
    [
        ("hartree", ase.units.Hartree, 1.0, ase.units.Hartree, None),
        ("ev, bohr, , e*bohr, e", 1.0, ase.units.Bohr, 1 / ase.units.Bohr, ase.units.Bohr),
        ("kcal/mol, angstrom, hartree/bohr, debye, e", *KCAL),
        ("kJ/mol,,, e*angstrom, e", KJ, 1.0, KJ, 1.0),
    ],
)
def test_units_of_everything(units, energy, length, force, dipole):
    """By ASE's constants, those of orbitals as those of energies."""
    extras = {"dipoles": np.full((2, 3), 0.7), "charges": np.full((2, 2), 0.2)}
    extras |= {"homo": np.full(2, -0.4), "lumo": np.full(2, 0.1)}
    positions = np.array([[[0, 0, 0], [0, 0, 1.5]]] * 2)
    block = Block("g", ["H", "F"], positions, np.ones(2), np.ones((2, 2, 3)), extras=extras)
    found, broken = clean(block, parse_units(units, "here"))
    assert not broken
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    close(found.energies, energy)
    close(found.positions, length * positions)
    close(found.forces, force)
    close(found.extras["homo"], -0.4 * energy)
    close(found.extras["lumo"], 0.1 * energy)
    assert ("dipoles" in found.extras) == ("charges" in found.extras) == (dipole is not None)
    if dipole is not None:
        close(found.extras["dipoles"], 0.7 * dipole)
        close(found.extras["charges"], 0.2)


@pytest.mark.parametrize(("distance", "sound"), [(0.29, False), (0.31, True)])
def test_how_close_atoms_may_be(distance, sound):
    positions = np.array([[[0, 0, 0], [0, 0, distance]]])
    block = Block("g", [1, 1], positions, np.ones(1), np.ones((1, 2, 3)))
    found, broken = clean(block, Units())
    assert (found is not None) == sound
    assert [b.reason for b in broken] == [] if sound else ["two atoms are closer than 0.3 Angstrom"]


def test_names_of_ani1x(tmp_path):
    """The data set of Zhou et al.'s labels, as it was published."""
    data = group("CH3CH2OH")
    with h5py.File(tmp_path / "ani1x.h5", "w") as file:
        made = file.create_group("C2H6O")
        made["atomic_numbers"], made["coordinates"] = data.numbers, data.positions
        made["wb97x_dz.energy"], made["wb97x_dz.forces"] = (
            data.energies / HARTREE,
            data.forces / HARTREE,
        )
        made["wb97x_dz.dipole"] = np.ones((len(data.energies), 3))
        made["wb97x_tz.energy"], made["ccsd(t)_cbs.energy"] = np.zeros((2, len(data.energies)))
    found = read(tmp_path / "ani1x.h5", LEVEL, "hartree, angstrom, hartree/angstrom, e*angstrom")
    assert_frames(found, [data])
    np.testing.assert_allclose(found.dipoles, 1.0)


def test_names_that_are_there_are_told(tmp_path):
    path = write_h5(tmp_path / "n.h5", {"m": group("H2O")}, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        file["m"].move("energies", "E")
    assert "there is no energies in it, but E, coordinates" in error(path)
    atoms = frames(group("H2O"))[0]
    atoms.info["REF_energy"], atoms.calc = -1.0, None
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    assert "there is no energy in it, but REF_energy" in error(tmp_path / "a.xyz", level=LEVEL)


def test_forces_that_no_molecule_has(tmp_path):
    data = group("H2O")
    forces = data.forces.copy()
    forces[1, 0, 2] = 1e4
    wrong = Group(data.numbers, data.positions, data.energies, forces)
    found = read(write_h5(tmp_path / "n.h5", {"m": wrong}, level=LEVEL, units=UNITS))
    assert len(found) == len(data.energies) - 1
    (skipped,) = found.skipped
    assert skipped.record == "m[1]" and "a force is above 300 eV/Angstrom" in skipped.reason


def test_smiles_that_a_parser_takes_for_something_else(tmp_path):
    """That of hydrogen fluoride is ASE's false; a blank one is none."""
    ase.io.write(tmp_path / "a.xyz", frames(group("H2O"), smiles="F"), format="extxyz")
    assert ase.io.read(tmp_path / "a.xyz").info["smiles"] is False
    assert read(tmp_path / "a.xyz", LEVEL).smiles == ["F"]
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        file["a"].attrs["smiles"] = " "
    assert read(path).smiles == [None, "CCO"]


def test_radicals_need_to_be_stated(tmp_path):
    """Their frames count one by one where not; free atoms are neither, nor broken."""
    radical = group("OH")
    atom = Group(np.array([8]), np.zeros((1, 1, 3)), np.array([-2042.0]), np.zeros((1, 1, 3)))
    groups = {"w": group("H2O"), "ion": group("H2O"), "said": radical, "silent": radical, "o": atom}
    path = write_h5(tmp_path / "x.h5", groups, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        file["ion"].attrs["charge"], file["said"].attrs["multiplicity"] = 1, 2
    data = read(path)
    expected = {f"silent[{k}]": OTHER_STATES for k in range(4)}
    kinds = {s.record: kind_of(s.reason) for s in data.skipped}
    assert len(data) == 12 and kinds == {**expected, "o[0]": SINGLE_ATOMS}
    multiplicity = {"w": (0, 1), "ion": (1, 2), "said": (0, 2)}
    for name, state in multiplicity.items():
        rows = data.molecule == data.names.index(f"x/{name}")
        found = zip(data.charge[rows], data.multiplicity[rows], strict=True)
        assert set(found) == {state} and set(data.unrestricted[rows]) == {state[1] > 1}
    ase.io.write(tmp_path / "a.xyz", [*frames(radical), *frames(group("H2O"))], format="extxyz")
    skipped = read(tmp_path / "a.xyz", LEVEL).skipped
    assert [(s.record, kind_of(s.reason)) for s in skipped] == [
        (f"frame {k}", OTHER_STATES) for k in range(4)
    ]


def test_several_files(tmp_path):
    one = standard(tmp_path)
    folder = tmp_path / "inner"
    folder.mkdir()
    two = write_h5(folder / "set.h5", {"c": group("C6H6")})
    data = read([one, two], level="another, contains wB97X/6-31G*", units="hartree")
    assert_frames(data, [group("H2O"), group("CH3CH2OH"), group("C6H6")])
    assert data.molecule.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.source.tolist() == [0] * 8 + [1] * 4
    assert data.level == [LEVEL, "another, contains wB97X/6-31G*"]
    assert data.names[2] == "set/c" and set(data.checksums) == {"set.h5", "set.h5 (2)"}


@needs_shared
def test_dft_file():
    data = read(SHARED / "dft_train.h5")
    assert len(data) > 350 and len(data) == len(data.charges) == len(data.forces)
    assert (data.atomization < -4).all() and np.isfinite(data.dipoles).all()
    assert (data.lumo > data.homo).all() and abs(sum(data.charges[0])) < 1e-3
    assert {s.reason for s in data.skipped} <= {"two atoms are closer than 0.3 Angstrom"}
    worst = max(np.abs(f.sum(0)).max() for f in data.forces)
    assert worst < 0.1, "forces of an isolated molecule add up to zero but for the grid"


@needs_shared
def test_comp6_file():
    path = SHARED / "s66x8_half.h5"
    assert "gradients=True (--gradients)" in error(path, level=LEVEL, units="hartree")
    data = read(path, level=LEVEL, units="hartree", gradients=True)
    assert len(data) == 264 and data.names[0] == "s66x8_half/s66x8/mol00"
    assert data.smiles == [None] * 33
