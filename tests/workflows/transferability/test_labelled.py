"""The tests of labelled frames: extensibility and large molecules."""

import dataclasses
import shutil
from collections import defaultdict
from itertools import combinations

import ase.io
import ase.units
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import SHARED, build, needs_shared
from transfer import PLAIN, metrics, table, write_labels

from ase_mlseqm import evaluate
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.units import EV_TO_KCAL, HARTREE
from ase_mlseqm.workflows.transferability import large
from ase_mlseqm.workflows.transferability.extensibility import element_constants, per_molecule
from ase_mlseqm.workflows.transferability.gfn2 import GFN2
from ase_mlseqm.workflows.transferability.labelled import load_frames

KCAL = ase.units.kcal / ase.units.mol


def test_element_constants():
    formulas = ["CH4", "C2H6", "C3H8", "H2O"]
    counts = np.array([[1, 4, 0], [2, 6, 0], [3, 8, 0], [0, 2, 1]])
    errors = counts @ [1.5, -0.25, 3.0]
    assert element_constants(formulas, errors) == pytest.approx(errors)
    short = np.where([1, 1, 0, 1], errors, np.nan)
    assert np.isnan(element_constants(formulas, short)).all()  # three constants fit any three
    more = element_constants([*formulas, "CH4O"], np.append(short, 3.5))
    assert more == pytest.approx([*errors, 3.5])


def test_offsets_of_molecules_do_not_matter():
    rows = [
        {
            "molecule": m,
            "formula": "CH4",
            "heavy_atoms": 1,
            "force_mae": 1.0,
            "force_size": 0.0,
            "atomization_error": e,
        }
        for m, e in (("a", 100.0), ("a", 101.0), ("b", -7.0), ("b", -4.0), ("c", 0.0))
    ]
    found = per_molecule(rows)
    assert found["relative energies"] == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)
    assert np.isnan(found["relative forces"]).all()  # of forces that are zero


def test_frames_have_the_names_of_their_molecules(tmp_path):
    frames = load_frames([write_labels(tmp_path / "a.h5", ("CH4", "CH3OH"))])
    assert frames.cases == ["ch3oh[0]", "ch3oh[1]", "ch4[0]", "ch4[1]"]
    assert [frames.heavy(k) for k in range(4)] == [2, 2, 1, 1]
    forces = np.abs(frames.data.forces[2]) * EV_TO_KCAL
    assert frames.force_size(2) == pytest.approx(forces.mean()) and frames.force_size(2) > 1.0


def test_names_of_groups_within_groups(tmp_path):
    """Which are one molecule where they have one name."""
    path = write_labels(tmp_path / "a.h5", ("CH4", "CH3OH"), frames=1)
    with h5py.File(path, "a") as content:
        for place in ("m_CH4", "m_CH3OH"):
            del content[place].attrs["smiles"]
            content[place].attrs["name"] = "nicotine"
            content.move(place, f"drugs/{place}")
    assert load_frames([path]).cases == ["nicotine[0]", "nicotine[1]"]


def test_molecules_without_smiles_and_names_are_not_mixed(tmp_path):
    for file, name in (("a", "H2O"), ("b", "CH3OH")):
        write_labels(tmp_path / f"{file}.h5", (name,))
        with h5py.File(tmp_path / f"{file}.h5", "a") as content:
            group = content[f"m_{name}"]
            del group.attrs["smiles"], group.attrs["name"]
            content.move(f"m_{name}", "mol1")
    frames = load_frames([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert frames.names == ["a/mol1"] * 2 + ["b/mol1"] * 2
    assert load_frames([tmp_path / "a.h5"]).names == ["mol1"] * 2


def test_frames_are_computed_in_their_states(tmp_path):
    """A triplet was a singlet; bonds that are broken need moments of both signs."""
    broken = Atoms("H2", [[0, 0, 0], [0, 0, 1.9]], magmoms=[1, -1])
    frames = [
        molecule("CH2_s3B1d"),
        molecule("CH3"),
        broken,
        Atoms("NH3", molecule("NH3").positions),
    ]
    frames[3].info["charge"] = 1
    for atoms, point in zip(frames, evaluate(frames, "AM1", ("energy", "forces")), strict=True):
        apart = sum(KNOWN["wB97X/6-31G*"][s] for s in atoms.symbols) * HARTREE
        energy = point.atomization_energy + apart
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=point.forces)
        atoms.info["level"] = "wB97X/6-31G*"
    ase.io.write(tmp_path / "large_a.extxyz", frames)
    found = load_frames([tmp_path / "large_a.extxyz"])
    states = [(p.charge, p.multiplicity, p.unrestricted) for p in evaluate(found.systems, "AM1")]
    assert states == [(0, 3, True), (0, 2, True), (0, 1, True), (1, 2, True)]
    config = dataclasses.replace(PLAIN, tests=("large",), method=("AM1",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    assert metrics(tmp_path / "out", "large")["AM1", "force MAE"] < 1e-4


def test_diagonal_of_gaps_where_some_have_no_label(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(large, "save", lambda figure, _: drawn.append(figure) or True)
    row = dict.fromkeys(("force_mae", "dipole_error", "charge_mae"), 0.1) | {"atoms": 3}
    labels = {"a": np.nan, "b": 8.0, "c": 9.0}
    rows = [row | {"molecule": m, "gap": 8.5, "reference_gap": x} for m, x in labels.items()]
    large.LargeMolecules().draw({"PM3": rows}, tmp_path / "a.png", PLAIN)
    assert drawn[0].axes[3].lines[-1].get_xdata() == pytest.approx([8.0, 9.0])


def test_level_and_units_that_a_file_does_not_state(tmp_path, capsys):
    path = write_labels(tmp_path / "large_a.h5", ("CH4",))
    with h5py.File(path, "a") as content:
        level, units = content.attrs.pop("level"), content.attrs.pop("units")
    config = dataclasses.replace(PLAIN, tests=("large",), method=("AM1",))
    transferability_run(config, tmp_path, tmp_path / "out")
    assert "does not state its level of theory" in capsys.readouterr().err
    config = dataclasses.replace(config, level=level, units=units)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    assert metrics(tmp_path / "out", "large")["AM1", "force MAE"] < 1e-6


def test_units_are_for_the_tests_whose_files_need_them(tmp_path):
    """Extended XYZ, whose digits are eight, has its own, and was refused beside HDF5 of another."""
    path = write_labels(tmp_path / "extensibility_a.h5", ("CH4",))
    with h5py.File(path, "a") as content:
        units, level = content.attrs.pop("units"), content.attrs["level"]
        group = next(iter(content.values()))
        atoms = Atoms(group["species"][:], group["coordinates"][0], info={"level": level})
        energy, forces = group["energies"][0], group["forces"][0]
    atoms.calc = SinglePointCalculator(atoms, energy=energy * HARTREE, forces=forces * HARTREE)
    ase.io.write(tmp_path / "large_a.extxyz", [atoms], format="extxyz")
    tests = ("extensibility", "large")
    config = dataclasses.replace(PLAIN, tests=tests, method=("AM1",), units=units)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    for test in tests:
        assert metrics(tmp_path / "out", test)["AM1", "force MAE"] < 1e-5


def test_isolated_atoms_of_a_level_that_is_not_known(tmp_path, capsys):
    """Raw atomization energies move with what is given, by so much for every atom."""
    path = write_labels(tmp_path / "extensibility_a.h5", ("CH4",))
    with h5py.File(path, "a") as content:
        content.attrs["level"] = "HF/STO-3G"
    config = dataclasses.replace(PLAIN, tests=("extensibility",), method=("AM1",))
    transferability_run(config, tmp_path, tmp_path / "out")
    assert "--isolated H=-0.5" in capsys.readouterr().err
    energies = KNOWN["wB97X/6-31G*"]
    for shift in (0.0, 0.001):
        given = (f"C={energies['C']}", f"H={energies['H'] - shift}")
        own = dataclasses.replace(config, isolated=given)
        assert transferability_run(own, tmp_path, tmp_path / "out") == 0
        wrong = metrics(tmp_path / "out", "extensibility")
        error = wrong["AM1", "raw atomization MAE per heavy atom"]
        assert error == pytest.approx(4 * shift * HARTREE * EV_TO_KCAL, abs=1e-4)
    with pytest.raises(InputError, match="--isolated H: give it as in"):
        dataclasses.replace(config, isolated=("H",))


def test_single_atoms_of_a_file_are_not_broken(tmp_path):
    """They are there for their energy, as --isolated is."""
    path = write_labels(tmp_path / "extensibility_a.h5", ("CH4",))
    with h5py.File(path, "a") as content:
        content.attrs["level"] = "HF/STO-3G"
        for symbol in ("C", "H"):
            group = content.create_group(symbol)
            group["species"], group["coordinates"] = [symbol.encode()], np.zeros((1, 1, 3))
            group["energies"] = [KNOWN["wB97X/6-31G*"][symbol]]
            group["forces"] = np.zeros((1, 1, 3))
    config = dataclasses.replace(PLAIN, tests=("extensibility",), method=("AM1",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    assert not table(tmp_path / "out" / "skipped.csv")
    wrong = metrics(tmp_path / "out", "extensibility")
    assert wrong["AM1", "raw atomization MAE per heavy atom"] == pytest.approx(0, abs=1e-4)


def test_ions_are_computed_with_their_charge(tmp_path):
    """Labels of AM1, which has no error therefore."""
    ion = build("NH4", 1)
    (point,) = evaluate([ion], "AM1")
    atoms = Atoms(ion.numbers, ion.positions, info={"charge": 1, "level": "wB97X/6-31G*"})
    apart = sum(KNOWN["wB97X/6-31G*"][symbol] for symbol in atoms.symbols) * HARTREE
    energy = point.atomization_energy + apart
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=point.forces)
    ase.io.write(tmp_path / "extensibility_a.extxyz", atoms)
    config = dataclasses.replace(PLAIN, tests=("extensibility",), method=("AM1",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    wrong = metrics(tmp_path / "out", "extensibility")
    assert wrong["AM1", "raw atomization MAE per heavy atom"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["NH4+", "O2", "CH3", "H2O"])
def test_calculator_of_the_peer_knows_charge_and_spin(name):
    pytest.importorskip("tblite")
    atoms = molecule("CH4" if name == "NH4+" else name)
    atoms.info["multiplicity"] = {"O2": 3, "CH3": 2}.get(name, 1)
    if name == "NH4+":
        atoms.numbers[0], atoms.info["charge"] = 7, 1
    peer = GFN2()
    (found,) = peer.points([atoms])
    calc = peer.calculator()
    for structure in (molecule("H2O"), atoms):  # one calculator for molecules of any charge
        structure.calc = calc
        energy = structure.get_potential_energy()
    assert energy == pytest.approx(found.energy, abs=1e-4)
    assert atoms.get_forces() == pytest.approx(found.forces, abs=1e-3)


def test_states_that_do_not_exist_are_failures_of_the_peer():
    """tblite itself gives the energy of another spin."""
    pytest.importorskip("tblite")
    method = GFN2()
    for name, charge, multiplicity in (("H2O", 1, 1), ("OH", 0, 3), ("CH4", 0, 2)):
        atoms = molecule(name)
        atoms.set_initial_magnetic_moments(None)
        atoms.info |= {"charge": charge, "multiplicity": multiplicity}
        (point,) = method.points([atoms])
        assert f"multiplicity {multiplicity} is impossible" in point.failed
        atoms.calc = method.calculator()
        with pytest.raises(InputError, match="is impossible"):
            atoms.get_potential_energy()


def test_ionization_potential_of_the_peer():
    """From atomization energies; of water vertically 12.6 eV (NIST WebBook: 12.62 adiabatic)."""
    pytest.importorskip("tblite")
    water, ion = molecule("H2O"), molecule("H2O")
    ion.info |= {"charge": 1, "multiplicity": 2}
    neutral, charged = GFN2().points([water, ion])
    assert charged.atomization - neutral.atomization == pytest.approx(12.6, abs=1.5)
    assert charged.energy - neutral.energy > 15


def by_hand(path):
    """Means over molecules of PM3's errors, without the readers and the metrics of the test."""
    found = defaultdict(list)
    with h5py.File(path) as file:
        for group in file.values():
            frames = [Atoms(group["species"][:], x) for x in group["coordinates"][:]]
            points = evaluate(
                frames, "PM3", ("energy", "forces", "dipole", "mulliken_charges", "mo_energies")
            )
            forces = ase.units.Hartree * group["forces"][:]
            wrong = np.abs([p.forces for p in points] - forces)
            found["force MAE"].append(wrong.mean() / KCAL)
            labels = ase.units.Hartree * group["energies"][:]
            errors = np.array([p.energy for p in points]) - labels
            pairs = [abs(a - b) for a, b in combinations(errors, 2)]
            if pairs:
                found["energy difference MAE"].append(np.mean(pairs) / KCAL)
            for p, dipole, charges, homo, lumo in zip(
                points,
                *(group[key] for key in ("dipoles", "charges", "homo", "lumo")),
                strict=True,
            ):
                found[group.name, "dipole"].append(np.linalg.norm(p.dipole - dipole))
                found[group.name, "charge"].append(np.abs(p.mulliken_charges - charges).mean())
                gap = ase.units.Hartree * (lumo - homo)
                found[group.name, "gap"].append(abs(p.gap - gap))
            for key in ("dipole", "charge", "gap"):
                found[key].append(np.mean(found[group.name, key]))
    return {
        "force MAE": np.mean(found["force MAE"]),
        "energy difference MAE": np.mean(found["energy difference MAE"]),
        "dipole error": np.mean(found["dipole"]) / ase.units.Debye,
        "charge MAE": np.mean(found["charge"]),
        "gap MAE": np.mean(found["gap"]),
    }


@needs_shared
def test_drugs_of_the_validation_file(tmp_path):
    shutil.copyfile(SHARED / "dft_large_val.h5", tmp_path / "dft_large.h5")
    config = dataclasses.replace(PLAIN, tests=("large",), method=("PM3",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    found = metrics(tmp_path / "out", "large")
    expected = by_hand(SHARED / "dft_large_val.h5")
    for name, value in expected.items():
        assert found["PM3", name] == pytest.approx(value, rel=1e-5)
    assert found["PM3", "gap correlation"] > 0.8
    assert "nicotine" in {row["molecule"] for row in table(tmp_path / "out" / "large.csv")}


def gfn2_by_hand(path):
    """Errors of GFN2-xTB by its own calculator, a molecule each."""
    tblite = pytest.importorskip("tblite.ase").TBLite
    isolated = {}
    for symbol, multiplicity in (("H", 2), ("C", 3), ("O", 3)):
        atom = Atoms(symbol)
        atom.calc = tblite(method="GFN2-xTB", multiplicity=multiplicity, verbosity=0)
        isolated[symbol] = atom.get_potential_energy()
    forces, offsets, counts = [], [], []
    with h5py.File(path) as file:
        for group in file.values():
            wrong, shift = [], []
            for x, energy, label in zip(
                *(group[key][:] for key in ("coordinates", "energies", "forces")), strict=True
            ):
                atoms = Atoms(group["species"][:], x)
                atoms.calc = tblite(method="GFN2-xTB", verbosity=0)
                wrong.append(np.abs(atoms.get_forces() - ase.units.Hartree * label).mean())
                own = atoms.get_potential_energy() - sum(isolated[s] for s in atoms.symbols)
                known = energy - sum(KNOWN["wB97X/6-31G*"][s] for s in atoms.symbols)
                shift.append(own - ase.units.Hartree * known)
            forces.append(np.mean(wrong))
            offsets.append(np.mean(shift))
            counts.append([atoms.symbols.count(s) for s in "HCO"])
    counts, offsets = np.array(counts), np.array(offsets)
    rest = offsets - counts @ np.linalg.lstsq(counts, offsets)[0]
    heavy = counts[:, 1:].sum(1)
    return {
        "force MAE": np.mean(forces) / KCAL,
        "raw atomization MAE per heavy atom": np.mean(np.abs(offsets) / heavy) / KCAL,
        "atomization MAE per heavy atom": np.mean(np.abs(rest) / heavy) / KCAL,
    }


def test_peer(tmp_path):
    pytest.importorskip("tblite")
    write_labels(tmp_path / "dft_large.h5", ("CH4", "H2O", "C2H6", "CH3OH", "C3H8"))
    config = dataclasses.replace(PLAIN, tests=("extensibility",), method=("AM1",), peer=("gfn2",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    found = metrics(tmp_path / "out", "extensibility")
    for name, value in gfn2_by_hand(tmp_path / "dft_large.h5").items():
        assert found["GFN2-xTB", name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
        assert found["AM1", name] == pytest.approx(0.0, abs=1e-4), "the labels are its own"


@pytest.mark.parametrize("name", ["H2O", "CH3CONH2"])
def test_peer_is_what_its_own_calculator_gives(name):
    """Energies, forces, dipoles and charges by ASE's; atoms as its radicals; the gap in Hartree."""
    tblite = pytest.importorskip("tblite.ase").TBLite
    interface = pytest.importorskip("tblite.interface")
    atoms = molecule(name)
    (found,) = GFN2().points([atoms])
    atoms.calc = tblite(method="GFN2-xTB", verbosity=0)
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert found.forces == pytest.approx(atoms.get_forces(), abs=1e-3)
    assert found.dipole == pytest.approx(atoms.get_dipole_moment(), abs=1e-4)
    assert found.charges == pytest.approx(atoms.get_charges(), abs=1e-4)

    isolated = {}
    for symbol, multiplicity in (("H", 2), ("C", 3), ("N", 4), ("O", 3)):
        atom = Atoms(symbol)
        atom.calc = tblite(method="GFN2-xTB", multiplicity=multiplicity, verbosity=0)
        isolated[symbol] = atom.get_potential_energy()
    expected = found.energy - sum(isolated[symbol] for symbol in atoms.symbols)
    assert found.atomization == pytest.approx(expected, abs=1e-3)

    single = interface.Calculator("GFN2-xTB", atoms.numbers, atoms.positions / ase.units.Bohr)
    single.set("verbosity", 0)
    result = single.singlepoint()
    filled = int(result.get("orbital-occupations").sum().round()) // 2
    homo, lumo = result.get("orbital-energies")[filled - 1 : filled + 1]
    assert found.gap == pytest.approx(ase.units.Hartree * (lumo - homo), abs=1e-3)
