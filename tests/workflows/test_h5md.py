"""Trajectories in HDF5: what is in them, going on after a kill, another program's reader."""

import dataclasses
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from ase.io import read
from springs import SpringEngine, same

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows import MDConfig, checkpoints, dynamics, read_h5md
from ase_mlseqm.workflows.h5md import H5MD
from ase_mlseqm.workflows.replicas import replicas

CONFIG = MDConfig(ensemble="langevin", steps=60, timestep=4.0, format="h5md")


@pytest.fixture
def water(tmp_path):
    """Trajectories of the same run in both formats."""
    atoms = molecule("H2O")
    atoms.info["charge"] = 0
    # as files of structures bring them
    atoms.info |= {"number": np.int64(7), "known": np.True_, "places": np.arange(3) / 4}
    atoms.set_tags([2, 0, 1])
    paths = []
    for form in ("extxyz", "h5md"):
        config = MDConfig(steps=10, interval=3, format=form)
        result = dynamics(atoms, MLSEQM(method="PM3"), config, stem=tmp_path / "w")
        paths.append(result.files.frames)
        result.files.checkpoint.unlink()
        result.files.table.unlink()
    return paths


def test_frames_are_those_of_extxyz(water):
    for one, other in zip(read(water[0], ":"), read_h5md(water[1]), strict=True):
        np.testing.assert_array_equal(one.info.pop("places"), other.info.pop("places"))
        assert one.info == other.info
        assert list(one.symbols) == list(other.symbols)
        assert one.get_tags().tolist() == other.get_tags().tolist() == [2, 0, 1]
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-7)
        np.testing.assert_allclose(one.get_momenta(), other.get_momenta(), atol=1e-7)
        np.testing.assert_allclose(one.get_forces(), other.get_forces(), atol=1e-6)
        assert one.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(one.get_dipole_moment(), other.get_dipole_moment(), atol=1e-6)
    assert [atoms.info["step"] for atoms in read_h5md(water[1], slice(1, 3))] == [3, 6]
    last = read_h5md(water[1], -1)[0].info
    assert last.pop("places").tolist() == [0.0, 0.25, 0.5]
    assert last == {
        "number": 7,
        "known": True,
        "charge": 0,
        "multiplicity": 1,
        "method": "PM3",
        "status": "converged",
        "step": 9,
        "time_fs": 4.5,
    }
    expected = [atoms.get_velocities() for atoms in read_h5md(water[1])[2:]]
    np.testing.assert_array_equal(H5MD(water[1]).velocities(2), expected)


def test_layout_is_h5md(water):
    last = read(water[0], -1)
    with h5py.File(water[1]) as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert file["h5md/creator"].attrs["name"] == "ase-mlseqm"
        group = file["particles/all"]
        assert group["box"].attrs["dimension"] == 3
        assert list(group["box"].attrs["boundary"]) == ["none"] * 3
        assert group["species"][()].tolist() == [8, 1, 1]
        assert group["velocity/step"] == group["position/step"]  # one dataset
        assert group["position/time"].attrs["unit"] == "fs"
        assert group["position/time"][()].tolist() == [0.0, 1.5, 3.0, 4.5]
        assert group["force/value"].attrs["unit"] == "kJ mol-1 Angstrom-1"
        kilojoules = last.get_forces() * units.mol / units.kJ
        np.testing.assert_allclose(group["force/value"][-1], kilojoules, atol=1e-4)
        assert group["velocity/value"].attrs["unit"] == "Angstrom fs-1"
        speeds = last.get_velocities() * units.fs
        np.testing.assert_allclose(group["velocity/value"][-1], speeds, atol=1e-7)
        energy = file["observables/kinetic_energy/value"][-1] * units.kJ / units.mol
        assert energy == pytest.approx(last.get_kinetic_energy(), abs=1e-6)


def test_mdanalysis_reads_it(water):
    mda = pytest.importorskip("MDAnalysis")
    last = read(water[0], -1)
    universe = mda.Universe.empty(3, trajectory=False)
    universe.load_new(str(water[1]))
    assert universe.trajectory.n_frames == 4
    frame = universe.trajectory[-1]
    # MDAnalysis has single precision, ps and kJ/mol
    assert frame.time == pytest.approx(0.0045)
    np.testing.assert_allclose(frame.positions, last.positions, atol=1e-6)
    speeds = last.get_velocities() * 1e3 * units.fs
    np.testing.assert_allclose(frame.velocities, speeds, rtol=1e-4, atol=1e-4)
    kilojoules = last.get_forces() * units.mol / units.kJ
    np.testing.assert_allclose(frame.forces, kilojoules, rtol=1e-5, atol=1e-3)
    kinetic = frame.data["kinetic_energy"] * units.kJ / units.mol
    assert kinetic == pytest.approx(last.get_kinetic_energy(), abs=1e-6)


KILLED = """
import os, sys
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from ase_mlseqm.workflows import MDConfig, checkpoints, dynamics, h5md
checkpoints.SECONDS = 0.0
resize = h5md._resize
def kill_at_the_tenth_frame(file, size):
    resize(file, size)
    if size == 10:
        file.flush()
        os.kill(os.getpid(), 9)
h5md._resize = kill_at_the_tenth_frame
config = MDConfig(ensemble="langevin", steps=60, timestep=4.0, format="h5md")
dynamics(Octahedron("Cu", 2), EMT(), config, stem=sys.argv[1])
"""


def test_killed_run_goes_on(tmp_path):
    stem = tmp_path / "cu"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(stem)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(read_h5md(tmp_path / "cu_md.h5md")) == 9
    result = dynamics(Octahedron("Cu", 2), EMT(), CONFIG, stem=stem)
    whole = dynamics(Octahedron("Cu", 2), EMT(), CONFIG, stem=tmp_path / "whole")
    same(result, whole)
    frames, others = read_h5md(tmp_path / "cu_md.h5md"), read_h5md(tmp_path / "whole_md.h5md")
    assert [atoms.info["step"] for atoms in frames] == list(range(0, 61, 4))
    for one, other in zip(frames, others, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.get_momenta(), other.get_momenta())


def test_frames_behind_the_checkpoint_are_cut_off(tmp_path):
    stem = tmp_path / "cu"
    short = dataclasses.replace(CONFIG, steps=20)
    files = dynamics(Octahedron("Cu", 2), EMT(), short, stem=stem).files
    files.trajectory.append(read_h5md(files.frames)[1:3])
    dynamics(Octahedron("Cu", 2), EMT(), CONFIG, stem=stem)
    steps = [atoms.info["step"] for atoms in read_h5md(files.frames)]
    assert steps == list(range(0, 61, 4))
    files.trajectory.cut(3)
    assert files.trajectory.size() == 3
    with pytest.raises(InputError, match=r"cu_md\.h5md is shorter than it was"):
        dynamics(Octahedron("Cu", 2), EMT(), CONFIG, stem=stem)
    config = dataclasses.replace(CONFIG, format="extxyz")
    with pytest.raises(InputError, match="other format"):
        dynamics(Octahedron("Cu", 2), EMT(), config, stem=stem)


def test_replicas(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    water = molecule("H2O")
    config = MDConfig(steps=8, interval=2, format="h5md")
    stems = [tmp_path / "a", tmp_path / "b"]
    replicas([water] * 2, SpringEngine(water.positions), config, stems=stems)
    for stem in stems:
        frames = read_h5md(f"{stem}_md.h5md")
        assert [atoms.info["step"] for atoms in frames] == [0, 2, 4, 6, 8]


def test_spectra_of_the_command_do_not_depend_on_the_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    molecule("H2O").write("w.xyz")
    line = ["md", "w.xyz", "--method", "PM3", "--interval", "1", "--steps", "66", "--no-figure"]
    for form in ("extxyz", "h5md"):
        assert cli.main([*line, "--format", form, "--out", form, "--equilibration", "0.001"]) == 0
        assert (tmp_path / form / f"w_md.{form}").exists()
    tables = [
        np.loadtxt(tmp_path / form / "w_power.csv", delimiter=",", skiprows=1)
        for form in ("extxyz", "h5md")
    ]
    np.testing.assert_allclose(*tables, rtol=1e-4, atol=1e-6 * tables[0][:, 1].max())


def test_files_that_make_no_sense(tmp_path, water, monkeypatch):
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_h5md(tmp_path / "absent.h5md")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_h5md(water[0])
    with h5py.File(tmp_path / "other.h5md", "w") as file:
        file["energies"] = [1.0]
    with pytest.raises(InputError, match="is no H5MD file of a trajectory"):
        read_h5md(tmp_path / "other.h5md")
    with h5py.File(water[1], "r+") as file:
        file["particles/all/force/value"].attrs["unit"] = "dyn"
    with pytest.raises(InputError, match="unknown unit 'dyn' of /particles/all/force/value"):
        read_h5md(water[1])
    with pytest.raises(InputError, match="unknown format 'xtc': choose one of extxyz, h5md"):
        MDConfig(format="xtc")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="h5md needs h5py: pip install"):
        dynamics(molecule("H2O"), EMT(), CONFIG, stem=tmp_path / "none")
