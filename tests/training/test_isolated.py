"""Isolated atoms, from which atomization energies count: known, given, or in the files."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from labelled import LEVEL, UNITS, error, frames, group, standard, write_h5

from ase_mlseqm.errors import InputError
from ase_mlseqm.labelling import LabelSettings, label
from ase_mlseqm.training.isolated import KNOWN, known_level
from ase_mlseqm.training.readers import FOREIGN, read
from ase_mlseqm.units import HARTREE


def test_isolated_atoms(tmp_path):
    path = write_h5(tmp_path / "n.h5", {"m": group("H2O")}, level="B3LYP", units=UNITS)
    assert "isolated atom H" in error(path) and "--isolated H=-0.5" in error(path)
    assert "isolated atom O" in error(path, isolated={"H": -0.5})
    data = read(path, isolated={"H": -0.5, "O": -75.0})
    np.testing.assert_allclose(data.atomization, data.energies + 76.0 * HARTREE)
    assert "give a symbol" in error(path, isolated={"Xq": -0.5})
    assert "give a symbol" in error(path, isolated={"H": float("nan")})


def test_energies_of_the_known_level():
    """Those that the training data are published with, and of F, S and Cl ANI-2x, to the last
    digit."""
    published = {"H": -0.4993212, "C": -37.8338337, "N": -54.5732858, "O": -75.0424652}
    published |= {"F": -99.6949007, "S": -398.0814169, "Cl": -460.1167006}
    assert {"wB97X/6-31G*": published} == KNOWN


@pytest.mark.parametrize("symbol", ["F", "S", "Cl"])
def test_energies_of_the_known_level_are_those_of_labels(symbol):
    """To what density fitting changes, 0.03 kcal/mol."""
    pytest.importorskip("pyscf")
    found = label(Atoms(symbol), LabelSettings())
    assert found.energy == pytest.approx(KNOWN[LEVEL][symbol] * HARTREE, abs=1.5e-3)


def test_given_isolated_atoms_come_first(tmp_path):
    data = read(standard(tmp_path), isolated={"O": -75.0})
    change = (KNOWN[LEVEL]["O"] + 75.0) * HARTREE
    reference = read(standard(tmp_path))
    np.testing.assert_allclose(data.atomization, reference.atomization + change)


def test_frames_of_single_atoms_are_references(tmp_path):
    water = group("H2O")
    atoms = []
    for symbol, energy in (("H", -13.0), ("H", -13.5), ("O", -2040.0)):
        atoms.append(Atoms(symbol))
        atoms[-1].calc = SinglePointCalculator(atoms[-1], energy=energy, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "a.xyz", [*frames(water), *atoms], format="extxyz")
    data = read(tmp_path / "a.xyz", level="B3LYP")
    assert len(data) == 4 and [s.record for s in data.skipped] == ["frame 4", "frame 5", "frame 6"]
    assert "single atom" in data.skipped[0].reason
    np.testing.assert_allclose(data.atomization, water.energies + 2 * 13.5 + 2040, atol=1e-6)


def test_the_table_of_known_levels_comes_before_frames_of_single_atoms(tmp_path):
    """Which may be of another state, as here, 2 eV above."""
    water, oxygen = frames(group("H2O")), Atoms("O")
    energy = KNOWN[LEVEL]["O"] * HARTREE + 2.0
    oxygen.calc = SinglePointCalculator(oxygen, energy=energy, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "a.xyz", [*water, oxygen], format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL)
    isolated = HARTREE * sum(KNOWN[LEVEL][s] for s in "OHH")
    np.testing.assert_allclose(data.atomization, data.energies - isolated, atol=1e-9)


@pytest.mark.parametrize(
    ("level", "known"),
    [
        ("wB97X/6-31G*", True),
        ("a model of WB97X/6-31G* (PySCF)", True),
        ("wB97X / 6-31G*", True),
        ("wB97X/6-31G(d)", True),
        ("wB97X/6-31G(d,p)", False),
        ("wB97X/6-31G(d)+", False),
        ("wB97X/6-31G**", False),
        ("wB97X/6-31G*+", False),
        ("wB97X/6-31G", False),
        ("wB97X-D3/6-31G*", False),
        ("B3LYP/6-31G*", False),
        ("wB97X/6-31G* (PySCF, spherical d functions, grid level 3)", False),
        ("CCSD(T)/CBS//wB97X/6-31G*", False),
        ("CCSD(T) at wB97X/6-31G* geometries", False),
        ("CCSD(T) at geometries of wB97X/6-31G*", False),
        ("CCSD(T) at wB97X/6-31G* structures", False),
        ("CCSD(T), optimised with wB97X/6-31G*", False),
    ],
)
def test_known_level(level, known):
    assert bool(known_level(level)) == known


def test_elements_that_are_not_wanted_need_no_isolated_atom(tmp_path):
    atoms = frames(group("H2O"))
    foreign = molecule("PH3")
    foreign.calc = SinglePointCalculator(foreign, energy=-300.0, forces=np.zeros((4, 3)))
    ase.io.write(tmp_path / "a.xyz", [*atoms, foreign], format="extxyz")
    with pytest.raises(InputError, match=r"isolated atom P at .* add a frame of the atom alone"):
        read(tmp_path / "a.xyz", level=LEVEL)
    data = read(tmp_path / "a.xyz", level=LEVEL, elements=(1, 6, 7, 8))
    assert len(data) == len(atoms)
    assert [s.reason for s in data.skipped] == [f"{FOREIGN} P"]
    ase.io.write(tmp_path / "b.xyz", foreign, format="extxyz")
    with pytest.raises(InputError, match="an element that the model does not have: P"):
        read(tmp_path / "b.xyz", level=LEVEL, elements=(1, 6, 7, 8))


def test_isolated_atoms_are_those_of_the_level(tmp_path):
    """What is given for one file changes nothing of another, whose level is known."""
    known = read(standard(tmp_path))
    ase.io.write(tmp_path / "pbe.xyz", frames(group("H2O")), format="extxyz")
    paths = [standard(tmp_path), tmp_path / "pbe.xyz"]
    text = (tmp_path / "pbe.xyz").read_text().replace("pbc=", "level=PBE pbc=")
    (tmp_path / "pbe.xyz").write_text(text)
    both = read(paths, isolated={"O": -75.0, "H": -0.5, "C": -37.0})
    np.testing.assert_allclose(both.atomization[: len(known)], known.atomization, atol=1e-9)
    stated = read(tmp_path / "pbe.xyz", level="another", isolated={"O": -75.0, "H": -0.5})
    np.testing.assert_allclose(both.atomization[len(known) :], stated.atomization, atol=1e-9)
