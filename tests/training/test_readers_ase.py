"""Readers: extended XYZ and databases."""

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from labelled import (
    LEVEL,
    Group,
    assert_frames,
    error,
    frames,
    group,
)

from ase_mlseqm.training.readers import BROKEN, OTHER_STATES, kind_of, read


def test_extxyz(tmp_path):
    """Frames of two molecules in turn, one with SMILES; dipoles where there are any."""
    water, ethanol = frames(group("H2O")), frames(group("CH3CH2OH"), smiles="CCO")
    water[0].calc.results["dipole"] = np.arange(3.0)
    mixed = [atoms for pair in zip(water, ethanol, strict=True) for atoms in pair]
    ase.io.write(tmp_path / "a.xyz", mixed, format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert data.molecule.tolist() == [0, 1] * 4
    assert data.names == ["a/H2O-1", "a/CCO"] and data.smiles == [None, "CCO"]
    order = np.argsort(data.molecule, kind="stable")
    assert_frames(data.select(order), [group("H2O"), group("CH3CH2OH")], 1e-7)
    np.testing.assert_array_equal(data.dipoles[0], np.arange(3.0))
    assert np.isnan(data.dipoles[1:]).all()
    assert "--level" in error(tmp_path / "a.xyz")


def test_extxyz_may_state_its_level(tmp_path):
    """As `mlseqm label` writes it; a frame at another level is left out."""
    found = frames(group("H2O"))
    for atoms, level in zip(found, [LEVEL, LEVEL, "PM6", LEVEL], strict=True):
        atoms.info["level"] = level
    ase.io.write(tmp_path / "a.extxyz", found, format="extxyz")
    data = read(tmp_path / "a.extxyz", level="another")
    assert data.level == [LEVEL] and len(data) == 3
    (skipped,) = data.skipped
    assert skipped.record == "frame 2" and "level of theory is PM6" in skipped.reason
    for atoms in found:
        atoms.info["level"] = "5"  # which ASE reads as a number
    ase.io.write(tmp_path / "b.extxyz", found, format="extxyz")
    data = read(tmp_path / "b.extxyz", isolated={"H": -0.5, "O": -75.0})
    assert data.level == ["5"] and not [s for s in data.skipped if "level" in s.reason]


def test_isomers_are_molecules_of_their_own(tmp_path):
    ether, ethanol = group("CH3OCH3", 2), group("CH3CH2OH", 2)
    both = []
    for data in (ether, ethanol):
        order = np.argsort(-data.numbers, kind="stable")
        both.append(
            Group(
                data.numbers[order], data.positions[:, order], data.energies, data.forces[:, order]
            )
        )
    assert (both[0].numbers == both[1].numbers).all()
    ase.io.write(tmp_path / "a.xyz", [*frames(both[0]), *frames(both[1])], format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert data.molecule.tolist() == [0, 0, 1, 1] and data.names == ["a/C2H6O-1", "a/C2H6O-2"]


def test_broken_frames_do_not_end_the_file(tmp_path):
    atoms = frames(group("H2O", 6))
    atoms[1].info["charge"] = 4
    atoms[2].info["multiplicity"] = 2
    atoms[3].pbc = True
    del atoms[4].calc.results["forces"]
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    text = (tmp_path / "a.xyz").read_text().splitlines()
    text[2] = text[2].replace("O", "O  what", 1)
    (tmp_path / "a.xyz").write_text("\n".join([*text, "3", "comment", "O 0 0 0"]))
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert len(data) == 1 and data.energies[0] == pytest.approx(group("H2O", 6).energies[5])
    found = {s.record: s.reason for s in data.skipped}
    assert list(found) == [f"frame {k}" for k in (0, 1, 2, 3, 4, 6)]
    for record, reason in (
        ("frame 0", "cannot be read"),
        ("frame 1", "a charge of +4 is too large"),
        ("frame 2", "a multiplicity of 2 is impossible"),
        ("frame 3", "periodic"),
        ("frame 4", "there is no forces in it"),
        ("frame 6", "cannot be read"),
    ):
        assert reason in found[record]


def test_lost_lines_do_not_take_the_frames_behind_them(tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames(group("H2O")), format="extxyz")
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    del lines[7]  # an atom of the second frame
    (tmp_path / "a.xyz").write_text("\n".join([*lines, "garbage", *lines[:5], "3"]))
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert len(data) == 4
    assert [s.record for s in data.skipped] == ["frame 1", "frame 4", "frame 6"]
    assert "line 6 should say how many atoms follow" in data.skipped[0].reason


def test_frames_of_another_level_than_the_one_given(tmp_path):
    atoms = frames(group("H2O"))
    atoms[1].info["level"] = "PBE/def2-SVP"
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert len(data) == len(atoms) - 1
    assert "its level of theory is PBE/def2-SVP" in data.skipped[0].reason


def test_database(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as db:
        for atoms in frames(group("CH3CH2OH")):
            db.write(atoms, smiles="CCO")
        db.write(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    data = read(tmp_path / "a.db", level=LEVEL)
    assert_frames(data, [group("CH3CH2OH")])
    assert data.names == ["a/CCO"] and data.smiles == ["CCO"]
    assert [(s.record, s.reason) for s in data.skipped] == [("row 5", "there is no energy in it")]


def test_charges_among_the_key_value_pairs_of_a_database(tmp_path):
    """A row says zero where a pair is called charge: a dication passed for the neutral molecule."""
    with ase.db.connect(tmp_path / "a.db") as db:
        for atoms, charge in zip(frames(group("H2O")), (0, 2, 0, 0), strict=True):
            db.write(atoms, charge=charge)
    data = read(tmp_path / "a.db", level=LEVEL)
    assert data.charge.tolist() == [0, 2, 0, 0] and not data.skipped
    assert len(set(data.molecule)) == 2  # an ion is another molecule


def test_ions_that_only_their_charges_tell(tmp_path):
    """A dianion has an even number of electrons, and passed for the neutral molecule."""
    molecules = frames(group("H2O"))
    for atoms, total in zip(molecules, (0.0, -2.0, 0.0, 0.3), strict=True):
        atoms.calc.results["charges"] = np.array([total - 0.4, 0.2, 0.2])
    ase.io.write(tmp_path / "a.xyz", molecules, format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL)
    assert data.charge.tolist() == [0, -2, 0, 0] and not data.skipped


def test_byte_order_mark(tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames(group("H2O")), format="extxyz")
    text = (tmp_path / "a.xyz").read_bytes()
    (tmp_path / "a.xyz").write_bytes(b"\xef\xbb\xbf" + text)
    found = read(tmp_path / "a.xyz", LEVEL)
    assert len(found) == 4 and not found.skipped


def test_what_is_in_order_but_not_learned_from_is_not_broken(tmp_path):
    whole, ion, solid, broken = frames(group("H2O"))
    silent = frames(group("OH"))[0]
    ion.info["charge"], solid.pbc, solid.cell = 1, True, [9, 9, 9]
    broken.calc.results["energy"] = np.nan
    ase.io.write(tmp_path / "a.xyz", [whole, ion, silent, solid, broken], format="extxyz")
    found = read(tmp_path / "a.xyz", LEVEL)
    assert [kind_of(s.reason) for s in found.skipped] == [OTHER_STATES, OTHER_STATES, BROKEN]
    assert found.multiplicity.tolist() == [1, 2]
