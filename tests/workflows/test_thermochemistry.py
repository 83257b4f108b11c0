"""Thermochemistry against MOPAC's, formulas by hand, and known symmetry numbers."""

import builtins
import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import CalculatorError
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from PIL import Image
from test_vibrations import FIXED, MOPAC, build

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.cli.vibrations import ThermoOptions
from ase_mlseqm.options import field_docs
from ase_mlseqm.workflows.relax import relax
from ase_mlseqm.workflows.symmetry import point_group
from ase_mlseqm.workflows.thermochemistry import (
    ThermoConfig,
    heat_capacity,
    ideal_gas,
    quasi_harmonic_change,
    thermochemistry,
)
from ase_mlseqm.workflows.vibrations import vibrations

KCAL = units.kcal / units.mol
K, H, C, NA = 1.380649e-23, 6.62607015e-34, 2.99792458e8, 6.02214076e23
U = 1.66053906660e-27
R = K * NA  # J/(mol K)
J_MOL = units.J / units.mol


@pytest.fixture(scope="module")
def water():
    return vibrations(build(MOPAC["H2O"]), MLSEQM(method="PM3"), FIXED)


@pytest.mark.parametrize("name", MOPAC)
def test_mopac(name):
    """Entropies, heat capacities and heats of formation; a soft torsion decides on one entropy."""
    pytest.importorskip("pymatgen")
    entry = MOPAC[name]
    found = vibrations(build(entry), MLSEQM(method="PM3"), FIXED)
    gas = ideal_gas(found, ThermoConfig(temperatures=tuple(entry["temperatures"])))
    entropies = gas.entropies / (KCAL / 1000)
    if name == "CH3":  # MOPAC leaves out spin, and takes 1 for the symmetry number
        assert (gas.point_group, gas.symmetry_number) == ("D3h", 6)
        entropies += R / 4.184 * (np.log(6) - np.log(2))
    error = 0.36 if name == "CH3NO2" else 1e-3
    np.testing.assert_allclose(entropies, entry["entropies"], atol=error)
    np.testing.assert_allclose(
        gas.heat_capacities / (KCAL / 1000), entry["heat_capacities"], atol=1e-3
    )
    # MOPAC's reference is 298 K, not 298.15 K
    np.testing.assert_allclose(
        gas.heats_of_formation / KCAL, entry["heats_of_formation"], atol=3e-3
    )


@pytest.mark.parametrize(
    ("name", "group", "number"),
    [
        ("H2O", "C2v", 2),
        ("NH3", "C3v", 3),
        ("CH4", "Td", 12),
        ("C6H6", "D6h", 12),
        ("CO2", "D∞h", 2),
        ("HCN", "C∞v", 1),
        ("C2H6", "D3d", 6),
        ("HCOOH", "Cs", 1),
        ("O", "Kh", 1),
        ("C4H4NH", "C2v", 2),  # two moments of inertia that are equal within 1 %
        ("COF2", "C2v", 2),
        ("C3H4_D2d", "D2d", 4),
        ("C60", "Ih", 60),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_symmetry_numbers(name, group, number, noise):
    pytest.importorskip("pymatgen")
    atoms = molecule(name)
    atoms.rattle(noise, seed=3)
    assert point_group(atoms) == (group, number)


def test_symmetry_of_what_is_nearly_symmetric():
    """The operations that pymatgen finds in these do not close to a group, or to a small one."""
    pytest.importorskip("pymatgen")
    flat = [[-0.009, 0.012, 0.683], [0.008, -0.013, -0.556]]
    flat += [[-0.010, 0.946, -1.113], [0.003, -0.942, -1.125]]
    assert point_group(Atoms("OCH2", flat)) == ("C2v", 2)
    thiyl = relax(molecule("CH3S"), MLSEQM(method="PM3"))
    assert point_group(thiyl.atoms)[1] in (1, 3)


def thin(*ends):
    """H-X-C4-Y-H, each hydrogen at right angles to the chain, the second turned."""
    places = [(-1.33, 0, 0), (0, 0, 0), (1.21, 0, 0), (2.57, 0, 0), (3.78, 0, 0), (5.11, 0, 0)]
    chain = Atoms(ends[0] + "C4" + ends[1], places)
    angle = np.radians(110.0)
    for x, turn in ((-1.33, 0.0), (5.11, angle)):
        chain += Atoms("H", [(x, 0.95 * np.cos(turn), 0.95 * np.sin(turn))])
    return chain


@pytest.mark.parametrize(
    ("ends", "group", "number"), [("OO", "C2", 2), ("SS", "C2", 2), ("OS", "C1", 1)]
)
def test_long_and_thin_is_not_linear(ends, group, number):
    """pymatgen tells by products of moments of inertia."""
    pytest.importorskip("pymatgen")
    assert point_group(thin(*ends)) == (group, number)


def test_no_axis_of_order_one(monkeypatch):
    """Which pymatgen before September 2026 counts: that of inertia of a long and thin molecule."""
    pymatgen = pytest.importorskip("pymatgen.symmetry.analyzer").PointGroupAnalyzer
    check = pymatgen._check_rot_sym

    def with_identity(self, axis):
        before = len(self.rot_sym)
        order = check(self, axis)
        if len(self.rot_sym) == before:
            self.rot_sym.append((axis, 1))
        return order

    monkeypatch.setattr(pymatgen, "_check_rot_sym", with_identity)
    assert point_group(thin("S", "S")) == ("C2", 2)
    names = ("CH4", "C6H6", "NH3", "C2H6", "C2H4", "H2O", "H2O2", "CH3Cl", "C3H4_D2d")
    expected = [12, 12, 3, 6, 4, 2, 2, 3, 4]
    assert [point_group(molecule(name))[1] for name in names] == expected


@pytest.mark.parametrize("masses", [(12.0, 12.0), (12.0, 13.0)])
def test_linear_molecules_with_a_bend_in_the_noise(masses):
    pytest.importorskip("pymatgen")
    chain = Atoms("HCCCCH", [(x, 0, 0) for x in (-3.0, -1.93, -0.69, 0.69, 1.93, 3.0)])
    chain.set_masses([1.008, masses[0], 12.0, 12.0, masses[1], 1.008])
    chain.rattle(1e-3, seed=1)
    expected = ("D∞h", 2) if masses[0] == masses[1] else ("C∞v", 1)
    assert point_group(chain) == expected


def s4():
    """C(OH)4 with an axis of rotary reflection, whose moments of inertia are equal within 1 %."""
    tilt, turn, angle = np.radians(53.7356), 1.5, np.radians(110.0)
    oxygen = 1.40 * np.array([np.sin(tilt), 0, np.cos(tilt)])
    back = -oxygen / 1.40
    side = np.cross(back, [0, 1, 0])
    side /= np.linalg.norm(side)
    around = np.cos(turn) * side + np.sin(turn) * np.cross(back, side)
    hydrogen = oxygen + 0.96 * (np.cos(angle) * back + np.sin(angle) * around)
    reflected = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1]])
    places = [[0, 0, 0]]
    for _ in range(4):
        places += [oxygen, hydrogen]
        oxygen, hydrogen = reflected @ oxygen, reflected @ hydrogen
    return Atoms("C" + 4 * "OH", places)


def test_axes_that_are_found_twice():
    pytest.importorskip("pymatgen")
    from pymatgen.core import Molecule
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer

    atoms = s4()
    loose = PointGroupAnalyzer(Molecule(atoms.symbols, atoms.positions), 0.1, 1e-2)
    assert str(loose.sch_symbol) == "D2"
    assert point_group(atoms) == ("S4", 2)


def test_what_is_missing_is_told_before_anything_is_computed(monkeypatch, engine_calls):
    monkeypatch.setitem(sys.modules, "pymatgen.symmetry.analyzer", None)
    with pytest.raises(InputError, match="needs pymatgen"):
        thermochemistry(molecule("H2O"), MLSEQM(method="PM3"))
    assert not engine_calls


def test_entropies_that_are_negative(water):
    cold = ideal_gas(water, ThermoConfig(temperatures=(0.1, 0.5, 300.0), symmetry_number=2))
    assert cold.entropies[1] < 0 < cold.entropies[2]
    assert any("the entropy at 0.5 K is negative" in message for message in cold.messages)
    warm = ideal_gas(water, ThermoConfig(temperatures=(300.0,), symmetry_number=2))
    assert not any("negative" in message for message in warm.messages)


@pytest.mark.parametrize(("tolerance", "number"), [(0.1, 1), (0.4, 2)])
def test_tolerance_of_symmetry(water, tolerance, number):
    """Water with one bond that is 0.15 Angstrom longer than the other."""
    pytest.importorskip("pymatgen")
    atoms = water.atoms.copy()
    atoms.set_distance(0, 1, atoms.get_distance(0, 2) + 0.15, fix=0)
    atoms.calc = SinglePointCalculator(atoms, **water.atoms.calc.results)
    bent = dataclasses.replace(water, atoms=atoms)
    assert ideal_gas(bent, ThermoConfig(symmetry_tolerance=tolerance)).symmetry_number == number


def test_isotopes_break_symmetry():
    pytest.importorskip("pymatgen")
    atoms = molecule("H2O")
    atoms.set_masses([15.999, 2.014, 1.008])
    assert point_group(atoms) == ("Cs", 1)
    atoms.set_masses([15.999, 2.014, 2.014])
    assert point_group(atoms) == ("C2v", 2)


def test_without_pymatgen(water, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **keywords):
        if name.startswith("pymatgen"):
            raise ImportError
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"ase-mlseqm\[thermo\]"):
        ideal_gas(water)
    assert ideal_gas(water, ThermoConfig(symmetry_number=2)).point_group is None


def sackur_tetrode(mass, temperature, pressure):
    """Entropy of translation in J/(mol K)."""
    wavelength = H / np.sqrt(2 * np.pi * mass * U * K * temperature)
    return R * (np.log(K * temperature / pressure / wavelength**3) + 2.5)


def test_a_lone_atom():
    """Sackur and Tetrode, and a spin."""
    gas = thermochemistry(Atoms("H"), MLSEQM(method="PM3"), ThermoConfig(pressure=1e5))
    assert (gas.geometry, gas.symmetry_number) == ("monatomic", 1)
    expected = sackur_tetrode(1.008, gas.temperatures, 1e5) + R * np.log(2)
    np.testing.assert_allclose(gas.entropies / J_MOL, expected, rtol=1e-6)
    np.testing.assert_allclose(gas.heat_capacities / J_MOL, 2.5 * R, rtol=1e-6)
    energy = gas.vibrations.energy
    np.testing.assert_allclose(
        (gas.enthalpies - energy) / J_MOL, 2.5 * R * gas.temperatures, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["CO", "H2O"])
def test_rotors_and_oscillators(name):
    """All of it in SI units, formula by formula (McQuarrie, Statistical Mechanics, chapter 8)."""
    entry = MOPAC[name]
    found = vibrations(build(entry), MLSEQM(method="PM3"), FIXED)
    number = 1 if name == "CO" else 2
    gas = ideal_gas(found, ThermoConfig(symmetry_number=number))
    t, moments = gas.temperatures, found.atoms.get_moments_of_inertia() * U * 1e-20
    entropy = sackur_tetrode(found.atoms.get_masses().sum(), t, 101325.0)
    rotation = 8 * np.pi**2 * K * t[:, None] * moments / H**2
    if name == "CO":
        entropy += R * (1 + np.log(rotation[:, -1] / number))
        thermal = 3.5 * R * t
    else:
        entropy += R * (1.5 + np.log(np.sqrt(np.pi * rotation.prod(1)) / number))
        thermal = 4.0 * R * t
    x = H * C * 100 * found.frequencies / (K * t[:, None])
    entropy += R * (x / np.expm1(x) - np.log1p(-np.exp(-x))).sum(1)
    thermal += R * t * (x / 2 + x / np.expm1(x)).sum(1)
    np.testing.assert_allclose(gas.entropies / J_MOL, entropy, rtol=1e-5)
    np.testing.assert_allclose((gas.enthalpies - found.energy) / J_MOL, thermal, rtol=1e-5)
    free = gas.enthalpies - t * gas.entropies
    np.testing.assert_allclose(gas.gibbs_energies, free, rtol=0, atol=1e-12)


def test_heat_capacity_is_the_slope_of_the_enthalpy(water):
    gas = ideal_gas(water, ThermoConfig(temperatures=(399.9, 400.0, 400.1), symmetry_number=2))
    slope = (gas.enthalpies[2] - gas.enthalpies[0]) / 0.2
    assert gas.heat_capacities[1] == pytest.approx(slope, rel=1e-6)
    cold = heat_capacity(np.array([4000.0]), np.array([1e-3]), "linear")
    assert cold[0] == pytest.approx(3.5 * units.kB)


def grimme(frequency, temperature, cutoff):
    """Difference to the oscillator, J/(mol K); Grimme 2012, equations 4 to 8, in SI units."""
    omega = C * 100 * frequency
    mu = H / (8 * np.pi**2 * omega)
    bounded = mu * 1e-44 / (mu + 1e-44)
    rotor = R * (0.5 + np.log(np.sqrt(8 * np.pi**3 * bounded * K * temperature / H**2)))
    x = H * omega / (K * temperature)
    oscillator = R * (x / (np.exp(x) - 1) - np.log(1 - np.exp(-x)))
    weight = 1 / (1 + (cutoff / frequency) ** 4)
    return weight * oscillator + (1 - weight) * rotor - oscillator


@pytest.mark.parametrize("frequency", [5.0, 40.0, 100.0, 900.0])
def test_quasi_harmonic_entropy(frequency):
    found = quasi_harmonic_change(np.array([frequency]), np.array([298.15, 700.0]), 100.0)
    expected = [grimme(frequency, t, 100.0) for t in (298.15, 700.0)]
    np.testing.assert_allclose(found / J_MOL, expected, rtol=1e-6, atol=1e-9)


def test_slow_modes_are_rotors(water):
    slow = dataclasses.replace(water, frequencies=np.array([10.0, 1700.0, 3900.0]))
    gas = ideal_gas(slow, ThermoConfig(symmetry_number=2))
    assert (gas.entropies_quasi < gas.entropies).all()
    np.testing.assert_allclose(
        gas.gibbs_energies_quasi - gas.gibbs_energies,
        gas.temperatures * (gas.entropies - gas.entropies_quasi),
        atol=1e-12,
    )
    harmonic = ideal_gas(slow, ThermoConfig(symmetry_number=2, cutoff=1e-3))
    np.testing.assert_allclose(harmonic.entropies_quasi, harmonic.entropies, rtol=1e-9)


def test_zero_point_energies_that_count_twice(water):
    gas = ideal_gas(water, ThermoConfig(symmetry_number=2, temperatures=(298.15,)))
    assert "count them twice" in gas.messages[-1]
    assert gas.heats_of_formation[0] == pytest.approx(water.heat_of_formation, abs=1e-9)
    learned = thermochemistry(
        molecule("H2O"), MLSEQM(), ThermoConfig(symmetry_number=2, temperatures=(100.0,))
    )
    assert learned.heats_of_formation is None and learned.messages == []
    found = learned.vibrations
    expected = found.energy + found.zero_point_energy
    assert learned.enthalpies[0] - 4 * units.kB * 100.0 == pytest.approx(expected, abs=1e-6)


def test_imaginary_modes_are_left_out(water):
    saddle = dataclasses.replace(water, frequencies=np.array([-500.0, 1700.0, 3900.0]))
    gas = ideal_gas(saddle, ThermoConfig(symmetry_number=2))
    assert any("left out" in message for message in gas.messages)
    t, modes = gas.temperatures[3], units.invcm * np.array([1700.0, 3900.0])
    vibration = (modes / 2 + modes / np.expm1(modes / (units.kB * t))).sum()
    expected = vibration + 4 * units.kB * t
    assert gas.enthalpies[3] - water.energy == pytest.approx(expected, abs=1e-9)
    x = modes / (2 * units.kB * t)
    capacity = units.kB * (4 + ((x / np.sinh(x)) ** 2).sum())
    assert gas.heat_capacities[3] == pytest.approx(capacity, rel=1e-6)
    change = sum(grimme(frequency, t, 100.0) for frequency in (1700.0, 3900.0)) * J_MOL
    assert gas.entropies_quasi[3] - gas.entropies[3] == pytest.approx(change, rel=1e-4, abs=0)


def test_other_calculators():
    gas = thermochemistry(Atoms("Cu2", [(0, 0, 0), (0, 0, 2.2)]), EMT())
    assert (gas.geometry, gas.symmetry_number) == ("linear", 2)
    assert gas.heats_of_formation is None
    assert json.loads(json.dumps(gas.to_dict()))["geometry"] == "linear"


def test_many_at_once(water):
    config = ThermoConfig(relax=False, symmetry_number=2, temperatures=(298.15,))
    carbon = build(MOPAC["CO2"])
    structures = [build(MOPAC["H2O"]), Atoms("U2", [(0, 0, 0), (0, 0, 2.0)]), carbon]
    first, bad, last = thermochemistry(structures, MLSEQM(method="PM3"), config)
    assert isinstance(bad, CalculatorError)
    alone = thermochemistry(carbon, MLSEQM(method="PM3"), config)
    for one, other in ((first, ideal_gas(water, config)), (last, alone)):
        np.testing.assert_allclose(one.entropies, other.entropies, rtol=1e-6)
        np.testing.assert_allclose(one.gibbs_energies, other.gibbs_energies, rtol=1e-6)
        assert one.messages == other.messages


@pytest.mark.parametrize(
    "settings",
    [
        {"temperatures": ()},
        {"temperatures": (0.0,)},
        {"pressure": -1.0},
        {"cutoff": 0.0},
        {"symmetry_number": 0},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        ThermoConfig(**settings)


def test_every_setting_has_its_doc():
    assert set(ThermoOptions.__dataclass_fields__) == set(field_docs(ThermoOptions))


def test_command(tmp_path, monkeypatch, capsys):
    """It uses what ``vib`` has written, and writes a table, a picture and numbers."""
    monkeypatch.chdir(tmp_path)
    write("w.xyz", molecule("H2O"))
    line = ["w.xyz", "--method", "PM3", "--out", "o"]
    assert cli.main(["vib", *line, "--no-animate", "--no-spectrum"]) == 0
    before = Path("o/w_vib.json").stat().st_mtime_ns
    capsys.readouterr()
    line += ["--symmetry-number", "2", "--temperatures", "298.15,500"]
    assert cli.main(["thermo", *line]) == 0
    out, err = capsys.readouterr()
    assert "symmetry number 2" in out and "count them twice" in err
    assert Path("o/w_vib.json").stat().st_mtime_ns == before
    stored = json.loads(Path("o/w_thermo.json").read_text())["result"]
    header, *rows = Path("o/w_thermo.csv").read_text().splitlines()
    assert "S [cal/(mol K)]" in header and len(rows) == 2
    entropy = float(rows[0].split(",")[header.split(",").index("S [cal/(mol K)]")])
    assert entropy == pytest.approx(stored["entropies"][0] / KCAL * 1000, abs=1e-3)
    with Image.open("o/w_thermo.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(0x1F, 0x4E, 0x79), (0xB0, 0x3A, 0x2E)} <= colours


def test_the_page(tmp_path, monkeypatch, capsys):
    """The examples in the documentation run, and draw the picture that the page shows."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "vibrations.md"
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(code, str(page), "exec"), names)
    assert [len(one.frequencies) for one in names["results"]] == [3, 9]
    assert "nan" not in capsys.readouterr().out
    with Image.open("vibrations_spectrum.png") as image:
        assert (0x1F, 0x4E, 0x79) in {c for _, c in image.convert("RGB").getcolors(1 << 20)}
    assert "(vibrations_spectrum.png)" in page.read_text()
    assert page.with_name("vibrations_spectrum.png").exists()
