"""Polarizabilities and Raman activities: against MOPAC, and what symmetry asks for."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import write
from PIL import Image
from scipy import constants

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.units import COULOMB
from ase_mlseqm.workflows.harmonic import harmonic
from ase_mlseqm.workflows.normal_modes import broadened
from ase_mlseqm.workflows.raman import cross_sections, polarizability, raman_activities
from ase_mlseqm.workflows.vibrations import VibrationsConfig, VibrationsResult, vibrations

PM3 = {"method": "PM3"}
MOPAC = {
    "H2O": (0.048491, 0.979259, 0.571842),
    "CO2": (0.341332, 0.341332, 4.377736),
    "CH4": (1.130448, 1.130448, 1.130448),
}
"""Angstrom^3, diagonal, G2 geometries: dipoles of MOPAC 22.0.6 with PM3 FIELD, +-0.5 V/Angstrom.
(Its keyword POLAR adds something to the response of the density.)"""


@pytest.fixture(scope="module")
def found():
    """Relaxed molecules by name, with Raman activities."""
    known = {}

    def get(name):
        if name not in known:
            config = VibrationsConfig(fmax=1e-4, raman=True)
            known[name] = vibrations(molecule(name), MLSEQM(**PM3), config)
        return known[name]

    return get


@pytest.mark.parametrize("name", MOPAC)
def test_polarizabilities_of_mopac(name):
    tensor = polarizability(molecule(name), MLSEQM(**PM3)).tensor
    np.testing.assert_allclose(np.diag(tensor), MOPAC[name], rtol=5e-4)
    np.testing.assert_allclose(tensor - np.diag(np.diag(tensor)), 0.0, atol=1e-6)


def test_derivatives_are_differences_of_polarizabilities_and_of_dipoles(found):
    """Forces in fields against displaced molecules: two independent ways."""
    result = found("H2O")
    slopes, step = result.polarizability_derivatives, 2e-3
    for index in (1, 5, 8):
        tensors, dipoles = [], []
        for sign in (1.0, -1.0):
            atoms = result.atoms.copy()
            atoms.positions.flat[index] += sign * step
            tensors.append(polarizability(atoms, MLSEQM(**PM3)).tensor)
            for field in (0.05, -0.05):
                atoms.calc = MLSEQM(**PM3, tolerance=1e-10, field=(0, field, 0))
                dipoles.append(atoms.get_dipole_moment())
        difference = (tensors[0] - tensors[1]) / (2 * step)
        np.testing.assert_allclose(slopes[index], difference, atol=1e-3)
        mixed = (dipoles[0] - dipoles[1] - dipoles[2] + dipoles[3]) / (4 * 0.05 * step)
        np.testing.assert_allclose(slopes[index, 1], COULOMB * mixed, atol=1e-3)


@pytest.mark.parametrize("name", ["H2O", "CH3OH"])
def test_moving_and_turning_the_whole_molecule(found, name):
    """No change, and that of a turned tensor."""
    result = found(name)
    slopes = result.polarizability_derivatives.reshape(-1, 3, 3, 3)
    np.testing.assert_allclose(slopes.sum(0), 0.0, atol=1e-6)
    for axis in np.eye(3):
        turning = np.cross(axis, result.atoms.positions)
        generator = np.cross(axis, np.eye(3)).T  # of d x = axis cross x
        np.testing.assert_allclose(generator @ [1.0, 2, 3], np.cross(axis, [1.0, 2, 3]))
        expected = generator @ result.polarizability + result.polarizability @ generator.T
        change = np.einsum("ax,axij->ij", turning, slopes)
        np.testing.assert_allclose(change, expected, atol=1e-3)


def test_methane(found):
    """The breathing mode is fully polarised, all others are depolarised, t2 alone is infrared."""
    result = found("CH4")
    tensor = result.polarizability
    np.testing.assert_allclose(tensor, tensor[0, 0] * np.eye(3), atol=1e-5)
    assert result.depolarisation_ratios[-1] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(result.depolarisation_ratios[:-1], 0.75, atol=1e-5)
    sets = [(0, 1, 2), (3, 4), (5, 6, 7)]
    for members in sets:
        np.testing.assert_allclose(np.diff(result.raman_activities[list(members)]), 0.0, atol=0.02)


@pytest.mark.parametrize("name", ["CO2", "C2H4", "C2H2"])
def test_mutual_exclusion(found, name):
    """With a centre of inversion no mode is both infrared and Raman active."""
    result = found(name)
    infrared, raman = result.intensities > 1e-3, result.raman_activities > 1e-3
    assert infrared.any() and raman.any()
    assert not (infrared & raman).any()
    known = result.depolarisation_ratios[raman]
    assert ((known >= 0.0) & (known <= 0.75 + 1e-9)).all()
    assert np.isnan(result.depolarisation_ratios[~raman]).all()


def test_invariants_by_hand():
    """One atom on a spring: a = 2, and an anisotropy from the components (Long, eq. 5.5)."""
    slope = np.array([[3.0, 0.4, 0.1], [0.4, 2.0, 0.2], [0.1, 0.2, 1.0]])
    derivatives = np.zeros((3, 3, 3))
    derivatives[2] = slope
    modes = np.array([[[0.0, 0.0, 1.0]]])
    activities, ratios = raman_activities(modes, np.array([4.0]), derivatives)
    anisotropy = 0.5 * (1.0 + 1.0 + 4.0) + 3.0 * (0.4**2 + 0.1**2 + 0.2**2)
    assert activities[0] == pytest.approx((45 * 4.0 + 7 * anisotropy) / 4.0)
    assert ratios[0] == pytest.approx(3 * anisotropy / (45 * 4.0 + 4 * anisotropy))


def test_cross_section_by_hand():
    """Nitrogen with its measured activity, in SI units; a hot gas against a cold one."""
    frequency, activity = 2331.0, 21.0
    (found,) = cross_sections(np.array([frequency]), np.array([activity]), 532.0, 10.0)
    mass = constants.atomic_mass
    slope = activity * (4 * np.pi * constants.epsilon_0) ** 2 * 1e-40 / mass  # C^2 m^2 / (V^2 kg)
    shifted = 1e9 / 532.0 - 100 * frequency
    moved = constants.hbar / (
        4 * np.pi * constants.c * 100 * frequency
    )  # <Q^2> of the ground state
    expected = np.pi**2 / constants.epsilon_0**2 * shifted**4 * moved * slope / 45
    assert found == pytest.approx(expected * 1e36, rel=1e-6)
    lines = np.array([-500.0, 200.0, 2331.0])
    cold, hot = (cross_sections(lines, np.ones(3), 532.0, kelvin) for kelvin in (1.0, 500.0))
    excited = np.exp(-constants.h * constants.c * 2e4 / (constants.k * 500.0))
    np.testing.assert_allclose(hot[:2] / [1, cold[1]], [0.0, 1 / (1 - excited)], rtol=1e-6)
    assert hot[2] == pytest.approx(cold[2], rel=2e-3)
    assert (cross_sections(lines[1:], np.ones(2), 1e7 / 1000.0, 298.0) > 0).tolist() == [
        True,
        False,
    ]


def test_thirteen_calculations(engine_calls):
    """Whatever the calculator has computed before; that without a field is where all start."""
    calc = MLSEQM(**PM3)
    calc.get_property("energy", molecule("CH4"))
    engine_calls.clear()
    again = polarizability(molecule("H2O"), calc).tensor
    assert engine_calls == [1] * 13
    np.testing.assert_array_equal(again, polarizability(molecule("H2O"), MLSEQM(**PM3)).tensor)


def test_a_field_of_the_calculator_is_the_middle_of_the_differences():
    """Against dipoles in fields beside it; it makes the molecule softer by 7 %."""
    atoms, dipoles = molecule("H2O"), []
    for field in (2.05, 1.95):
        atoms.calc = MLSEQM(**PM3, tolerance=1e-10, field=(0, 0, field))
        dipoles.append(atoms.get_dipole_moment()[2])
    expected = COULOMB * (dipoles[0] - dipoles[1]) / 0.1
    inside = polarizability(molecule("H2O"), MLSEQM(**PM3, field=(0, 0, 2.0))).tensor[2, 2]
    assert inside == pytest.approx(expected, rel=1e-5)
    free = polarizability(molecule("H2O"), MLSEQM(**PM3)).tensor[2, 2]
    assert abs(free - inside) > 0.02 * inside


def test_constraints_do_not_count():
    """Forces that they would take away are responses to the field, too."""
    free, held = molecule("H2O"), molecule("H2O")
    held.set_constraint(FixAtoms([0, 1]))
    found, expected = (polarizability(atoms, MLSEQM(**PM3)) for atoms in (held, free))
    np.testing.assert_array_equal(found.derivatives, expected.derivatives)
    assert np.abs(found.derivatives[:6]).max() > 0.1 and held.constraints


def test_strength_of_the_field_does_not_matter():
    weak, strong = (polarizability(molecule("CH3OH"), MLSEQM(**PM3), f) for f in (0.02, 0.1))
    np.testing.assert_allclose(weak.tensor, strong.tensor, atol=1e-3)
    np.testing.assert_allclose(weak.derivatives, strong.derivatives, atol=5e-3)


def test_learned_model_and_orientation():
    """Activities do not depend on how the molecule lies."""
    atoms = molecule("H2O")
    config = VibrationsConfig(fmax=1e-3, raman=True)
    one = vibrations(atoms, MLSEQM(), config)
    atoms.rotate(40.0, (1, 2, 3))
    other = vibrations(atoms, MLSEQM(), config)
    np.testing.assert_allclose(other.raman_activities, one.raman_activities, rtol=0.01)
    np.testing.assert_allclose(other.depolarisation_ratios, one.depolarisation_ratios, atol=0.005)


def test_other_calculators():
    with pytest.raises(InputError, match="electric fields: use MLSEQM"):
        vibrations(molecule("N2"), EMT(), VibrationsConfig(raman=True, fmax=0.1))


def test_command(found, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("c.xyz", found("CO2").atoms)
    line = ["vib", "c.xyz", "--method", "PM3", "--raman", "--no-animate", "--laser", "633"]
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    assert "Raman activity" in out and "0.268" in out
    stored = json.loads((tmp_path / "c_vib.json").read_text())
    assert stored["units"]["raman_activities"] == "Angstrom^4/u"
    assert None in stored["result"]["depolarisation_ratios"]
    again = VibrationsResult.from_dict(stored["result"])
    expected = found("CO2").raman_activities
    np.testing.assert_allclose(again.raman_activities, expected, atol=0.05)
    assert np.isnan(again.depolarisation_ratios).sum() == 3
    assert again.polarizability_derivatives.shape == (9, 3, 3)
    table = np.loadtxt("c_raman.csv", delimiter=",", skiprows=1)
    sections = cross_sections(again.frequencies, again.raman_activities, 633.0, 298.15)
    for column, areas in ((1, sections), (2, again.raman_activities)):
        bands = broadened(again.frequencies, areas, table[:, 0], 20.0)
        np.testing.assert_allclose(table[:, column], bands, rtol=1e-4, atol=1e-5)
    # the symmetric stretch is the only line of carbon dioxide
    assert table[table[:, 1].argmax(), 0] == pytest.approx(again.frequencies[2], abs=1.0)
    with Image.open("c_raman.png") as picture:
        assert min(picture.size) > 500
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (0x1F, 0x4E, 0x79) in colours
    assert cli.main([*line, "--no-spectrum", "--out", "none"]) == 0
    assert not list((tmp_path / "none").glob("*.png"))


def test_raman_results_are_kept_until_they_are_of_others(tmp_path, monkeypatch, engine_calls):
    """Thermochemistry uses them; those of another isotope have no Raman spectrum."""
    monkeypatch.chdir(tmp_path)
    write("h2.xyz", molecule("H2"))
    line = ["h2.xyz", "--method", "PM3"]
    assert cli.main(["vib", *line, "--raman", "--no-animate"]) == 0
    stored, spectrum = Path("h2_vib.json").read_bytes(), Path("h2_raman.csv")
    engine_calls.clear()
    assert cli.main(["thermo", *line]) == 0
    assert sum(engine_calls) <= 1  # the report of the structure
    assert Path("h2_vib.json").read_bytes() == stored and spectrum.exists()
    assert cli.main(["vib", *line, "--isotopes", "H=D", "--no-animate"]) == 0
    assert not spectrum.exists() and not Path("h2_raman.png").exists()


def test_of_many_molecules_are_those_of_each(engine_calls):
    """The fields of all molecules are the same, so they share batches."""
    config = VibrationsConfig(relax=False, raman=True)
    pair = [molecule("H2O"), molecule("NH3")]
    both = vibrations(pair, MLSEQM(method="PM3"), config)
    shared = len(engine_calls)
    for atoms, found in zip(pair, both, strict=True):
        alone = vibrations(atoms, MLSEQM(method="PM3"), config)
        np.testing.assert_allclose(found.polarizability, alone.polarizability, atol=1e-6)
        np.testing.assert_allclose(found.raman_activities, alone.raman_activities, atol=1e-2)
    assert 2 * shared == len(engine_calls) - shared


def test_other_calculators_are_refused_before_anything_is_computed():
    class Counted(EMT):
        calls = 0

        def calculate(self, *args, **keywords):
            Counted.calls += 1
            super().calculate(*args, **keywords)

    for work in (vibrations, harmonic):
        with pytest.raises(InputError, match="use MLSEQM"):
            work(molecule("H2O"), Counted(), VibrationsConfig(raman=True))
    assert Counted.calls == 0
