"""Spectra of oscillators whose lines, widths and intensities are known, and of water."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from PIL import Image
from scipy.integrate import trapezoid

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.units import INFRARED, SPEED_OF_LIGHT
from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.md_figures import plot_spectrum
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.spectra import ir_spectrum, power_spectrum
from ase_mlseqm.workflows.vibrations import vibrations

LINES = (700.0, 1500.0, 3600.0)
MASS, HEAT, INTERVAL = 2.0, 300.0, 1.0
SLOPE = 0.3  # of the dipole, e


@pytest.fixture(scope="module")
def oscillator():
    """Positions and velocities of one atom with kT in each of three lines."""
    time = INTERVAL * np.arange(20000)[:, None]
    omega = 2.0 * np.pi * SPEED_OF_LIGHT * np.array(LINES)
    speed = np.sqrt(2.0 * units.kB * HEAT / MASS)
    return (
        speed * np.sin(omega * time) / (omega / units.fs),
        speed * np.cos(omega * time)[:, None, :],
    )


def test_power_spectrum_of_oscillators(oscillator):
    spectrum = power_spectrum(oscillator[1], np.array([MASS]), INTERVAL, HEAT)
    np.testing.assert_allclose(spectrum.peaks(), LINES, atol=0.1)
    assert spectrum.resolution == pytest.approx(10.0, rel=0.01)
    x, y = spectrum.wavenumbers, spectrum.intensities
    assert trapezoid(y, x) == pytest.approx(3.0, rel=1e-3)
    near = abs(x - LINES[1]) < 50
    fine = np.linspace(LINES[1] - 50, LINES[1] + 50, 5001)
    high = fine[np.interp(fine, x[near], y[near]) > 0.5 * y[near].max()]
    assert np.ptp(high) == pytest.approx(10.0, rel=0.05)


def test_absorption_is_that_of_the_double_harmonic_approximation(oscillator):
    dipoles = 1.7 + SLOPE * oscillator[0]
    spectrum = ir_spectrum(dipoles, INTERVAL, HEAT)
    np.testing.assert_allclose(spectrum.peaks(), LINES, atol=0.1)
    # 42.256 km/mol for (1 Debye/Angstrom)^2 / amu
    expected = 42.2561 * (SLOPE / units.Debye) ** 2 / MASS
    assert expected == pytest.approx(INFRARED * SLOPE**2 / MASS, rel=1e-5)
    for line in LINES:
        near = abs(spectrum.wavenumbers - line) < 60
        area = trapezoid(spectrum.intensities[near], spectrum.wavenumbers[near])
        assert area == pytest.approx(expected, rel=2e-3)


def test_motion_as_a_whole_adds_nothing(oscillator):
    """Velocities that have a mean, and dipoles with a slope, of what flies or has a charge."""
    still = power_spectrum(oscillator[1], np.array([MASS]), INTERVAL, HEAT)
    flying = power_spectrum(oscillator[1] + [0.1, 0.0, -0.2], np.array([MASS]), INTERVAL, HEAT)
    np.testing.assert_allclose(flying.intensities, still.intensities, atol=1e-12)
    dipoles, time = SLOPE * oscillator[0], INTERVAL * np.arange(20000)[:, None]
    one, other = (ir_spectrum(d, INTERVAL, HEAT) for d in (dipoles, dipoles + 1e-3 * time))
    top = one.intensities.max()
    np.testing.assert_allclose(other.intensities, one.intensities, rtol=0, atol=1e-9 * top)


def test_lines_next_to_the_highest_that_frames_can_tell(oscillator):
    """With frames 4 fs apart these are 4170 1/cm, of which nine tenths are shown."""
    spectrum = ir_spectrum(SLOPE * oscillator[0][::4], 4 * INTERVAL, HEAT)
    near = abs(spectrum.wavenumbers - 3600.0) < 60
    area = trapezoid(spectrum.intensities[near], spectrum.wavenumbers[near])
    assert area == pytest.approx(INFRARED * SLOPE**2 / MASS, rel=0.01)
    assert spectrum.wavenumbers.max() == pytest.approx(0.9 * 4170, rel=1e-3)


def test_lines_of_velocity_verlet_are_put_right():
    timestep, line = 0.5, 3600.0
    omega = 2.0 * np.pi * SPEED_OF_LIGHT * line
    x, v, found = 1.0, 0.0, []
    for _ in range(12000):
        v -= 0.5 * timestep * omega**2 * x
        x += timestep * v
        v -= 0.5 * timestep * omega**2 * x
        found.append(v)
    signal = np.zeros((len(found), 1, 3))
    signal[:, 0, 0] = found
    raw = power_spectrum(signal, np.ones(1), timestep, HEAT)
    put_right = power_spectrum(signal, np.ones(1), timestep, HEAT, timestep=timestep)
    assert raw.peaks()[0] == pytest.approx(line * (1 + (omega * timestep) ** 2 / 24), abs=1.0)
    assert put_right.peaks()[0] == pytest.approx(line, abs=0.1)
    areas = [trapezoid(s.intensities, s.wavenumbers) for s in (raw, put_right)]
    assert areas[0] == pytest.approx(areas[1], rel=1e-3)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """Vibrations of water with PM3, and 750 fs of it at 5 K: dynamics, velocities."""
    harmonic = vibrations(molecule("H2O"), MLSEQM(method="PM3"))
    config = MDConfig(temperature=5.0, steps=1500, interval=2)
    stem = tmp_path_factory.mktemp("cold") / "w"
    result = dynamics(harmonic.atoms, MLSEQM(method="PM3"), config, stem=stem)
    return harmonic, result, result.files.trajectory.velocities()


def test_water_vibrates_at_its_harmonic_frequencies(cold):
    harmonic, result, velocities = cold
    masses = result.atoms.get_masses()
    spectrum = power_spectrum(velocities, masses, 1.0, result.mean_temperature, timestep=0.5)
    # a trajectory of 750 fs has a resolution of 89/cm, and the stretches are 120/cm apart
    np.testing.assert_allclose(spectrum.peaks(0.02), harmonic.frequencies, atol=20.0)
    assert trapezoid(spectrum.intensities, spectrum.wavenumbers) == pytest.approx(3.0, rel=0.05)


def test_water_absorbs_with_its_harmonic_intensities(cold):
    """Every vibration with the part of kT that it happens to have in this trajectory."""
    harmonic, result, velocities = cold
    heat = result.mean_temperature
    weighted = harmonic.modes * result.atoms.get_masses()[:, None] ** 0.5
    weighted /= np.linalg.norm(weighted, axis=(1, 2))[:, None, None]
    speeds = np.einsum("tax,iax,a->ti", velocities, weighted, result.atoms.get_masses() ** 0.5)
    shares = (speeds**2).mean(0) / (units.kB * heat)
    dipoles = np.column_stack([result.table[f"dipole_{axis}_eA"] for axis in "xyz"])
    spectrum = ir_spectrum(dipoles, 0.5, heat, timestep=0.5)
    bend = spectrum.wavenumbers < 2800.0
    for band, modes in ((bend, [0]), (~bend, [1, 2])):
        area = trapezoid(spectrum.intensities[band], spectrum.wavenumbers[band])
        assert area == pytest.approx(shares[modes] @ harmonic.intensities[modes], rel=0.06)


@pytest.mark.parametrize("run", [dynamics, lambda *given: replicas([given[0]], *given[1:])[0]])
def test_dipole_of_an_ion_is_about_the_masses_that_move(run):
    """Or its turning would absorb: of OD- as much as a third of its vibration."""
    config = MDConfig(steps=2, temperature=50.0)
    found = {}
    for mass in (None, 2.014):
        atoms = Atoms("OH", [(0, 0, 0), (0, 0, 0.95)], info={"charge": -1})
        if mass is not None:
            atoms.set_masses([None, mass])
        table = run(atoms, MLSEQM(method="PM3"), config).table
        found[mass] = table["dipole_z_eA"][0], atoms.get_center_of_mass()[2]
    (light, here), (heavy, there) = found.values()
    assert abs(there - here) > 0.04
    assert heavy - light == pytest.approx(-1.0 * (here - there), abs=1e-4)


def test_files(oscillator, tmp_path):
    spectrum = ir_spectrum(SLOPE * oscillator[0], INTERVAL, HEAT)
    spectrum.write(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().startswith("wavenumber_1/cm,absorption_km*cm/mol\n")
    table = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 0], spectrum.wavenumbers, atol=1e-4)
    plot_spectrum(spectrum, tmp_path / "s.png", "oscillator", marks=LINES)
    with Image.open(tmp_path / "s.png") as image:
        assert min(image.size) > 500


def test_input_that_makes_no_sense():
    few = np.zeros((10, 1, 3))
    with pytest.raises(InputError, match="10 frames are too few for a spectrum"):
        power_spectrum(few, np.ones(1), 1.0, 300.0)
    with pytest.raises(InputError, match="not finite"):
        ir_spectrum(np.full((100, 3), np.nan), 1.0, 300.0)
    with pytest.raises(InputError, match="resolution is 0"):
        ir_spectrum(np.zeros((100, 3)), 1.0, 300.0, resolution=0.0)


def test_few_and_coarse():
    dipoles = np.random.default_rng(0).normal(size=(17, 3))
    with pytest.raises(InputError, match="17 frames are too few for a spectrum: give 18 or more"):
        ir_spectrum(dipoles, 1.0, 300.0)
    assert len(ir_spectrum(np.append(dipoles, dipoles[:1], 0), 1.0, 300.0).wavenumbers)
    velocities = np.random.default_rng(0).normal(size=(40, 2, 3))
    assert len(power_spectrum(velocities[:16], np.ones(2), 1.0, 300.0).wavenumbers)
    with pytest.raises(InputError, match="15 frames are too few for a spectrum: give 16 or more"):
        power_spectrum(velocities[:15], np.ones(2), 1.0, 300.0)
    coarse = power_spectrum(velocities, np.ones(2), 10.0, 300.0, resolution=1e4)
    assert np.isfinite(coarse.intensities).all()
    for spectrum in (
        lambda: power_spectrum(velocities, np.ones(2), 1.0, 0.0),
        lambda: ir_spectrum(velocities[:, 0], 1.0, -5.0),
    ):
        with pytest.raises(InputError, match="temperature is"):
            spectrum()
