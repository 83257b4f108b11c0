"""Files that are whole or absent."""

import dataclasses
import errno
import os
from pathlib import Path

import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.io.trajectory import TrajectoryWriter

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli.app import main
from ase_mlseqm.files import frames as frames_module
from ase_mlseqm.files.frames import write_frames
from ase_mlseqm.wholefile import write_whole
from ase_mlseqm.workflows import MDConfig, dynamics, read_h5md, relax
from ase_mlseqm.workflows.journal import Journal


def test_two_runs_write_one_file(tmp_path, monkeypatch):
    """Another one writes it between the two steps of the first; the last one wins."""
    path, replace = tmp_path / "mlseqm_relax.json", os.replace

    def other_first(new, target):
        monkeypatch.undo()
        write_whole(path, b"other")
        replace(new, target)

    monkeypatch.setattr(os, "replace", other_first)
    write_whole(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]


def full(monkeypatch, *kinds):
    """Let files of these kinds find no place on the disk."""
    replace = os.replace

    def replaced(new, path):
        if Path(path).suffix in kinds:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(new, path)

    monkeypatch.setattr(os, "replace", replaced)


def test_a_file_that_is_written_anew_stays_where_the_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "h2_relaxed.extxyz"
    write_frames(path, [molecule("H2")])
    before = path.read_bytes()

    def cut(name, frames, **keywords):
        Path(name).write_text("2\n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(frames_module, "write", cut)
    with pytest.raises(OSError, match="No space left") as caught:
        write_frames(path, [molecule("H2O")])
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "lost", "kept"),
    [
        (["relax", "h2.xyz"], "h2_convergence.png", "h2_relaxed.extxyz"),
        (["vib", "h2.xyz", "--no-animate"], "h2_spectrum.png", "h2_vib.json"),
        (["thermo", "h2.xyz"], "h2_thermo.png", "h2_thermo.json"),
        (["md", "h2.xyz", "--steps", "5"], "h2_md.png", "h2_md.csv"),
    ],
)
def test_pictures_without_a_place(tmp_path, monkeypatch, capsys, line, lost, kept):
    """All else is written and reported."""
    monkeypatch.chdir(tmp_path)
    write("h2.xyz", molecule("H2"))
    full(monkeypatch, ".png")
    assert main([*line, "--method", "PM3"]) == 2
    told = capsys.readouterr()
    assert f"mlseqm: {lost}: cannot be written (No space left on device)\n" in told.err
    assert "energy" in told.out
    assert Path(kept).exists() and Path(f"mlseqm_{line[0]}.json").exists()
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".new", ".png")]


def test_results_without_a_place(tmp_path, monkeypatch, capsys):
    """What the first has is told, and which file is lost."""
    monkeypatch.chdir(tmp_path)
    write("h2.xyz", molecule("H2"))
    write("n2.xyz", molecule("N2"))
    Path("n2_relaxed.extxyz").symlink_to("/dev/full")
    line = ["relax", "h2.xyz", "n2.xyz", "--method", "PM3", "--optimizer", "BFGSLineSearch"]
    assert main(line) == 2
    told = capsys.readouterr()
    assert "n2_relaxed.extxyz: cannot be written (No space left on device)" in told.err
    assert "h2.xyz" in told.out and Path("mlseqm_relax.json").exists()


def test_journals_name_themselves(tmp_path):
    path = tmp_path / "a_vib_unfinished.jsonl"
    with Journal(path) as journal:
        path.symlink_to("/dev/full")
        with pytest.raises(OSError, match=r"No space.*a_vib_unfinished.jsonl"):
            journal.keep("key", "name", {})


def test_trajectories_in_hdf5_without_a_place(tmp_path, monkeypatch):
    """The last frames that had one stay."""
    config = MDConfig(steps=4, format="h5md", interval=2)
    dynamics(molecule("H2"), EMT(), config, stem=tmp_path / "h2")
    full(monkeypatch, ".h5md")
    longer = dataclasses.replace(config, steps=8)
    with pytest.raises(OSError, match=r"No space.*h2_md\.h5md"):
        dynamics(molecule("H2"), EMT(), longer, stem=tmp_path / "h2")
    frames = read_h5md(tmp_path / "h2_md.h5md")
    assert [atoms.info["step"] for atoms in frames] == [0, 2, 4]
    monkeypatch.undo()
    assert dynamics(molecule("H2"), EMT(), longer, stem=tmp_path / "h2").steps == 8


def test_relaxations_do_not_need_the_file_to_go_on_from(tmp_path, monkeypatch):
    """Whether molecules relax by themselves, in a list or as one batch."""
    full(monkeypatch, ".extxyz")
    file = tmp_path / "unfinished.extxyz"
    for system in (molecule("H2O"), [molecule("H2O"), molecule("CH4")]):
        with pytest.warns(UserWarning, match=r"unfinished.*No space left.*goes on") as told:
            found = relax(system, MLSEQM(method="PM3"), checkpoint=file)
        assert len(told) == 1
        assert all(one.converged for one in (found if isinstance(found, list) else [found]))


def test_trajectories_of_relaxations_without_a_place(tmp_path, monkeypatch, capsys):
    """The structure is relaxed as without one; frames that had a place stay."""
    monkeypatch.chdir(tmp_path)
    write("water.xyz", molecule("H2O"))
    add = TrajectoryWriter.write

    def fills_up(writer, atoms):
        if len(writer) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(writer, atoms)

    line = ["relax", "water.xyz", "--method", "PM3", "--no-figure"]
    assert main([*line, "--out", "whole"]) == 0
    monkeypatch.setattr(TrajectoryWriter, "write", fills_up)
    assert main([*line, "--trajectory"]) == 2
    assert "water.traj: cannot be written (No space left on device)" in capsys.readouterr().err
    relaxed, whole = (read(Path(out, "water_relaxed.extxyz")) for out in (".", "whole"))
    assert relaxed.info["relaxed"] and (relaxed.positions == whole.positions).all()
    assert len(read("water.traj", ":")) == 3


@pytest.mark.parametrize("command", ["neb", "md"])
def test_a_full_disk_is_no_fault_of_the_calculator(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    ends = [molecule("H2O2"), molecule("H2O2")]
    ends[1].set_dihedral(2, 0, 1, 3, 180, indices=[3])
    for name, atoms in zip("rp", ends, strict=True):
        write(f"{name}.xyz", atoms)
    full(monkeypatch, ".npz")
    line = ["r.xyz", "--steps", "2"]
    if command == "neb":
        line = ["r.xyz", "p.xyz", "--no-relax-ends", "--max-steps", "2"]
    assert main([command, *line, "--method", "PM3"]) == 2
    told = capsys.readouterr().err
    assert "cannot be written (No space left on device)" in told
    assert "stopped after" not in told and "OSError" not in told
