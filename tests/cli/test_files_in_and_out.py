"""What files state is used, what they cannot hold is mended, and nothing computed is lost."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from commands import pdb

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli.app import main
from ase_mlseqm.runs.run import Run
from ase_mlseqm.workflows import MDConfig, dynamics

PM3 = ["--method", "PM3"]


def test_pipes_are_named(capsys):
    os.mkfifo("pipe.xyz")
    assert main(["sp", "pipe.xyz", *PM3]) == 2
    assert "pipe.xyz: cannot be read (it is a pipe: write it to a file first)" in (
        capsys.readouterr().err
    )


def test_a_folder_with_the_name_of_a_file_does_not_take_the_others(capsys):
    Path("folder.pdb").mkdir()
    write("water.xyz", molecule("H2O"), format="xyz")
    assert main(["sp", "folder.pdb", "water.xyz", *PM3]) == 2
    assert "folder.pdb: cannot be read" in capsys.readouterr().err
    assert Path("water_sp.extxyz").exists()


def test_blank_words_can_be_read_again(capsys):
    """Residues without a name would leave a column out of extended XYZ."""
    Path("w.pdb").write_text(pdb("   "))
    assert main(["sp", "w.pdb", *PM3]) == 0
    assert main(["sp", "w_sp.extxyz", *PM3, "--out", "again"]) == 0
    assert read("again/w_sp_sp.extxyz").get_chemical_formula() == "HO"


@pytest.mark.parametrize(
    "line", ["sp", "relax", "vib", "phonons", "ts --no-irc", "md --steps 2", "neb b.traj"]
)
def test_notes_of_several_lines_can_be_read_again(line):
    """A line break would begin the atoms of extended XYZ."""
    atoms = molecule("HCN")
    atoms.info["note"] = "two\r\nlines"
    write("a.traj", atoms)
    atoms.positions[atoms.symbols == "H"] = (0.0, 0.0, 1.7)  # beyond the nitrogen
    write("b.traj", atoms)
    command, *rest = line.split()
    main([command, "a.traj", *rest, *PM3])
    written = list(Path().glob("*.extxyz"))
    assert written
    for file in written:
        assert {frame.info["note"] for frame in read(file, ":")} == {"two lines"}


def test_words_of_dynamics_from_python_can_be_read_again():
    atoms = molecule("H2O")
    atoms.set_array("residuenames", np.array(["H O H", "", " "]))
    found = dynamics(atoms, MLSEQM(method="PM3"), MDConfig(steps=1), stem="w")
    frame = read(found.files.frames, 0)
    assert frame.arrays["residuenames"].tolist() == ["H_O_H", "X", "X"]
    assert found.atoms.arrays["residuenames"].tolist() == ["H O H", "", " "]


def test_spectra_of_a_file_with_an_at_sign():
    """To ASE what is behind it is the number of a frame."""
    write("w@1.xyz", molecule("H2O"), format="xyz")
    assert main(["md", "w@1.xyz", *PM3, "--steps", "70", "--interval", "1"]) == 0
    assert Path("w@1_power.csv").exists()


def test_results_do_not_overwrite_what_is_read(capsys):
    write("a.xyz", molecule("H2O"), format="xyz")
    assert main(["sp", "a.xyz", *PM3]) == 0
    before = Path("a_sp.extxyz").read_bytes()
    assert main(["sp", "a.xyz", "a_sp.extxyz", "--method", "AM1"]) == 2
    assert "a_sp.extxyz would be overwritten by the results of a.xyz" in capsys.readouterr().err
    assert Path("a_sp.extxyz").read_bytes() == before
    assert main(["sp", "a.xyz", "a_sp.extxyz", "--method", "AM1", "--out", "am1"]) == 0


def test_a_structure_at_which_dynamics_stopped_stays_where_it_is_read(capsys):
    """Dynamics that come to their end remove that of an earlier run."""
    write("w.xyz", molecule("H2O"), format="xyz")
    write("w_failed.extxyz", molecule("H2O"))
    assert main(["md", "w.xyz", "w_failed.extxyz", *PM3, "--steps", "2"]) == 2
    assert "w_failed.extxyz would be overwritten" in capsys.readouterr().err
    assert Path("w_failed.extxyz").exists()
    assert main(["md", "w.xyz", "w_failed.extxyz", *PM3, "--steps", "2", "--out", "o"]) == 0


def test_a_trajectory_that_is_read_stays(capsys):
    """That of a relaxation has the name of the file without its kind."""
    write("w.traj", molecule("H2O"))
    before = Path("w.traj").read_bytes()
    Path("link.traj").symlink_to("w.traj")
    for name in ("w.traj", "link.traj"):
        assert main(["relax", name, *PM3, "--trajectory"]) == 2
        assert f"{name} would be overwritten" in capsys.readouterr().err
    assert main(["relax", "w.traj", *PM3, "--trajectory", "--out", "o"]) == 0
    assert len(read("o/w.traj", ":")) > 1
    assert Path("w.traj").read_bytes() == before
    write("two.traj", [molecule("H2O"), molecule("H2")])  # results get the numbers of the frames
    assert main(["relax", "two.traj", *PM3, "--trajectory"]) == 0
    assert len(read("two_0000.traj", ":")) > 1


def test_transition_states_of_paths_do_not_overwrite_what_is_read(capsys):
    """The files of a transition state lack the last word of the path's name."""
    images = [molecule("H2O") for _ in range(3)]
    for k, image in enumerate(images):
        image.info["neb_image"] = k
        image.calc = SinglePointCalculator(image, energy=-abs(k - 1.0))
    write("p_path.extxyz", images)
    write("p_ts.extxyz", images[1])
    before = Path("p_ts.extxyz").read_bytes()
    assert main(["ts", "p_path.extxyz", "p_ts.extxyz", *PM3]) == 2
    told = capsys.readouterr().err
    assert "p_ts.extxyz would be overwritten by the results of p_path.extxyz" in told
    assert Path("p_ts.extxyz").read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [["fe.xyz"], ["w.xyz", "--max-iterations", "1", "--tolerance", "1e-15"]],
)
def test_trajectories_of_earlier_runs_outlive_a_failure(line):
    write("fe.xyz", Atoms("Fe"))
    write("w.xyz", molecule("H2O"))
    earlier = Path(line[0]).with_suffix(".traj")
    write(earlier, molecule("CH4"))
    before = earlier.read_bytes()
    assert main(["relax", *line, *PM3, "--trajectory"]) in (1, 2)
    assert earlier.read_bytes() == before


@pytest.mark.parametrize("command", ["sp", "relax"])
def test_frames_say_where_they_were(command):
    """One of them is refused, so that their number is not their place."""
    bad = molecule("H2O")
    bad.positions[1] = bad.positions[0]
    write("three.xyz", [molecule("H2O"), bad, molecule("CH4")], format="extxyz")
    assert main([command, "three.xyz", *PM3]) == 2
    found = read("three_sp.extxyz" if command == "sp" else "three_relaxed.extxyz", ":")
    assert [frame.info["frame"] for frame in found] == [0, 2]


def test_a_full_disk_takes_one_file_only(capsys):
    write("a.xyz", molecule("H2O"), format="xyz")
    write("b.xyz", molecule("CH4"), format="xyz")
    Path("a_sp.extxyz").symlink_to("/dev/full")
    assert main(["sp", "a.xyz", "b.xyz", *PM3, "--json"]) == 2
    told = capsys.readouterr()
    assert len(json.loads(told.out)["molecules"]) == 2
    assert "a_sp.extxyz: cannot be written (No space left on device)" in told.err
    assert read("b_sp.extxyz").get_potential_energy() < 0.0
    assert Path("mlseqm_sp.json").exists()


@pytest.mark.parametrize("where", ["properties", "writing"])
def test_relaxations_that_are_done_are_not_lost(where, monkeypatch, capsys):
    """The file to go on from stays until the results are written."""
    write("two.xyz", [molecule("H2O"), molecule("CH4")], format="extxyz")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "properties":
            patch.setattr(Run, "points", stop)
        else:
            Path("two_relaxed.extxyz").symlink_to("/dev/full")
        assert main(["relax", "two.xyz", *PM3]) == (130 if where == "properties" else 2)
    Path("two_relaxed.extxyz").unlink(missing_ok=True)
    assert main(["relax", "two.xyz", *PM3, "--no-figure"]) == 0
    assert len(read("two_relaxed.extxyz", ":")) == 2
    assert not list(Path().glob("*unfinished*"))


def test_a_name_that_is_no_text():
    name = "w\udcff.xyz"  # a byte that is no text
    write("water.xyz", molecule("H2O"), format="xyz")
    Path("water.xyz").rename(name)
    assert main(["sp", name, *PM3]) == 0
    assert "w\\udcff.xyz" in Path("mlseqm_sp.json").read_text()


def test_modes_of_another_molecule_do_not_stay():
    write("x.xyz", molecule("H2O"), format="xyz")
    assert main(["vib", "x.xyz", *PM3, "--no-spectrum"]) == 0
    write("x.xyz", molecule("H2"), format="xyz")
    assert main(["vib", "x.xyz", *PM3, "--no-spectrum"]) == 0
    assert [path.name for path in Path("x_modes").iterdir()] == ["mode_001.extxyz"]


@pytest.mark.parametrize("command", ["vib", "thermo"])
def test_names_with_brackets(command, capsys):
    name = "c1cc[nH]c1.xyz"
    write(name, molecule("H2"), format="xyz")
    assert main([command, name, *PM3]) == 0
    assert capsys.readouterr().out.count(name) == 2


def test_spectra_that_would_show_fast_vibrations_as_slow_ones(capsys):
    write("water.xyz", molecule("H2O"), format="xyz")
    assert main(["md", "water.xyz", *PM3, "--steps", "200", "--interval", "20"]) == 0
    told = capsys.readouterr().err
    assert "every 20 steps show only what is below 1668 cm^-1" in told
    assert not Path("water_power.csv").exists()
    assert np.isfinite(np.loadtxt("water_ir.csv", delimiter=",", skiprows=1)).all()
    assert main(["md", "water.xyz", *PM3, "--steps", "60", "--out", "short"]) == 0
    assert "of 16 frames behind the equilibration, 64 are needed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sp", "relax", "explain", "neb"])
def test_molecules_in_cells(command, capsys):
    atoms = molecule("H2O", vacuum=4.0, pbc=True)
    write("box.extxyz", atoms)
    files = ["box.extxyz"] * (2 if command == "neb" else 1)
    line = [command, *files, *([] if command == "explain" else PM3)]
    if command != "neb":
        assert main(line) == 2
        assert "--no-pbc" in capsys.readouterr().err
        assert main([*line, "--no-pbc"]) == 0
    else:
        main([*line, "--no-pbc"])  # whatever it thinks of equal ends
        assert "periodic" not in capsys.readouterr().err


def test_unknown_names_in_a_file_of_options(capsys):
    write("water.xyz", molecule("H2O"), format="xyz")
    Path("c.yaml").write_text("methdo: PM3\n")
    assert main(["relax", "water.xyz", "--config", "c.yaml"]) == 2
    told = capsys.readouterr().err
    assert "unknown keyword 'methdo': did you mean 'method'?" in told
    assert "fmax" in told and "charge" in told


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            ["md", "--temperature", "500", "--temperatures", "300,400"],
            "temperature or temperatures",
        ),
        (["vib", "--no-relax", "--follow", "1"], "follow relaxes the structure"),
    ],
)
def test_options_that_contradict_each_other(line, sentence, capsys):
    write("water.xyz", molecule("H2O"), format="xyz")
    assert main([*line, "water.xyz", *PM3]) == 2
    assert sentence in capsys.readouterr().err


def test_files_of_other_vibrations_do_not_stay():
    """Of water nothing is beside the results of heavy water, whichever command made it."""
    write("x.xyz", molecule("H2O"), format="xyz")
    line = ["x.xyz", *PM3, "--symmetry-number", "2"]
    assert main(["vib", "x.xyz", *PM3, "--raman"]) == main(["thermo", *line]) == 0
    light = {path.name for path in Path().iterdir()}
    assert {"x_spectrum.png", "x_raman.csv", "x_modes", "x_thermo.json"} <= light
    assert main(["thermo", *line, "--isotopes", "H=D", "--no-figure"]) == 0
    left = {path.name for path in Path().iterdir()}
    assert light - left == {
        *("x_spectrum.csv", "x_spectrum.png", "x_raman.csv", "x_raman.png", "x_modes"),
        "x_thermo.png",
    }
    assert main(["vib", "x.xyz", *PM3, "--isotopes", "H=D"]) == 0  # of the same vibrations
    assert Path("x_thermo.csv").exists()
    assert main(["vib", "x.xyz", *PM3]) == 0
    assert not Path("x_thermo.csv").exists() and not Path("x_thermo.json").exists()
    mine = Path("y_spectrum.csv")
    mine.write_text("measured")
    Path("y.xyz").write_bytes(Path("x.xyz").read_bytes())
    assert main(["thermo", "y.xyz", *PM3, "--symmetry-number", "2"]) == 0
    assert mine.read_text() == "measured"


def test_pictures_of_another_relaxation_do_not_stay():
    write("x.xyz", molecule("H2"), format="xyz")
    assert main(["relax", "x.xyz", *PM3]) == 0
    assert Path("x_convergence.png").exists()
    assert main(["relax", "x.xyz", "--method", "AM1", "--no-figure"]) == 0
    assert not Path("x_convergence.png").exists()
