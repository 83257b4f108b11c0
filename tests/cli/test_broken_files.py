"""What is said of files that cannot be read: a sentence that tells what is wrong with them."""

import pytest

from ase_mlseqm.files.broken import plain_reason, xyz_fault

GARBAGE = bytes(range(256)) * 8
WATER = "3\n\nO 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.477\n"
UNREADABLE = {
    "empty.xyz": ("", "it is empty"),
    "cut.xyz": (
        "3\nwater\nO 0 0 0\nH 0 0 1\n",
        "it ends in the middle of a frame: line 1 says 3 atoms, but 2 follow",
    ),
    "head.xyz": ("3\n", "it ends in the middle of a frame: line 1 says 3 atoms, but none follow"),
    "half_line.xyz": (
        "3\n\nO 0 0 0\nH 0 0\nH 0 1 0\n",
        "line 4: 'H 0 0' is not an element and three coordinates",
    ),
    "too_many.xyz": ("2" + WATER[1:], "line 1 says 2 atoms, but more follow"),
    "too_few.xyz": ("4" + WATER[1:] + WATER, "line 1 says 4 atoms, but 3 follow"),
    "no_count.xyz": (WATER[3:], "line 1 is 'O 0 0 0.119', where the number of atoms should be"),
    "trailing.xyz": (
        WATER + "nonsense\n",
        "line 6 is 'nonsense', where the number of atoms should be",
    ),
    "no_element.xyz": (WATER.replace("O", "Hh"), "line 3: 'Hh' is no element"),
    "number.xyz": (WATER.replace("O", "8"), "line 3: '8' is no element: write O"),
    "type.xyz": (WATER.replace("O", "119"), "line 3: '119' is no element)"),
    "isotope.xyz": (
        WATER.replace("H", "D", 1),
        "line 4: 'D' is no element: write H, and give vib and thermo --isotopes H=D",
    ),
    "isotope.extxyz": (
        WATER.replace("\n", "\nProperties=species:S:1:pos:R:3 #", 1).replace("H", "D", 1),
        "line 4: 'D' is no element: write H",
    ),
    "plain.xyz.gz": (WATER, "it is not compressed: leave out .gz"),
    "plain.xyz.xz": (WATER, "it is not compressed: leave out .xz"),
    "word.xyz": (WATER.replace("0.763", "x", 1), "line 4: 'x' is no number"),
    "comma.xyz": (
        WATER.replace(".", ","),
        "line 3: '0,119' is no number: write a point, not a comma",
    ),
    "mark.xyz": ("\ufeff" + WATER, "it starts with a byte order mark: save it as UTF-8"),
    "garbage.xyz": (GARBAGE, "it is not a text file"),
    "garbage.cif": (GARBAGE, "it is broken, or of another type than its name"),
    "garbage.traj": (GARBAGE, "This is not an ULM formatted file."),
    "molecule.foo": (WATER, "its type is unknown: give a file such as .xyz, or of another format"),
    "extensionless": (GARBAGE, "its type is unknown"),
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_cannot_be_read(mlseqm, folder, name):
    content, reason = UNREADABLE[name]
    write(folder / name, content)
    code, out, err = mlseqm("sp", name, "--method", "PM3")
    assert (code, out) == (2, "")
    assert err.startswith(f"mlseqm: {name}: cannot be read")
    assert f"({reason}" in err and err.endswith(")\n") and err.count("\n") == 1
    assert not any(word in err for word in ("Stop", "Error", "codec", "literal", "ase.io"))


def test_a_folder(mlseqm, folder):
    (folder / "water.xyz").mkdir()
    code, _, err = mlseqm("sp", "water.xyz", "--method", "PM3")
    assert (code, err) == (
        2,
        "mlseqm: water.xyz: cannot be read (it is a folder: give a file)\n",
    )


def test_a_file_of_blank_lines(mlseqm, folder):
    write(folder / "a.xyz", "\n\n")
    assert "a.xyz: there are no structures in it" in mlseqm("sp", "a.xyz")[2]


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("3\n\nO 0 0 0\n", "it ends in the middle of a frame: line 6 says 3 atoms, but 1 follow"),
        ("3\n\nO 0 0 0\nH 0 1\n", "line 9: 'H 0 1' is not an element and three coordinates"),
    ],
)
def test_the_frames_before_a_fault_are_computed(mlseqm, folder, rest, reason):
    write(folder / "a.xyz", WATER + rest)
    code, out, err = mlseqm("sp", "a.xyz", "--method", "PM3")
    assert code == 2 and "H2O" in out
    assert err == f"mlseqm: a.xyz: cannot be read behind frame 0 ({reason})\n"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_of_windows_are_read(mlseqm, folder, end):
    write(folder / "a.xyz", WATER.replace("\n", end).removesuffix(end))
    code, out, err = mlseqm("sp", "a.xyz", "--method", "PM3")
    assert (code, err) == (0, "") and "H2O" in out


def test_sound_texts_have_no_fault():
    text = "1\nProperties=species:S:1:forces:R:3 energy=1\nH a b c\n\n2\n\nH 0 0 0\nhe 0 0 1e0 7\n"
    assert xyz_fault(text.splitlines(keepends=True)) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("generator raised StopIteration"), "it ends too early"),
        (KeyError("Hh"), "'Hh' is unknown"),
        (AssertionError(), "it is broken, or of another type than its name"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_messages_of_parsers(error, reason):
    assert plain_reason(error) == reason


def test_columns_of_extended_xyz_are_counted():
    text = "2\nProperties=species:S:1:pos:R:3 energy=1\nH 0 0 0\nH 0\n"
    assert xyz_fault(text.splitlines(keepends=True)) == "line 4: 'H 0' has 2 columns instead of 4"
    odd = text.replace("pos:R:3", "pos:R:x")
    assert xyz_fault(odd.splitlines(keepends=True)) is None
