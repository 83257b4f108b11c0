"""Broken records are left out, counted, listed with their reasons, and in no mean."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write
from test_noncovalent import DISTANCES, water_dimer, write_comp6, write_gmtkn
from test_reactions_rdb7 import hcn, write_rdb7
from test_series import ANGLES, PEROXIDE, peroxide, write_series
from transfer import PLAIN, metrics, table, write_labels

from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.training.dataset import Skipped
from ase_mlseqm.workflows.transferability.dissociation import Dissociation
from ase_mlseqm.workflows.transferability.frequencies import Frequencies
from ase_mlseqm.workflows.transferability.labelled import load_frames
from ase_mlseqm.workflows.transferability.read_comp6 import comp6_reactions
from ase_mlseqm.workflows.transferability.read_extxyz import read_extxyz
from ase_mlseqm.workflows.transferability.read_gmtkn import read_gmtkn
from ase_mlseqm.workflows.transferability.read_rdb7 import read_rdb7
from ase_mlseqm.workflows.transferability.series import read_series
from ase_mlseqm.workflows.transferability.torsions import Torsions

SOUND = "2\n\nH 0 0 0\nH 0 0 0.74\n"
FRAMES = {
    "a frame with fewer atoms": ("3\n\nH 0 0 0\nH 0 0 1\n", "line 5 says 3 atoms, but 2 follow"),
    "a blank line in it": ("2\n\nH 0 0 0\n\nH 0 0 1\n", "line 5 says 2 atoms, but 1 follow"),
    "more atoms": (SOUND + "H 0 0 9\n", "line 5 says 2 atoms, but more follow"),
    "no number of atoms": ("two\n\nH 0 0 0\nH 0 0 1\n", "line 5 is 'two', where the number of"),
    "a word": (SOUND.replace("0.74", "x"), "line 8: 'x' is no number"),
    "no element": ("1\n\nHh 0 0 0\n", "line 7: 'Hh' is no element"),
    "NaN": (SOUND.replace("0.74", "nan"), "a position is not a number"),
    "atoms on each other": (SOUND.replace("0.74", "0.1"), "two atoms are closer than 0.3 Angstrom"),
    "a dummy atom": ("1\n\nX 0 0 0\n", "'X' is no element"),
    "no atoms": ("0\n\n", "there are no atoms in it"),
    "a short line": (
        "1\nProperties=species:S:1:pos:R:3 energy=1\nH 0 0\n",
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_broken_frame_does_not_hide_the_others(tmp_path, name):
    text, reason = FRAMES[name]
    (tmp_path / "a.xyz").write_text(SOUND + text + SOUND)
    first, broken, last = read_extxyz(tmp_path / "a.xyz")
    assert (first[0], last[0]) == (0, 2)
    for _, atoms in (first, last):
        assert atoms.positions == pytest.approx(np.array([[0, 0, 0], [0, 0, 0.74]]))
    assert (broken.file, broken.record) == ("a.xyz", "frame 1")
    assert reason in broken.reason and "\n" not in broken.reason


def test_frames_are_read_as_ase_reads_them(tmp_path):
    path = write_series(tmp_path / "a.xyz", [peroxide(a) for a in ANGLES], PEROXIDE)
    text = path.read_text()
    path.write_text("\ufeff" + text.replace("\n", "\r\n") + "\n\n")
    found = list(read_extxyz(path))
    assert [k for k, _ in found] == list(range(len(ANGLES)))
    assert all(np.isfinite(atoms.get_potential_energy()) for _, atoms in found)
    path.write_text("3\n7\nO 0 0 0\nH 0 0 1\nH 0 1 0\n" * 2)  # the comment is a number
    assert [len(atoms) for _, atoms in read_extxyz(path)] == [3, 3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "there are no structures in it"),
        (bytes(range(256)), "cannot be read (it is not a text file)"),
    ],
)
def test_files_without_a_frame(tmp_path, content, reason):
    (tmp_path / "a.xyz").write_bytes(content)
    assert list(read_extxyz(tmp_path / "a.xyz")) == [Skipped("a.xyz", "the file", reason)]


# series


def test_frames_that_do_not_belong_to_a_series(tmp_path):
    """Most frames decide what the series is."""
    systems = [peroxide(a) for a in (30, 60, 90, 120, 150, 180)]
    path = write_series(tmp_path / "a.xyz", systems, PEROXIDE)
    systems[0].info["scan_atoms"] = np.array(PEROXIDE[::-1])
    systems[1].info["charge"] = 2
    systems[2].calc = None
    del systems[3].info["scan_atoms"]
    write(path, systems, format="extxyz")
    series, skipped = read_series(path, "dihedral")
    assert series.x == pytest.approx([150, 180], abs=1e-4)
    assert {record.record: record.reason.partition(",")[0] for record in skipped} == {
        "frame 0": "it differs from most frames in its atoms",
        "frame 1": "it differs from most frames in its atoms",
        "frame 2": "it has no energy that is a number",
        "frame 3": "every frame must state different atoms of it",
    }
    assert all(r.reason.startswith("scan_atoms names") for r in read_series(path, "angle")[1][:2])


def test_frames_of_a_series_that_say_nothing_of_use(tmp_path):
    path = write_series(tmp_path / "a.xyz", [peroxide(a) for a in ANGLES], PEROXIDE, relaxed=True)
    first, second, *others = path.read_text().split("\n4\n")
    second = second.replace("energy=", "energy=none was=")
    line = "\n".join([second.split("\n")[0], *(f"{s} 0 0 {k}" for k, s in enumerate("OOHH"))])
    line = line.replace("energy=none", "energy=1").replace(":forces:R:3", "")
    texts = [first, second, line, others[0].replace("relaxed=T", "relaxed=no"), *others[1:]]
    path.write_text("\n4\n".join(texts))
    series, skipped = read_series(path, "dihedral")
    assert series.x == pytest.approx([ANGLES[k] for k in (0, 3, 4, 5)], abs=1e-4)
    assert {record.record: record.reason for record in skipped} == {
        "frame 1": "it has no energy that is a number, where others have one",
        "frame 2": "three of its scan_atoms are on a line: it has no dihedral",
        "frame 3": "relaxed is 'no': write T or F",
    }


def test_series_of_which_too_little_is_left(tmp_path):
    write_series(tmp_path / "a.xyz", [peroxide(a) for a in ANGLES], PEROXIDE)
    with pytest.raises(InputError, match=r"b\.xyz: nothing in it can be used \(b\.xyz: the file"):
        Torsions().load([tmp_path / "b.xyz"], PLAIN)
    (tmp_path / "b.xyz").write_text("nothing")
    write_series(tmp_path / "c.xyz", [peroxide(a) for a in ANGLES[:2]], PEROXIDE)
    found = Torsions().load(sorted(tmp_path.glob("*.xyz")), PLAIN)
    assert [series.name for series in found] == ["a"]
    assert [(s.file, s.record) for s in found.skipped] == [
        ("b.xyz", "frame 0"),
        ("c.xyz", "the file"),
    ]
    with pytest.raises(InputError, match="none of its 2 records can be used") as caught:
        Torsions().load([tmp_path / "b.xyz", tmp_path / "c.xyz"], PLAIN)
    assert str(caught.value).count("\n") == 0


def test_what_is_left_of_a_series_is_not_stretched(tmp_path):
    systems = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (0.7, 0.9)]
    path = write_series(tmp_path / "h2.xyz", systems, (0, 1))
    path.write_text(path.read_text().replace("0.90000000", "nan"))
    with pytest.raises(InputError, match="none of its 2 records can be used"):
        Dissociation().load([path], PLAIN)


def test_torsions_without_their_broken_frames(tmp_path, capsys):
    systems = [peroxide(a) for a in ANGLES]
    path = write_series(tmp_path / "torsions" / "h2o2.xyz", systems, PEROXIDE)
    lines = path.read_text().splitlines()
    lines[9] = lines[9].replace(lines[9].split()[1], "nan", 1)  # frame 1
    path.write_text("\n".join(lines[:-1]) + "\n")  # the last frame ends early
    config = dataclasses.replace(PLAIN, tests=("torsions",), relax_scans=False)
    for _ in range(2):  # the second run reads what the first has kept
        assert transferability_run(config, tmp_path, tmp_path / "out") == 1
        found = table(tmp_path / "out" / "skipped.csv")
        assert [(r["test"], r["file"], r["record"]) for r in found] == [
            ("torsions", "h2o2.xyz", "frame 1"),
            ("torsions", "h2o2.xyz", "frame 5"),
        ]
        shown = capsys.readouterr().out
        assert "Broken records, left out: 2" in shown
        assert "h2o2.xyz: frame 1: a position is not a number" in shown
    assert not table(tmp_path / "out" / "failures.csv")
    assert len(table(tmp_path / "out" / "torsions.csv")) == 2 * (len(ANGLES) - 2)
    assert metrics(tmp_path / "out", "torsions")["AM1", "profile MAE, rigid"] < 1e-4
    page = (tmp_path / "out" / "transferability.html").read_text()
    assert "Broken records of the data, left out: 2." in page
    assert '<td class="text">a position is not a number</td>' in page
    summary = json.loads((tmp_path / "out" / "mlseqm_transferability.json").read_text())
    assert [r["record"] for r in summary["results"]["torsions"]["skipped"]] == [
        "frame 1",
        "frame 5",
    ]


def test_spectra_and_molecules(tmp_path):
    frames = [molecule("H2O") for _ in range(3)]
    for atoms, values in zip(frames, ([1600.0, 3700, 3800], [1.0, 2.0], [np.nan] * 3), strict=True):
        atoms.info |= {"frequencies": np.array(values)}
    write(tmp_path / "a.extxyz", frames, format="extxyz")
    found = Frequencies().load([tmp_path / "a.extxyz"], PLAIN)
    assert len(found) == 1
    assert [(s.record, s.reason[:27]) for s in found.skipped] == [
        (f"frame {k}", "give all 3 frequencies in c") for k in (1, 2)
    ]


# reactions


def write_broken_rdb7(folder):
    """Reactions of which each but the first and the last has a fault."""
    write_rdb7(folder)
    rows = ["rxn,smiles,barrier,reaction_energy", "7,a>>b,45.0,15.0"]
    for number in range(8, 15):
        inside = folder / f"rxn{number:06d}"
        inside.mkdir()
        for side, angle in (("r", 0), ("ts", 75), ("p", 180)):
            atoms = hcn(angle)
            if number == 13:
                atoms.symbols = "BOH"
            write(inside / f"{side}{number:06d}.xyz", atoms, format="xyz")
        rows.append(f"{number},a>>b,45.0,15.0")
    first = folder / "rxn000008" / "ts000008.xyz"
    first.write_text("\n".join(first.read_text().splitlines()[:-1]) + "\n")
    (folder / "rxn000009" / "p000009.xyz").unlink()
    broken = hcn(0)
    broken.positions[1, 1] = np.nan
    write(folder / "rxn000010" / "r000010.xyz", broken, format="xyz")
    write(folder / "rxn000011" / "ts000011.xyz", hcn(75)[[2, 0, 1]], format="xyz")
    write(folder / "rxn000012" / "p000012.xyz", Atoms("N2", [[0, 0, 0], [0, 0, 1.1]]), format="xyz")
    rows[-1] = "14,a>>b,nan,15.0"
    rows += ["fifteen,a>>b,1.0,1.0", "16,a>>b,1.0", '17,"a>>b,1.0,1.0', "18,a>>b,,", "7,a,1.0,2.0"]
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return folder


LOST = {
    ("rdb7/rxn000008/ts000008.xyz", "rxn000008 barrier"): "it ends in the middle of a frame",
    ("rdb7/rxn000009/p000009.xyz", "rxn000009 reaction energy"): "there is no such file",
    ("rdb7/rxn000010/r000010.xyz", "rxn000010 barrier"): "a position is not a number",
    ("rdb7/rxn000010/r000010.xyz", "rxn000010 reaction energy"): "a position is not a number",
    ("rdb7/rxn000011/ts000011.xyz", "rxn000011 barrier"): "in another order than those",
    (
        "rdb7/rxn000012/p000012.xyz",
        "rxn000012 reaction energy",
    ): "others than those of the",
    ("rdb7/data.csv", "rxn000014 barrier"): "barrier is 'nan': give a number in kcal/mol",
    ("rdb7/data.csv", "line 10"): "rxn is 'fifteen': give a whole number",
    ("rdb7/data.csv", "line 11"): "it has 3 values for 4 columns",
    ("rdb7/data.csv", "line 12"): "it is no line of CSV",
    ("rdb7/data.csv", "line 13"): "there is no reference of rxn000018 in it",
    ("rdb7/data.csv", "line 14"): "rxn000007 is given twice",
}


def test_reactions_without_broken_ones(tmp_path):
    found = read_rdb7(write_broken_rdb7(tmp_path / "rdb7"))
    assert {(s.file, s.record) for s in found.skipped} == set(LOST)
    for record in found.skipped:
        assert LOST[record.file, record.record] in record.reason
    assert [(d.reaction, d.quantity) for d in found.differences] == [
        ("rxn000007", "barrier"),
        ("rxn000007", "reaction energy"),
        ("rxn000008", "reaction energy"),
        ("rxn000009", "barrier"),
        ("rxn000011", "reaction energy"),
        ("rxn000012", "barrier"),
        ("rxn000013", "barrier"),
        ("rxn000013", "reaction energy"),
        ("rxn000014", "reaction energy"),
    ]


def test_an_element_that_a_method_lacks_is_its_failure(tmp_path, capsys):
    """Boron is in MNDO, not in PM3: in the mean of neither."""
    write_broken_rdb7(tmp_path / "rdb7")
    config = dataclasses.replace(PLAIN, tests=("reactions",), method=("PM3", "MNDO"))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1
    assert len(table(tmp_path / "out" / "skipped.csv")) == len(LOST)
    assert "left out: 12, the first 10 (skipped.csv has all)" in capsys.readouterr().out
    failures = table(tmp_path / "out" / "failures.csv")
    assert {(f["method"], f["case"]) for f in failures} == {
        ("PM3", "rxn000013 barrier"),
        ("PM3", "rxn000013 reaction energy"),
    }
    assert all("PM3 has no parameters for B" in f["reason"] for f in failures)
    rows = table(tmp_path / "out" / "reactions.csv")
    assert {row["method"] for row in rows if row["case"].startswith("rxn000013")} == {"MNDO"}
    counts = {
        (row["method"], row["metric"]): row["molecules"]
        for row in table(tmp_path / "out" / "summary.csv")
    }
    assert counts["MNDO", "barrier MAE"] == counts["PM3", "barrier MAE"] == "3"
    assert all(np.isfinite(float(row["energy"])) for row in rows)


def test_product_that_only_a_path_needs(tmp_path):
    folder = write_rdb7(tmp_path / "rdb7", "rxn,dE0", "7,45.0")
    assert "rxn000007/p000007" in read_rdb7(folder).structures
    (folder / "rxn000007" / "p000007.xyz").write_text("3\n")
    found = read_rdb7(folder)
    assert [(s.record, len(found.differences)) for s in found.skipped] == [("rxn000007 product", 1)]
    (folder / "rxn000007" / "p000007.xyz").unlink()
    assert not read_rdb7(folder).skipped


def test_a_folder_of_broken_reactions(tmp_path, capsys):
    write_rdb7(tmp_path / "rdb7", row="7,a,1")
    config = dataclasses.replace(PLAIN, tests=("reactions",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "mlseqm: reactions: rdb7: nothing in it can be used (rdb7/data.csv: line 2: "
        "it has 3 values for 4 columns)\n"
    )


# dimers, frames


def test_subset_without_broken_reactions(tmp_path):
    folder = write_gmtkn(tmp_path / "S66")
    lines = [
        "$tmer {01A,01B,01}/$f x 1 1 -1 $w 5.00",
        "$tmer {01A,01B,02}/$f x 1 1 -1 $w 5.00",
        "$tmer {01A,07}/$f x 1 -1 $w 5.00",
        "$tmer {01A,01B,01}/$f x 1 1 $w 5.00",
        "$tmer {01A,01B,01}/$f x 1 1 -1 $w nan",
        "$tmer {OH,01A}/$f x 1 -1 $w 5.00",
    ]
    (folder / ".res").write_text("\n".join(lines))
    (folder / "02").mkdir()
    (folder / "02" / "struc.xyz").write_text("6\n\nO 0 0 0\nH 0 0 1\n")
    (folder / "OH" / ".CHRG").write_text("minus one\n")
    found = read_gmtkn(folder)
    assert [r.name for r in found.reactions] == ["S66/01A + 01B → 01"]
    assert set(found.systems) == {"S66/01A", "S66/01B", "S66/01"}, "nothing else is computed"
    assert {(s.file, s.record): s.reason for s in found.skipped} == {
        (
            "S66/02/struc.xyz",
            "line 2 (S66/01A + 01B → 02)",
        ): "cannot be read (it ends in the middle of a frame: line 1 says 6 atoms, but 2 follow)",
        ("S66/07", "line 3 (S66/07 → 01A)"): "there is no struc.xyz or coord in it",
        ("S66/.res", "line 4"): "3 systems, but 2 coefficients",
        ("S66/.res", "line 5"): "'1 1 -1 nan' are not all finite numbers",
        ("S66/OH/.CHRG", "line 6 (S66/01A → OH)"): "give a whole number",
    }


def test_reactions_that_do_not_balance(tmp_path):
    folder = write_gmtkn(tmp_path / "S66")
    lines = [
        "$tmer {01A,01B,01}/$f x 1 1 -1 $w 5.00",
        "$tmer {01A,01}/$f x 1 -1 $w 5.00",
        "$tmer {01A,01B,01}/$f x 1 2 -1 $w 5.00",
        "$tmer {01A,01B,OH,H3O}/$f x 1 1 -1 -1 $w 5.00",
        "$tmer {01A,01}/$f x 1 -0.5 $w 5.00",
    ]
    (folder / ".res").write_text("\n".join(lines))
    (folder / "H3O").mkdir()
    write(folder / "H3O" / "struc.xyz", Atoms("OH3", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]))
    found = read_gmtkn(folder)
    assert [r.name for r in found.reactions] == ["S66/01A + 01B → 01", "S66/01 → 01A"]
    assert set(found.systems) == {"S66/01A", "S66/01B", "S66/01"}, "nothing else is computed"
    wrong = "the coefficients, or the structures, are wrong"
    assert {(s.file, s.record): s.reason for s in found.skipped} == {
        ("S66/.res", "line 2 (S66/01 → 01A)"): f"its sides differ by 2 H: {wrong}",
        ("S66/.res", "line 3 (S66/01A + 01B → 01)"): f"its sides differ by 2 H: {wrong}",
        (
            "S66/.res",
            "line 4 (S66/OH + H3O → 01A + 01B)",
        ): "its sides differ by a charge of 1 e: a .CHRG, or a coefficient, is wrong",
    }


def test_curves_without_broken_frames(tmp_path):
    path = write_comp6(tmp_path / "s66x8.h5")
    with h5py.File(path, "a") as file:
        file["s66x8/mol00/coordinates"][2, 0, 0] = np.nan
        file["s66x8/mol00/energies"][4] = np.inf
        file.create_group("s66x8/mol01")["species"] = np.array([8])
    found = comp6_reactions(path)
    assert [(s.record, s.reason) for s in found.skipped] == [
        ("s66x8/mol00[2]", "a position is not a number"),
        ("s66x8/mol00[4]", "the energy is not a number"),
        ("s66x8/mol01", "there is no coordinates in it, but species"),
    ]
    assert len(found.reactions) == len(DISTANCES) - 3
    assert set(found.forces) == {f"s66x8/mol00[{k}]" for k in (0, 1, 3, 5, 6)}
    assert found.systems["s66x8/mol00[5]"].positions == pytest.approx(water_dimer(4.0).positions)
    with h5py.File(path, "a") as file:
        file["s66x8/mol00/energies"][:] = np.nan
    with pytest.raises(InputError, match=r"s66x8\.h5: none of its .* records can be used"):
        comp6_reactions(path)


@pytest.mark.parametrize("place", ["m_CH4", "m_CH4/homo"])
def test_labelled_frames_of_a_damaged_file(tmp_path, place):
    path = write_labels(tmp_path / "a.h5", ("CH4", "H2O"))
    with h5py.File(path, "a") as file:
        file["m_H2O/gap"] = h5py.SoftLink("/nowhere")  # a link that dangles is none
        address = h5py.h5o.get_info(file[place].id).addr
    content = bytearray(path.read_bytes())
    content[address] = 255  # the version of its header
    path.write_bytes(content)
    found = load_frames([path])
    assert set(found.names) >= {"h2o"}
    assert [(s.record, s.reason) for s in found.skipped] == [(place, "it is damaged")]


def test_labelled_frames(tmp_path):
    path = write_labels(tmp_path / "a.h5", ("CH4", "H2O"))
    with h5py.File(path, "a") as file:
        file["m_CH4/energies"][1] = np.nan
    found = load_frames([path])
    assert len(found) == 3
    assert [(s.file, s.record) for s in found.skipped] == [("a.h5", "m_CH4[1]")]
