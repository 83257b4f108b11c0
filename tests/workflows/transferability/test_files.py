"""Which files of a folder belong to which test."""

import pytest

from ase_mlseqm.errors import InputError
from ase_mlseqm.workflows.transferability.files import find_files
from ase_mlseqm.workflows.transferability.registry import TESTS


def test_two_files_of_a_name(tmp_path):
    """Cases are known by it."""
    for name in ("S66", "noncovalent/S66", "noncovalent/S22"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"noncovalent: S66 and noncovalent.S66 have the same name"
    ):
        find_files(tmp_path, TESTS)
    (tmp_path / "transferability.yaml").write_text("noncovalent: noncovalent/*\n")
    found = find_files(tmp_path, TESTS)["noncovalent"]
    assert [path.name for path in found] == ["S22", "S66"]


def test_folders_take_both_endings_of_extended_xyz(tmp_path):
    for name in ("torsions", "dissociation", "dynamics", "frequencies"):
        (tmp_path / name).mkdir()
        for file in ("a.xyz", "b.extxyz"):
            (tmp_path / name / file).write_text("")
        found = find_files(tmp_path, TESTS)[name]
        assert [path.name for path in found] == ["a.xyz", "b.extxyz"]


def test_endings_of_files_may_be_in_capitals(tmp_path):
    names = ("torsions/a.XYZ", "torsions/b.ExtXYZ", "dft_large.H5", "S66.HDF5", "more.v2/c.H5")
    for name in (*names, "torsions/c.XYZ.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find_files(tmp_path, TESTS)
    assert found["torsions"] == [tmp_path / name for name in names[:2]]
    assert found["large"] == [tmp_path / "dft_large.H5"]
    assert found["noncovalent"] == [tmp_path / "S66.HDF5"]
    (tmp_path / "transferability.yaml").write_text("large: more.v2/*.h5\n")
    assert find_files(tmp_path, TESTS)["large"] == [tmp_path / "more.v2" / "c.H5"]


def test_folders_with_a_point_in_their_names(tmp_path):
    for name in ("noncovalent/S22.old", "noncovalent/S22.new"):
        (tmp_path / name).mkdir(parents=True)
    found = find_files(tmp_path, TESTS)["noncovalent"]
    assert [path.name for path in found] == ["S22.new", "S22.old"]


def test_archives_and_notes_beside_the_data_are_left_out(tmp_path):
    hidden = ("noncovalent/.git", "reactions/.ipynb_checkpoints", "torsions")
    for name in ("rdb7", "noncovalent/S22", *hidden):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "torsions/._of_a_Mac.xyz",
        "rdb7.zip",
        "rdb7.tar.gz",
        "S66.md",
        "noncovalent/README",
        "noncovalent/.DS_Store",
    ):
        (tmp_path / name).write_text("")
    found = find_files(tmp_path, TESTS)
    assert found["reactions"] == [tmp_path / "rdb7"]
    assert found["noncovalent"] == [tmp_path / "noncovalent" / "S22"]
    assert not found["torsions"]
    (tmp_path / "transferability.yaml").write_text("reactions: rdb7.zip\n")  # asked for by name
    assert find_files(tmp_path, TESTS)["reactions"] == [tmp_path / "rdb7.zip"]
