"""Phonons by phonopy against this package's vibrations, and of crystals."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import CalculatorError, SCFError
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.phonons import Phonons as ASEPhonons
from PIL import Image
from scipy.integrate import trapezoid

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.cli.phonons import PhononsOptions
from ase_mlseqm.options import field_docs
from ase_mlseqm.workflows import phonons as module
from ase_mlseqm.workflows.isotopes import isotope_masses
from ase_mlseqm.workflows.phonon_figures import plot_phonons
from ase_mlseqm.workflows.phonons import PhononsConfig, PhononsResult, phonons
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

BLUE, RED = (0x1F, 0x4E, 0x79), (0xB0, 0x3A, 0x2E)
phonopy = pytest.importorskip("phonopy", minversion="4")

FIXED = PhononsConfig(relax=False)


def pm3(**options):
    return MLSEQM(method="PM3", **options)


def colours(path):
    """Of the pixels of a picture."""
    with Image.open(path) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}


def at(phonon, point):
    """phonopy's own frequencies at a q point, cm-1."""
    return phonon.run_qpoints([point]).frequencies[0] * 33.35641


@pytest.fixture(scope="module")
def relaxed():
    """Relaxed molecules by name, and their vibrations."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = vibrations(molecule(name), pm3(), VibrationsConfig(fmax=1e-4))
        return known[name]

    return get


@pytest.mark.parametrize("symmetry", [True, False])
@pytest.mark.parametrize("name", ["H2O", "HCN", "CH3OH", "CH3CHO"])
def test_molecule_in_a_box(relaxed, name, symmetry):
    """Two codes for the Hessian and its modes agree to 0.002 cm-1."""
    expected = relaxed(name).frequencies
    config = dataclasses.replace(FIXED, symmetry=symmetry)
    result = phonons(relaxed(name).atoms, pm3(), config)
    assert result.frequencies.shape == (3 * len(result.atoms),)
    rigid, found = np.split(result.frequencies, [-len(expected)])
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(rigid).max() < 10.0
    assert result.messages == []
    if not symmetry:
        assert result.calculations == 6 * len(result.atoms)


def test_learned_model():
    start = vibrations(molecule("H2O"), MLSEQM(), VibrationsConfig(fmax=1e-4))
    result = phonons(start.atoms, MLSEQM(), FIXED)
    np.testing.assert_allclose(result.frequencies[-3:], start.frequencies, atol=0.5)


def test_ions_isotopes_and_fields():
    """What the calculation depends on reaches the displaced structures."""
    ion = Atoms("H3O", molecule("NH3").positions[[1, 2, 3, 0]], info={"charge": 1})
    expected = vibrations(ion, pm3(), VibrationsConfig(fmax=1e-4))
    found = phonons(expected.atoms, pm3(), FIXED)
    np.testing.assert_allclose(found.frequencies[-6:], expected.frequencies, atol=0.5)
    heavy = molecule("H2O")
    heavy.set_masses(isotope_masses(heavy, ("1=D",)))
    for calc in (pm3(), pm3(field=(0.3, 0.5, 0.2))):
        expected = vibrations(heavy, calc, VibrationsConfig(fmax=1e-4))
        found = phonons(expected.atoms, calc, FIXED)
        # a field turns a dipole: those rotations are no longer free
        high = expected.frequencies > 1000
        assert high.sum() == 3
        np.testing.assert_allclose(found.frequencies[-3:], expected.frequencies[high], atol=3.0)
    assert found.calculations == 18  # no symmetry is left


def test_a_field_has_less_symmetry_than_the_molecule(relaxed):
    """Where the structure has it still: both bonds of water are no longer alike."""
    atoms, calc = relaxed("H2O").atoms, pm3(field=(0.0, 2.0, 0.0))
    found = phonons(atoms, calc, FIXED)
    hessian = calc.get_hessian(atoms).reshape(3, 3, 3, 3).swapaxes(1, 2)
    np.testing.assert_allclose(found.force_constants, hessian, atol=2e-3)
    mirrored = hessian[0, 2] * np.outer((1, -1, 1), (1, -1, 1))
    assert np.abs(hessian[0, 1] - mirrored).max() > 0.5


def test_a_field_of_zero_leaves_symmetry(relaxed):
    atoms, off = relaxed("H2O").atoms, pm3(field=(0.0, 0.0, 0.0))
    found = phonons(atoms, pm3(), FIXED)
    assert phonons(atoms, off, FIXED).calculations == found.calculations < 18


def test_eigenvectors_and_sum_rule(relaxed):
    result = phonons(relaxed("H2O").atoms, pm3(), FIXED)
    vectors = result.eigenvectors.reshape(9, 9)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(9), atol=1e-10)
    # the displacements of a vibration are those of the other code
    modes = result.eigenvectors[-3:] / np.sqrt(result.atoms.get_masses())[:, None]
    modes /= np.linalg.norm(modes, axis=(1, 2))[:, None, None]
    overlaps = np.abs((modes * relaxed("H2O").modes).sum((1, 2)))
    np.testing.assert_allclose(overlaps, 1.0, atol=1e-4)
    np.testing.assert_allclose(result.force_constants.sum(0), 0.0, atol=1e-8)
    np.testing.assert_allclose(at(result.to_phonopy(), [0, 0, 0]), result.frequencies, atol=0.01)


def test_without_the_sum_rule(relaxed):
    """The differences of forces stay as they are."""
    atoms, step = relaxed("HCN").atoms, 0.05  # so long that the matrix is not symmetric
    plain = dataclasses.replace(FIXED, symmetry=False, step=step, sum_rule=False)
    raw = phonons(atoms, pm3(), plain).force_constants
    expected = np.zeros_like(raw)
    for atom, axis in np.ndindex(3, 3):
        forces = []
        for sign in (1.0, -1.0):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            forces.append(pm3().get_forces(moved))
        expected[atom, :, axis] = (forces[1] - forces[0]) / (2.0 * step)
    np.testing.assert_allclose(raw, expected, atol=1e-4)
    ruled = phonons(atoms, pm3(), dataclasses.replace(plain, sum_rule=True)).force_constants
    turned = [constants.transpose(1, 0, 3, 2) for constants in (raw, ruled)]
    assert np.abs(raw - turned[0]).max() > 0.01
    np.testing.assert_allclose(ruled, turned[1], atol=1e-8)


@pytest.mark.parametrize(("vacuum", "between"), [(5.0, 5.0), (1.0, 3.0)])
def test_the_box_of_a_molecule(vacuum, between):
    """A cube with the molecule in the middle, as far from its walls as was asked for."""
    chain = Atoms("Cu4", [(2.3 * k - 20.0, 1.0, 0.3 * k) for k in range(4)])
    result = phonons(chain, EMT(), PhononsConfig(relax=False, vacuum=vacuum))
    box = result.to_phonopy().unitcell
    length = 3 * 2.3 + 2 * between
    np.testing.assert_allclose(box.cell, length * np.eye(3))
    middle = 0.5 * (box.positions.min(0) + box.positions.max(0))
    np.testing.assert_allclose(middle, 0.5 * length)


def test_calculator_sees_free_molecules(relaxed):
    """Whatever the box is."""
    atoms = relaxed("H2O").atoms.copy()
    wide = phonons(atoms, pm3(), dataclasses.replace(FIXED, vacuum=20.0))
    atoms.cell = [3.0, 3.0, 3.0]  # means nothing without periodicity
    atoms.set_constraint(FixAtoms([0]))
    before = atoms.copy()
    narrow = phonons(atoms, pm3(), dataclasses.replace(FIXED, vacuum=0.5))
    np.testing.assert_allclose(narrow.frequencies[-3:], wide.frequencies[-3:], atol=1e-3)
    assert before == atoms and atoms.constraints
    assert not narrow.atoms.pbc.any()


def test_relaxes_first():
    result = phonons(molecule("H2O"), pm3(), PhononsConfig(fmax=1e-4))
    assert result.max_force < 1e-4 and result.frequencies[-1] == pytest.approx(3988.7, abs=0.5)
    doubtful = phonons(molecule("H2O"), pm3(), FIXED)
    assert "no stationary point" in doubtful.messages[0]
    given_up = phonons(molecule("H2O"), pm3(), PhononsConfig(max_steps=0))
    assert "not converged in 0 steps" in given_up.messages[0]


def test_imaginary():
    planar = Atoms("NH3", [[0, 0, 0], [0.99, 0, 0], [-0.495, 0.857, 0], [-0.495, -0.857, 0]])
    result = phonons(planar, pm3(), PhononsConfig(fmax=1e-3))
    assert len(result.imaginary) == 1 and "1 imaginary" in result.messages[0]


def test_rotations_are_not_imaginary(relaxed):
    """Of a molecule that is not quite relaxed they are far from zero; they are projected out."""
    atoms = relaxed("H2O").atoms.copy()
    atoms.rattle(0.005, seed=1)
    result = phonons(atoms, pm3(), FIXED)
    assert result.frequencies[0] < -20.0
    assert not len(result.imaginary) and len(result.internal) == 3
    np.testing.assert_allclose(result.internal, result.frequencies[-3:], atol=2.0)


def test_many_at_once(relaxed, engine_calls):
    """Two calls of the engine displace all; numbers are those of each by itself."""
    starts = [relaxed("H2O").atoms, bulk("Si"), relaxed("HCN").atoms]
    full = dataclasses.replace(FIXED, symmetry=False)
    engine_calls.clear()
    water, silicon, cyanide = phonons(starts, pm3(), full)
    assert engine_calls == [2, 2, 9 + 9, 9 + 9]
    assert isinstance(silicon, InputError)
    for many, start in ((water, starts[0]), (cyanide, starts[2])):
        alone = phonons(start, pm3(), full)
        np.testing.assert_allclose(many.internal, alone.internal, rtol=1e-6)
    together = phonons([molecule("H2O"), molecule("HCN")], pm3(), PhononsConfig())
    for many, name in zip(together, ("H2O", "HCN"), strict=True):
        alone = phonons(molecule(name), pm3(), PhononsConfig())
        np.testing.assert_allclose(many.internal, alone.internal, rtol=1e-6)
        assert many.messages == alone.messages == []


def test_many_crystals():
    """Any calculator takes them in turn."""
    cell = bulk("Al", cubic=True)
    one, bad, other = phonons([cell, Atoms("Al", pbc=True), bulk("Cu")], EMT(), FIXED)
    assert isinstance(bad, InputError)
    np.testing.assert_array_equal(one.frequencies, phonons(cell, EMT(), FIXED).frequencies)
    assert len(other.frequencies) == 3


def test_one_atom():
    result = phonons(Atoms("H"), pm3(), FIXED)
    np.testing.assert_allclose(result.frequencies, 0.0, atol=0.1)


def test_crystal(tmp_path):
    """Another calculator, a supercell: ASE's phonons at Gamma and at a zone boundary."""
    cell = bulk("Al", cubic=True)
    result = phonons(cell, EMT(), PhononsConfig(supercell=(2, 2, 2)))
    assert result.calculations == 2  # by symmetry
    assert result.force_constants.shape == (32, 32, 3, 3)
    np.testing.assert_allclose(result.frequencies[:3], 0.0, atol=1e-3)
    full = PhononsConfig(supercell=(2, 2, 2), symmetry=False)
    whole = phonons(cell, EMT(), full)
    assert whole.calculations == 24
    np.testing.assert_allclose(whole.frequencies, result.frequencies, atol=0.05)
    serial = ASEPhonons(cell, EMT(), supercell=(2, 2, 2), name=tmp_path / "p", delta=0.01)
    serial.run()
    serial.read(acoustic=True)
    points = [[0, 0, 0], [0.5, 0, 0]]
    phonon = result.to_phonopy()
    for point, energies in zip(points, serial.band_structure(points), strict=True):
        np.testing.assert_allclose(at(phonon, point), np.sort(energies) * 8065.544, atol=0.2)
    plot_phonons(result, tmp_path / "al.png", "Al")
    assert colours(tmp_path / "al.png") >= {BLUE, RED}
    wavenumbers, density = result.density_of_states()
    assert trapezoid(density, wavenumbers) == pytest.approx(12.0, rel=0.01)


def test_round_trip(relaxed):
    atoms = relaxed("HCN").atoms.copy()
    atoms.set_masses(isotope_masses(atoms, ("H=D",)))
    result = phonons(atoms, pm3(), FIXED)
    again = PhononsResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again.to_dict() == result.to_dict()
    assert again.config == result.config
    np.testing.assert_allclose(again.internal, result.internal, rtol=1e-9)  # needs the masses


@pytest.mark.parametrize("info", [{}, {"charge": 1}])
def test_periodic_cells_are_refused(info):
    silicon = bulk("Si")
    silicon.info |= info
    for config in (FIXED, PhononsConfig(supercell=(2, 2, 2))):
        with pytest.raises(InputError, match="periodic cells are not supported yet"):
            phonons(silicon, pm3(), config)


@pytest.mark.parametrize(
    ("atoms", "config", "words"),
    [
        (Atoms(), {}, "no atoms"),
        (molecule("H2O"), {"supercell": (2, 1, 1)}, "not repeated"),
        (Atoms("Al", pbc=True), {}, "three vectors"),
    ],
)
def test_bad_structures(atoms, config, words):
    with pytest.raises(InputError, match=words):
        phonons(atoms, EMT(), PhononsConfig(**config))


@pytest.mark.parametrize(
    "values",
    [
        {"fmax": 0.0},
        {"step": -1.0},
        {"vacuum": float("nan")},
        {"max_steps": -1},
        {"supercell": (1, 1)},
        {"supercell": (0, 1, 1)},
        {"supercell": 2},
        {"supercell": (1.5, 2, 2)},
    ],
)
def test_bad_settings(values):
    with pytest.raises(InputError, match=next(iter(values))):
        PhononsConfig(**values)


def test_density_of_narrow_bands(monkeypatch):
    """Of nitrogen molecules far from each other, whose bands lie between the points."""
    monkeypatch.delattr(np, "trapezoid", raising=False)  # before version 2 there is none
    cell = Atoms("N2", [(0, 0, 0), (1.05, 0.1, 0.2)], cell=[4.0] * 3, pbc=True)
    found = phonons(cell, EMT(), PhononsConfig(relax=False, supercell=(2, 2, 2)))
    wavenumbers, density = found.density_of_states(20.0)
    assert trapezoid(density, wavenumbers) == pytest.approx(6.0, rel=0.02)


def test_density_with_isotopes_does_not_depend_on_the_orientation():
    """Layers of heavy atoms have less symmetry than the cubic crystal."""
    found = []
    for other in (1, 3):  # in the plane of y and z, and of x and y
        cell = bulk("Al", cubic=True)
        masses = cell.get_masses()
        masses[[0, other]] *= 3.0
        cell.set_masses(masses)
        result = phonons(cell, EMT(), PhononsConfig(relax=False, supercell=(2, 2, 2)))
        found.append(result.density_of_states(20.0))
    (levels, one), (also, two) = found
    np.testing.assert_allclose(levels, also, atol=0.05)
    assert np.abs(one - two).max() < 0.02 * one.max()


def test_what_has_no_density():
    single = phonons(bulk("Al"), EMT())
    with pytest.raises(InputError, match="a supercell of one atom has no force constants"):
        single.density_of_states()
    with pytest.raises(InputError, match="a molecule has no bands"):
        phonons(molecule("H2O"), pm3(), FIXED).density_of_states()


def test_a_box_does_not_repeat_a_chain():
    """The gap between the images of one is as wide as a bond."""
    chain = Atoms("Cu4", [(2.3 * k, 0, 0) for k in range(4)])
    config = PhononsConfig(relax=False)
    narrow = phonons(chain, EMT(), dataclasses.replace(config, vacuum=1.15))
    np.testing.assert_allclose(narrow.internal, phonons(chain, EMT(), config).internal, atol=0.1)


def test_what_phonopy_refuses_harms_no_other():
    one_site = Atoms("Cu2", [[0, 0, 0]] * 2, cell=[4] * 3, pbc=True)
    heavy = bulk("Al")
    heavy.set_masses([np.nan])
    good, *bad = phonons([bulk("Al"), one_site, heavy], EMT(), PhononsConfig(relax=False))
    assert isinstance(good, PhononsResult)
    assert isinstance(bad[0], CalculatorError) and isinstance(bad[1], InputError)


def test_moments_are_kept():
    nickel = bulk("Ni", cubic=True)
    nickel.set_initial_magnetic_moments([1, 1, -1, -1])
    found = phonons(nickel, EMT(), PhononsConfig(relax=False))
    again = PhononsResult.from_dict(json.loads(json.dumps(found.to_dict())))
    operations = [len(one.to_phonopy().symmetry.pointgroup_operations) for one in (found, again)]
    assert operations == [16, 16]


def test_failures(monkeypatch):
    with pytest.raises(SCFError):
        phonons(molecule("H2O"), pm3(max_iterations=1), FIXED)
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(InputError, match=r"ase-mlseqm\[phonons\]"):
        phonons(molecule("H2O"), pm3(), FIXED)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("water.xyz", [molecule("H2O"), molecule("HCN")])
    write("si.extxyz", bulk("Si"))
    line = ["phonons", "water.xyz", "--method", "PM3", "--out", "o"]
    assert cli.main([*line, "si.extxyz"]) == 2
    out, err = capsys.readouterr()
    assert "1742.1" in out and "si.extxyz: periodic cells are not supported yet" in err
    stored = json.loads(Path("o/water_0000_phonons.json").read_text())
    assert stored["units"]["frequencies"].startswith("cm-1") and "phonopy" not in stored["result"]
    rows = np.loadtxt("o/water_0000_phonons.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(rows[:, 1], stored["result"]["frequencies"], atol=1e-4)
    assert read("o/water_0000_phonons.extxyz").get_potential_energy() == pytest.approx(
        stored["result"]["energy"], abs=1e-6
    )
    assert colours("o/water_0001_phonons.png") >= {BLUE, RED}
    loaded = phonopy.load("o/water_0000_phonopy.yaml", produce_fc=False, log_level=0)
    np.testing.assert_allclose(at(loaded, [0, 0, 0])[-3:], rows[-3:, 1], atol=0.01)

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr("ase_mlseqm.runs.phonons.phonons", never)
    assert cli.main([*line, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["molecules"][0]["phonons"]["frequencies"] == stored["result"]["frequencies"]
    with pytest.raises(AssertionError, match="computed again"):
        cli.main([*line, "--step", "0.002"])


def test_killed_run_goes_on(tmp_path, monkeypatch):
    """What was written is used; the rest is computed; the answers are those of one run."""
    names = ["CH3OH", "CH3CHO", "H2O"]
    write(tmp_path / "many.xyz", [molecule(name) for name in names])
    line = [sys.executable, "-m", "ase_mlseqm", "phonons", "many.xyz", "--method", "PM3"]
    first = tmp_path / "a" / "many_0000_phonons.json"
    job = subprocess.Popen([*line, "--out", "a"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not first.exists() and job.poll() is None:
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not (tmp_path / "a" / "mlseqm_phonons.json").exists()
    kept = first.stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    for out in "ab":
        assert cli.main([*line[3:], "--out", out]) == 0
    assert first.stat().st_mtime_ns == kept
    for index, name in enumerate(names):
        runs = (tmp_path / run / f"many_{index:04d}_phonons.json" for run in "ab")
        one, other = (json.loads(path.read_text())["result"] for path in runs)
        vibrating = 6 - 3 * len(molecule(name))
        found, expected = (result["frequencies"][vibrating:] for result in (one, other))
        np.testing.assert_allclose(found, expected, atol=0.01)
        assert one["energy"] == pytest.approx(other["energy"], abs=1e-7)


@pytest.mark.slow
def test_the_page(tmp_path, monkeypatch, capsys):
    """The example in the documentation runs, with nothing but what the package asks for."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "phonons.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(compile(code, str(page), "exec"), {})
    assert "nan" not in capsys.readouterr().out
    for name in ("phonons_molecule.png", "phonons_crystal.png"):
        assert colours(tmp_path / name) >= {BLUE, RED}
        assert (page.parent / name).exists() and f"({name})" in page.read_text()


def test_every_setting_has_its_doc():
    assert set(PhononsOptions.__dataclass_fields__) == set(field_docs(PhononsOptions))


def test_module_does_without_phonopy():
    code = f"import sys, {module.__name__}; assert 'phonopy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
