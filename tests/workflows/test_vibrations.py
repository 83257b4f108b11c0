"""Vibrations against ASE's, MOPAC's, and what must be so."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator, CalculatorError, SCFError
from ase.calculators.emt import EMT
from ase.vibrations import Infrared
from reactions import planar

from ase_mlseqm import MLSEQM, InputError, displaced
from ase_mlseqm.cli.vibrations import VibOptions
from ase_mlseqm.options import field_docs
from ase_mlseqm.units import INFRARED, NAPIERIAN
from ase_mlseqm.workflows import harmonic as harmonic_module
from ase_mlseqm.workflows import vibrations as vibrations_module
from ase_mlseqm.workflows.hessians import second_derivatives
from ase_mlseqm.workflows.isotopes import isotope_masses
from ase_mlseqm.workflows.normal_modes import (
    infrared_intensities,
    is_linear,
    normal_modes,
    rigid_motions,
    spectrum,
)
from ase_mlseqm.workflows.vibrations import VibrationsConfig, VibrationsResult, vibrations

FIXED = VibrationsConfig(relax=False)
REFERENCE = Path(__file__).parent.parent / "reference" / "vibrations.json"
MOPAC = {entry["name"]: entry for entry in json.loads(REFERENCE.read_text())["molecules"]}


def build(entry):
    """MOPAC's own optimised geometry, with its masses."""
    positions = np.reshape(entry["positions"], (-1, 3))
    info = {"charge": entry["charge"], "multiplicity": entry["multiplicity"]}
    return Atoms(entry["numbers"], positions, masses=entry["masses"], info=info)


@pytest.fixture(scope="module")
def relaxed():
    """Relaxed molecules by name, and their vibrations."""
    known = {}

    def get(name):
        if name not in known:
            config = VibrationsConfig(fmax=1e-4)
            known[name] = vibrations(molecule(name), MLSEQM(method="PM3"), config)
        return known[name]

    return get


@pytest.mark.parametrize("name", MOPAC)
def test_frequencies_and_intensities_of_mopac(name):
    """At MOPAC's geometry; the torsion of nitromethane, below 50 cm-1, is far from it."""
    entry = MOPAC[name]
    result = vibrations(build(entry), MLSEQM(method="PM3"), FIXED)
    expected = np.array(entry["frequencies"])
    assert result.frequencies.shape == expected.shape
    sure = expected > 200
    assert sure.sum() >= len(sure) - 1
    np.testing.assert_allclose(result.frequencies[sure], expected[sure], atol=0.06)
    np.testing.assert_allclose(result.frequencies, expected, atol=2.6)
    assert result.max_force < 1e-4
    rigid = np.sort(np.abs(result.unprojected))[: 3 * len(result.atoms) - len(expected)]
    assert len(rigid) == (5 if result.linear else 6) and rigid.max() < 10.0
    moved = np.sort(result.unprojected)[-sure.sum() :] - result.frequencies[sure]
    assert np.abs(moved).max() < 0.5
    # MOPAC's transition dipole is half of the derivative, see below
    derivatives = 2 * np.array(entry["transition_dipoles"])
    intensities = 42.256 * derivatives**2 / result.reduced_masses
    groups = np.cumsum(np.diff(expected, prepend=expected[0]) > 0.5)  # sets in any order
    for group in range(groups[-1] + 1):
        members = (groups == group) & sure
        ours, theirs = result.intensities[members].sum(), intensities[members].sum()
        assert ours == pytest.approx(theirs, rel=0.02, abs=0.5)
    kcal = units.kcal / units.mol
    if sure.all():
        zero_point = result.zero_point_energy / kcal
        assert zero_point == pytest.approx(entry["zero_point_energy_kcal_mol"], abs=2e-3)


def slope_of_dipole(name, direction):
    """Length of the derivative of the dipole along a displacement (A, 3), D per its length."""
    dipoles = []
    for length in (1e-3, -1e-3):
        atoms = build(MOPAC[name])
        atoms.positions += length * direction
        atoms.calc = MLSEQM(method="PM3", tolerance=1e-9)
        dipoles.append(atoms.get_dipole_moment() / units.Debye)
    return np.linalg.norm(dipoles[0] - dipoles[1]) / 2e-3


def test_transition_dipoles_of_mopac_are_half_of_the_derivative():
    """By displaced dipoles: of a diatomic molecule with nothing but its masses, and of water."""
    carbon_oxide = build(MOPAC["CO"])
    oxygen, carbon = carbon_oxide.get_masses()
    axis = carbon_oxide.positions[1] - carbon_oxide.positions[0]
    # the centre of mass rests; length one
    direction = np.outer([-carbon, oxygen], axis / np.linalg.norm(axis)) / np.hypot(carbon, oxygen)
    half = 0.5 * slope_of_dipole("CO", direction)
    assert half == pytest.approx(MOPAC["CO"]["transition_dipoles"][0], rel=1e-4)
    modes = vibrations(build(MOPAC["H2O"]), MLSEQM(method="PM3"), FIXED).modes
    halves = [0.5 * slope_of_dipole("H2O", mode) for mode in modes]
    np.testing.assert_allclose(halves, MOPAC["H2O"]["transition_dipoles"], rtol=2e-4)


@pytest.mark.parametrize("name", ["H2O", "CH3OH"])
def test_ase_vibrations(relaxed, tmp_path, name):
    """ASE's serial differences of the same forces, and its infrared intensities."""
    result = relaxed(name)
    atoms = result.atoms.copy()
    atoms.calc = MLSEQM(method="PM3", tolerance=1e-9)
    serial = Infrared(atoms, name=str(tmp_path / "ir"), delta=1e-3)
    serial.run()
    frequencies = serial.get_frequencies().real[6:]
    np.testing.assert_allclose(result.frequencies, frequencies, atol=0.5)
    # forces that agree to 1e-8 eV/Angstrom make a Hessian that agrees to 1e-5
    hessian = serial.get_vibrations().get_hessian_2d()
    np.testing.assert_allclose(result.hessian, hessian, atol=1e-5)
    serial.read()
    in_km_mol = serial.intensities[6:] * 42.255  # ASE: (D/Angstrom)^2/u
    np.testing.assert_allclose(result.intensities, in_km_mol, rtol=0.01, atol=0.1)


@pytest.mark.parametrize(("name", "zero"), [("H2O", 6), ("CO2", 5), ("C2H2", 5), ("CH3OH", 6)])
def test_zero_modes_and_projection(relaxed, name, zero):
    result = relaxed(name)
    assert len(result.frequencies) == 3 * len(result.atoms) - zero
    assert result.linear is (zero == 5)
    smallest = np.sort(np.abs(result.unprojected))
    assert smallest[zero - 1] < 10.0
    high = result.frequencies > 200
    np.testing.assert_allclose(
        np.sort(result.unprojected)[-high.sum() :], result.frequencies[high], atol=0.5
    )
    assert result.messages == []
    # modes are orthonormal with the masses, and contain no translation and no rotation
    masses = result.atoms.get_masses()
    weighted = (
        result.modes * np.sqrt(masses)[:, None] / np.sqrt(result.reduced_masses)[:, None, None]
    )
    flat = weighted.reshape(len(weighted), -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-10)
    rigid = rigid_motions(result.atoms.positions, masses)
    assert rigid.shape == (3 * len(masses), zero)
    np.testing.assert_allclose(flat @ rigid, 0.0, atol=1e-10)
    displacements = result.modes.reshape(len(flat), -1)
    np.testing.assert_allclose(np.linalg.norm(displacements, axis=1), 1.0)
    largest = np.abs(displacements).argmax(1)
    assert (displacements[np.arange(len(flat)), largest] > 0).all()


def test_diatomics_and_isotopes(relaxed):
    """One spring: w = sqrt(k/mu); deuterium changes mu and nothing else."""
    light = relaxed("H2")
    atoms = light.atoms.copy()
    atoms.calc = MLSEQM(method="PM3")
    mass = atoms.get_masses()[0]
    assert light.reduced_masses[0] == pytest.approx(mass / 2 * 2, rel=1e-10)  # |d| is 1, not |r|
    axis = (atoms.positions[1] - atoms.positions[0]) / atoms.get_distance(0, 1)
    spring = axis @ light.hessian[:3, :3] @ axis
    # eV/Angstrom^2 and u to cm-1, by another route: J/m^2 and kg
    omega = np.sqrt(spring * 16.02176634 / (0.5 * mass * 1.66053906660e-27))
    assert light.frequencies[0] == pytest.approx(omega / (2 * np.pi * 2.99792458e10), rel=1e-6)
    heavy = vibrations(
        atoms, MLSEQM(method="PM3"), VibrationsConfig(relax=False, isotopes=("H=D",))
    )
    ratio = np.sqrt(2.01410177812 / mass)
    assert light.frequencies[0] / heavy.frequencies[0] == pytest.approx(ratio, rel=1e-6)
    assert light.intensities[0] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(heavy.atoms.get_masses(), 2.01410177812)


def test_isotopes_of_an_ion_do_not_change_the_sum_rule():
    """Teller and Redlich: the product of the frequencies follows from masses and moments alone."""
    calc = MLSEQM(method="PM3")
    start = vibrations(build(MOPAC["NH4"]), calc, VibrationsConfig(fmax=1e-4)).atoms
    light = vibrations(start, calc, FIXED)
    heavy = vibrations(start, calc, VibrationsConfig(relax=False, isotopes=("1=D",)))
    assert light.charge == 1
    found = np.log(heavy.frequencies).sum() - np.log(light.frequencies).sum()

    def rigid(result):
        masses, moments = result.atoms.get_masses(), result.atoms.get_moments_of_inertia()
        atoms = -1.5 * np.log(masses).sum()
        return atoms + 1.5 * np.log(masses.sum()) + 0.5 * np.log(moments).sum()

    assert found == pytest.approx(rigid(heavy) - rigid(light), abs=2e-4)


@pytest.mark.parametrize("name", ["H2O", "NH4", "OH", "CH3"])
def test_moving_all_atoms_moves_the_charge(name):
    entry = MOPAC[name]
    found = second_derivatives(build(entry), MLSEQM(method="PM3"))
    total = found.dipole_derivatives.reshape(-1, 3, 3).sum(0)
    np.testing.assert_allclose(total, entry["charge"] * np.eye(3), atol=1e-4)


def test_intensity_in_other_units():
    """One u, one e per Angstrom: (pi N_A / 3 c^2) in SI, with the derivative in esu."""
    esu = 4.80320471e-10
    amu = 1.66053906660e-24
    gaussian = np.pi * 6.02214076e23 / (3 * 2.99792458e10**2) * esu**2 / amu  # cm/mol
    assert gaussian / 1e5 == pytest.approx(INFRARED, rel=1e-7)
    in_debye = INFRARED / 4.80320471**2
    assert in_debye == pytest.approx(42.256, abs=2e-3)
    modes = normal_modes(
        np.diag([0.0, 0, 5, 0, 0, 5]), np.array([[0, 0, 0], [0, 0, 1.0]]), np.ones(2)
    )
    slopes = np.zeros((6, 3))
    slopes[2, 2], slopes[5, 2] = 1.0, -1.0
    assert infrared_intensities(modes, slopes)[0] == pytest.approx(2 * INFRARED)


@pytest.mark.parametrize("shape", ["lorentzian", "gaussian"])
def test_area_and_width_of_bands(shape):
    grid = np.arange(-60000, 64000, 1.0)
    lines, areas = np.array([-300.0, -1.0, 1500.0]), np.array([9.0, 9.0, 10.0])
    values = spectrum(lines, areas, grid, 30.0, shape)
    assert values.sum() == pytest.approx(10.0 * NAPIERIAN, rel=2e-3)
    peak = values.max()
    assert grid[values.argmax()] == 1500.0
    assert values[grid == 1515.0][0] == pytest.approx(peak / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("positions", "linear"),
    [
        ([[0, 0, 0]], False),
        ([[0, 0, 0], [1, 1, 1]], True),
        ([[0, 0, 0], [1, 1, 1], [2.001, 2, 2]], True),
        ([[0, 0, 0], [1, 1, 1], [2.15, 2, 2]], False),
        # the ends of a chain of 13 Angstrom, a tenth of one off its axis; of water, as far off
        ([[k, 0.1 * (k == 0), 0] for k in range(14)], True),
        ([[0, 0, 0.1], [0.8, 0, 0], [-0.8, 0, 0]], False),
    ],
)
def test_linear(positions, linear):
    assert is_linear(np.array(positions, dtype=float)) is linear


def test_a_lone_atom_has_no_vibrations():
    result = vibrations(Atoms("O"), MLSEQM(method="PM3", multiplicity=3))
    assert result.modes.shape == (0, 1, 3)
    assert result.intensities.shape == result.frequencies.shape == (0,)
    assert result.zero_point_energy == 0.0
    assert result.multiplicity == 3
    again = VibrationsResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again.modes.shape == (0, 1, 3)


def test_to_dict_and_back(relaxed):
    result = relaxed("CH3OH")
    again = VibrationsResult.from_dict(json.loads(json.dumps(result.to_dict())))
    for name in ("frequencies", "modes", "intensities", "hessian", "dipole_derivatives"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert again.config == result.config
    assert again.energy == result.energy and again.max_force == result.max_force
    assert again.heat_of_formation == result.heat_of_formation


# many molecules


def several():
    """Molecules of different sizes, an ion, and one that PM3 cannot do."""
    ion = Atoms("NH4", molecule("CH4").positions, info={"charge": 1})
    return [molecule("H2O"), Atoms("U"), molecule("CH3OH"), ion]


def test_many_at_once(engine_calls, monkeypatch):
    """Two calls of the engine displace all; numbers are those of each by itself."""
    config = VibrationsConfig(fmax=1e-4)
    results = vibrations(several(), MLSEQM(method="PM3"), config)
    coordinates = 3 * (3 + 6 + 5)
    # undisplaced with all properties, and with the tight SCF; forward; backward
    assert engine_calls[-4:] == [3, 3, coordinates, coordinates]
    assert max(engine_calls[:-4]) == 3  # steps of the relaxation
    assert isinstance(results[1], CalculatorError) and "no parameters for U" in str(results[1])
    alone = [vibrations(several()[k], MLSEQM(method="PM3"), config) for k in (0, 2, 3)]
    starts = [result.atoms for result in alone]
    again = vibrations(starts, MLSEQM(method="PM3"), FIXED)
    monkeypatch.setattr(displaced, "HELD", 500.0)  # a few densities
    engine_calls.clear()
    parts = vibrations(tuple(starts), MLSEQM(method="PM3"), FIXED)
    assert len(engine_calls) > 10 and sum(engine_calls) == 2 * 3 + 2 * coordinates
    for one, *others in zip(alone, again, parts, strict=True):
        for other in others:
            np.testing.assert_allclose(other.frequencies, one.frequencies, rtol=1e-6)
            lines = one.intensities > 1e-3
            np.testing.assert_allclose(other.intensities[lines], one.intensities[lines], rtol=1e-5)
            assert other.charge == one.charge and other.messages == one.messages
            assert other.energy == pytest.approx(one.energy, abs=1e-7)
    for one, other in zip(alone, [results[k] for k in (0, 2, 3)], strict=True):
        np.testing.assert_allclose(other.frequencies, one.frequencies, rtol=1e-6)


def test_many_leave_their_saddles():
    """Only those that have imaginary modes are pushed."""
    config = VibrationsConfig(follow=1)
    still, moved = vibrations([molecule("H2O"), planar()], MLSEQM(method="PM3"), config)
    assert not len(moved.imaginary) and not moved.messages
    assert moved.atoms.get_angle(1, 0, 2) < 115
    assert still.frequencies[0] == pytest.approx(1742.1, abs=0.2)


def test_what_cannot_be_followed_keeps_what_was_found(monkeypatch):
    calc, found = MLSEQM(method="PM3"), SCFError("no convergence")
    top = vibrations(planar(), calc)
    monkeypatch.setattr(vibrations_module, "_pushed", lambda *lists: [found])
    followed = vibrations(planar(), calc, VibrationsConfig(follow=1))
    np.testing.assert_allclose(followed.frequencies, top.frequencies, atol=1e-3)
    assert followed.messages[0] == "behind the first mode nothing can be computed: no convergence"


# doubts


def test_rotations_in_a_field_are_told_of():
    field = (0.0, 0.0, 0.2)
    inside = vibrations(molecule("H2O"), MLSEQM(method="PM3", field=field), VibrationsConfig())
    assert len(inside.frequencies) == 3
    assert [m for m in inside.messages if "how it swings in the field" in m]
    off = vibrations(molecule("H2O"), MLSEQM(method="PM3", field=(0.0, 0.0, 0.0)))
    assert off.messages == []
    atom = Atoms("O", info={"multiplicity": 3})
    assert vibrations(atom, MLSEQM(method="PM3", field=field)).messages == []


@pytest.mark.parametrize("difference", [0.04, 0.06])
def test_hessians_that_are_not_symmetric_are_told_of(difference):
    """As far as elements differ that should be equal, which 0.05 eV/Angstrom^2 is the limit of."""

    class Slanted(Calculator):
        """Two springs, and a force on x that grows with y, but none on y with x."""

        implemented_properties = ("energy", "forces")

        def calculate(self, atoms, properties, changes):
            forces = -5.0 * atoms.positions
            forces[0, 0] -= difference * atoms.positions[0, 1]
            self.results = {"energy": 0.0, "forces": forces}

    result = vibrations(Atoms("H2"), Slanted(), FIXED)
    told = [m for m in result.messages if "elements of the Hessian" in m]
    assert len(told) == (difference > 0.05)
    assert all("differ by up to 0.06 eV/Angstrom^2" in message for message in told)


def test_imaginary_modes_and_how_to_leave_them():
    calc = MLSEQM(method="PM3")
    top = vibrations(planar(), calc)
    assert len(top.imaginary) == 1
    (message,) = top.messages
    assert f"1 imaginary mode ({-top.imaginary[0]:.1f}i cm-1)" in message
    assert "relax further" in message
    bottom = vibrations(planar(), calc, VibrationsConfig(follow=1))
    assert not len(bottom.imaginary) and not bottom.messages
    assert bottom.energy < top.energy - 0.1
    assert bottom.max_force < 1e-3


def test_noise_is_not_imaginary(relaxed):
    """Modes down to -20 cm-1 do not make a saddle point, but are told."""
    result = dataclasses.replace(relaxed("H2O"), frequencies=np.array([-20.5, -7.0, 3900.0]))
    np.testing.assert_array_equal(result.imaginary, [-20.5])
    np.testing.assert_array_equal(result.soft, [-7.0])
    assert result.zero_point_energy == pytest.approx(0.5 * units.invcm * 3900.0)
    several = dataclasses.replace(result, frequencies=np.array([-90.0, -60.0, -30.0]))
    (message,) = harmonic_module._doubts(several)
    assert "3 imaginary modes (90.0i, 60.0i, 30.0i cm-1)" in message
    imaginary, soft = harmonic_module._doubts(result)
    assert "1 imaginary mode (20.5i cm-1)" in imaginary
    assert "soft modes (7.0i cm-1) are within the noise" in soft


def test_no_stationary_point():
    result = vibrations(molecule("H2O"), MLSEQM(method="AM1"), FIXED)
    assert f"the largest force is {result.max_force:.2g} eV/Angstrom" in result.messages[0]
    short = vibrations(molecule("H2O"), MLSEQM(method="AM1"), VibrationsConfig(max_steps=1))
    assert "not converged in 1 steps" in short.messages[0]


@pytest.mark.parametrize(
    ("isotopes", "sentence"),
    [
        ("H", "'H' is none"),
        ("0=x", "'0=x' is none"),
        ("Xy=2", "'Xy=2' is none"),
        ("7=2.0", "fits no atom of H2O"),
        ("C=13.003", "fits no atom of H2O"),
        ("O=D", "is no mass of that atom"),
        ("0=-1", "is no mass of that atom"),
    ],
)
def test_isotopes_that_make_no_sense(isotopes, sentence):
    with pytest.raises(InputError, match=sentence):
        isotope_masses(molecule("H2O"), (isotopes,))


@pytest.mark.parametrize("settings", [{"fmax": 0.0}, {"step": -1.0}, {"follow": -1}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        VibrationsConfig(**settings)


def test_structures_that_make_no_sense():
    with pytest.raises(InputError, match="pbc=False"):
        vibrations(Atoms("Cu", cell=[3, 3, 3], pbc=True), EMT())
    with pytest.raises(InputError, match="no atoms"):
        vibrations(Atoms(), EMT())
    with pytest.raises(SCFError):
        vibrations(molecule("H2O"), MLSEQM(method="PM3", tolerance=1e-15, max_iterations=1))


def test_every_setting_has_its_doc():
    assert set(VibOptions.__dataclass_fields__) == set(field_docs(VibOptions))
