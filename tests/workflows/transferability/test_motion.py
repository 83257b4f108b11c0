"""Vibrations and dynamics."""

import dataclasses

import h5py
import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.io import read, write
from transfer import PLAIN, metrics, shaken, table, write_labels

from ase_mlseqm import MLSEQM
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.units import BOHR
from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.transferability import stability
from ase_mlseqm.workflows.transferability.frequencies import (
    Frequencies,
    read_spectra,
    scale_factor,
)
from ase_mlseqm.workflows.transferability.methods import Semiempirical
from ase_mlseqm.workflows.transferability.stability import Stability
from ase_mlseqm.workflows.vibrations import vibrations


def write_spectra(path, method="AM1", factor=1.0):
    """Molecules with the frequencies of a method."""
    frames = []
    for name in ("H2O", "N2", "NH3"):
        result = vibrations(molecule(name), MLSEQM(method=method))
        atoms = molecule(name)
        atoms.info |= {"name": name, "frequencies": factor * result.frequencies}
        frames.append(atoms)
    write(path, frames, format="extxyz")
    return path


def test_spectra_from_a_file(tmp_path):
    found = list(read_spectra(write_spectra(tmp_path / "frequencies.extxyz")))
    assert [(s.name, len(s.frequencies)) for s in found] == [("H2O", 3), ("N2", 1), ("NH3", 6)]
    atoms = molecule("H2O")
    atoms.info["frequencies"] = np.array([1.0, 2.0])
    write(tmp_path / "bad.extxyz", atoms, format="extxyz")
    with pytest.raises(InputError, match="frame 0: give all 3 frequencies"):
        Frequencies().load([tmp_path / "bad.extxyz"], PLAIN)


def test_names_of_spectra_that_a_parser_takes_for_truth_values(tmp_path):
    frames = [molecule("H2O") for _ in range(4)]
    for atoms, name in zip(frames, ("F", "T", "0", None), strict=True):
        atoms.info |= {"frequencies": "1 2 3"} | ({"name": name} if name else {})
    write(tmp_path / "a.xyz", frames, format="extxyz")
    names = [spectrum.name for spectrum in read_spectra(tmp_path / "a.xyz")]
    assert names == ["F", "T", "0", "a[3]"]


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [("H2O", "1 2 3 4", "not linear with 3 modes"), ("CO2", "1 2 3", "linear with 4 modes")],
)
def test_spectra_with_another_number_of_modes(tmp_path, name, given, reason):
    atoms = molecule(name)
    atoms.info["frequencies"] = given
    write(tmp_path / "frequencies.extxyz", atoms, format="extxyz")
    test = Frequencies()
    data = test.load([tmp_path / "frequencies.extxyz"], PLAIN)
    found = test.compute(Semiempirical("PM3", None), data, PLAIN, lambda *_: None)
    assert [reason in failure.reason for failure in found.failures] == [True]


def test_frequencies(tmp_path):
    write_spectra(tmp_path / "frequencies.extxyz", factor=0.95)
    config = dataclasses.replace(PLAIN, tests=("frequencies",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    found = metrics(tmp_path / "out", "frequencies")
    assert found["AM1", "scale factor"] == pytest.approx(0.95, abs=2e-3)
    assert found["AM1", "MAE after scaling"] < 5 < found["AM1", "frequency MAE"]
    assert found["PM3", "MAE after scaling"] > 20
    assert len(table(tmp_path / "out" / "frequencies.csv")) == 2 * 10
    assert (tmp_path / "out" / "frequencies.png").exists()


def test_uncertainty_of_the_scale_factor():
    """That of least squares through the origin with known scatter."""
    rng = np.random.default_rng(0)
    mine = rng.uniform(500, 3500, 400)
    label = 0.95 * mine + rng.normal(scale=40, size=400)
    found = scale_factor([str(k) for k in range(400)], mine, label, 2000, 0)
    error = 1.96 * 40 / np.sqrt((mine**2).sum())
    assert found.low < 0.95 < found.high
    assert found.high - found.low == pytest.approx(2 * error, rel=0.15)


def test_imaginary_modes_do_not_enter_the_scale_factor():
    mine, label = np.array([1000.0, -300.0, 2000.0]), np.array([900.0, 300.0, 1800.0])
    found = scale_factor(["a", "a", "b"], mine, label, 10, 0)
    assert found.value == pytest.approx(0.9)


def motion(atoms, steps, stem):
    """Temperatures (K) and total energies (eV) of a run, from the velocities of its frames."""
    config = MDConfig(steps=steps, timestep=0.5, interval=1)
    dynamics(atoms, MLSEQM(method="PM3"), config, stem=stem)
    frames = read(f"{stem}_md.extxyz", ":")
    freedom = 3 * len(atoms) - 6
    kinetic = [0.5 * (a.get_masses()[:, None] * a.get_velocities() ** 2).sum() for a in frames]
    potential = [a.get_potential_energy() for a in frames]
    return 2 * np.array(kinetic) / (freedom * units.kB), np.add(kinetic, potential)


def test_dynamics(tmp_path):
    """Of the two largest molecules, at 300 K: what the velocities of the same runs say."""
    write_labels(tmp_path / "dft_large.h5", ("CH4", "C2H6", "H2O"))
    config = dataclasses.replace(PLAIN, tests=("dynamics",), method=("PM3",), md_steps=40)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = table(tmp_path / "out" / "dynamics.csv")
    assert {row["molecule"] for row in rows} == {"c2h6", "ch4"}
    assert len(rows) == 2 * 41
    found = metrics(tmp_path / "out", "dynamics")
    warm, spread = [], []
    for name in ("C2H6", "CH4"):
        temperature, total = motion(shaken(name)[0], 40, tmp_path / name)
        assert temperature[0] == pytest.approx(300.0, abs=1e-3)
        own = [float(row["temperature"]) for row in rows if row["molecule"] == name.lower()]
        np.testing.assert_allclose(own, temperature, rtol=1e-5)
        warm.append(temperature.mean())
        spread.append(1000 * total.std() / len(shaken(name)[0]))
    assert found["PM3", "temperature"] == pytest.approx(np.mean(warm), rel=1e-5)
    assert found["PM3", "fluctuation of the energy"] == pytest.approx(np.mean(spread), rel=1e-3)
    assert found["PM3", "time per step"] > 0
    assert (tmp_path / "out" / "dynamics.png").exists()


def test_dynamics_of_a_file_without_level_and_units(tmp_path):
    path = write_labels(tmp_path / "dft_large.h5", ("CH4",))
    with h5py.File(path, "a") as content:
        level, units = content.attrs.pop("level"), content.attrs.pop("units")
    with pytest.raises(InputError, match="does not state its level of theory"):
        Stability().load([path], PLAIN)
    config = dataclasses.replace(PLAIN, level=level, units=units)
    ((_, atoms),) = Stability().load([path], config)
    assert atoms.get_distance(0, 1) == pytest.approx(1.09, abs=0.2)
    config = dataclasses.replace(config, units=units.replace("Angstrom", "Bohr", 1))
    ((_, shorter),) = Stability().load([path], config)
    assert shorter.positions == pytest.approx(BOHR * atoms.positions)
    assert {"level", "units", "gradients"} <= set(Stability.settings)


def test_molecules_of_two_files_with_one_name(tmp_path):
    """The second is not left out without a word."""
    write(tmp_path / "ch4.xyz", molecule("C2H6"), format="extxyz")
    files = [tmp_path / "ch4.xyz", write_labels(tmp_path / "dft_large.h5", ("CH4", "H2O"))]
    found = Stability().load(files, dataclasses.replace(PLAIN, md_molecules=9))
    assert [(name, len(atoms)) for name, atoms in found] == [("ch4", 8), ("h2o", 3)]
    assert [(s.file, s.record) for s in found.skipped] == [("dft_large.h5", "ch4")]


def test_structures_of_a_folder(tmp_path):
    (tmp_path / "a.extxyz").write_text("nothing")
    with pytest.raises(InputError, match=r"a\.extxyz: frame 0: cannot be read"):
        Stability().load([tmp_path / "a.extxyz"], PLAIN)
    write(tmp_path / "a.extxyz", molecule("H2O"), format="extxyz")
    assert [name for name, _ in Stability().load([tmp_path / "a.extxyz"], PLAIN)] == ["a"]


def test_runs_that_cannot_begin_are_steps_of_progress(tmp_path):
    """PM3 has no boron."""
    write(tmp_path / "a.extxyz", molecule("BF3"), format="extxyz")
    data, steps = Stability().load([tmp_path / "a.extxyz"], PLAIN), []
    method = Semiempirical("PM3", None)
    found = Stability().compute(method, data, PLAIN, lambda count, _: steps.append(count))
    assert [failure.case for failure in found.failures] == ["a"]
    assert sum(steps) == len(data) == 1


def test_a_run_that_is_stopped_is_a_failure(tmp_path):
    (tmp_path / "dynamics").mkdir()
    write(tmp_path / "dynamics" / "far.extxyz", molecule("H2O") + molecule("CH4"), format="extxyz")
    atoms = molecule("H2O")
    atoms.positions[2] += 40.0
    write(tmp_path / "dynamics" / "far.extxyz", atoms, format="extxyz")
    config = dataclasses.replace(PLAIN, tests=("dynamics",), method=("PM3",), md_steps=5)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1
    (failure,) = table(tmp_path / "out" / "failures.csv")
    assert failure["case"] == "far"


def test_size_of_a_molecule_that_a_method_has_no_run_of(tmp_path, monkeypatch):
    """It was that of the last method, in which it had no atoms."""
    drawn = []
    monkeypatch.setattr(stability, "save", lambda figure, _: drawn.append(figure) or True)
    row = {"time": 0.0, "energy": 0.0}
    water, methane = row | {"molecule": "water", "atoms": 3}, row | {"molecule": "ch4", "atoms": 5}
    Stability().draw({"AM1": [water, methane], "PM3": [water]}, tmp_path / "a.png", PLAIN)
    assert [axes.get_title() for axes in drawn[0].axes] == ["water (3 atoms)", "ch4 (5 atoms)"]
