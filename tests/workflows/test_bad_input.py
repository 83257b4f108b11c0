"""What no workflow can do anything with: one clear sentence, no files, exit code 2 or 1."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.io import write

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows.md import MDConfig, dynamics
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.phonons import PhononsConfig, phonons
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.thermochemistry import ThermoConfig, thermochemistry
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

COMMANDS = ("relax", "vib", "thermo", "ts", "md", "phonons", "neb")


def pm3():
    return MLSEQM(method="PM3")


def torn():
    """Water, of which one atom is nowhere."""
    atoms = molecule("H2O")
    atoms.positions[1, 2] = np.nan
    return atoms


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Run a command with PM3 in an empty folder, and return what it complains of."""
    monkeypatch.chdir(tmp_path)
    write("water.xyz", molecule("H2O"))
    Path("empty.xyz").touch()

    def run(code, *line):
        assert cli.main([*line, "--method", "PM3", "--out", "o"]) == code
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said

    return run


@pytest.mark.parametrize("files", [("empty.xyz",), ("empty.xyz", "water.xyz")])
@pytest.mark.parametrize("command", COMMANDS)
def test_empty_files(refuse, command, files):
    if command == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    if command == "neb":
        said = refuse(2, command, *(files * 2)[:2])
    else:
        said = refuse(2, command, *files, *(["--steps", "1"] if command == "md" else []))
    assert "mlseqm: empty.xyz: cannot be read (it is empty)" in said


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("md", "neb")])
def test_no_steps(refuse, command):
    """The result of the start, flagged as not converged."""
    if command == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    options = ["--refiner", "dimer"] if command == "ts" else []
    options += ["--symmetry-number", "2"] if command == "thermo" else []
    said = refuse(1, command, "water.xyz", "--max-steps", "0", *options)
    assert "in 0 steps: largest force 1.38 eV/Angstrom" in said


def test_no_steps_of_dynamics(refuse):
    assert refuse(2, "md", "water.xyz", "--steps", "0") == "mlseqm: steps is 0: give 1 or more\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_fewer_steps_than_none(refuse, command):
    option = "--steps" if command == "md" else "--max-steps"
    files = ["water.xyz"] * (1 + (command == "neb"))
    assert "steps is -1" in refuse(2, command, *files, option, "-1")


PYTHON = {
    "relax": relax,
    "vibrations": vibrations,
    "thermochemistry": thermochemistry,
    "phonons": phonons,
    "dynamics": dynamics,
    "ts": lambda one, calc: ts(one, calc, TSConfig(refiner="dimer")),
    "neb": lambda one, calc: neb(one, one, calc),
}


@pytest.mark.parametrize("make", [EMT, pm3])
@pytest.mark.parametrize("name", PYTHON)
def test_structures_that_are_none(name, make):
    """The same sentence whatever the calculator is; in a list it has its place."""
    if name == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    cases = {"no atoms": Atoms(), "not (a )?finite number": torn(), "is no structure": "H2O"}
    for words, bad in cases.items():
        with pytest.raises(InputError, match=words):
            PYTHON[name](bad, make())
        (found,) = PYTHON[name]([bad], make())
        assert isinstance(found, InputError) and re.search(words, str(found))


def test_replicas_that_are_no_structures():
    for words, bad in {"no atoms": Atoms(), "atom 1 is not a finite number": torn()}.items():
        with pytest.raises(InputError, match=words):
            replicas([molecule("H2O"), bad], pm3())


def test_a_bad_one_harms_no_other(tmp_path):
    """In a relaxation that keeps a checkpoint, for which all structures are looked at first."""
    unclear = Atoms("H", charges=[0.3])
    starts = [torn(), molecule("H2O"), "text", unclear, molecule("HCN")]
    found = relax(starts, pm3(), checkpoint=tmp_path / "c.extxyz")
    assert [isinstance(one, Exception) for one in found] == [True, False, True, True, False]
    assert found[1].converged and found[4].converged
    assert len(found[4].atoms) == 3 and "whole number" in str(found[3])


@pytest.mark.parametrize("command", ["relax", "vib", "thermo", "phonons", "md"])
def test_a_torn_frame_harms_no_other(refuse, command):
    if command == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    write("many.xyz", [torn(), molecule("H2O")])
    options = {"md": ["--steps", "2"], "thermo": ["--symmetry-number", "2"]}
    said = refuse(2, command, "many.xyz", *options.get(command, []))
    assert "many.xyz@0: the position of atom 1 is not a finite number" in said
    assert "many.xyz@1: the pos" not in said and len(list(Path("o").glob("many*"))) > 1


@pytest.mark.slow
def test_ends_that_fall_apart_or_clash(refuse):
    """Atoms on top of each other, and one that relaxes back to where it came from."""
    near = molecule("HCN")
    write("near.xyz", near)
    for name, place in (("clash", near.positions[0] + 0.01), ("far", near.positions[2] * 12)):
        atoms = near.copy()
        atoms.positions[2] = place
        write(f"{name}.xyz", atoms)
    said = refuse(2, "neb", "near.xyz", "clash.xyz")
    assert "are 0.017 Angstrom apart: remove the duplicate" in said
    said = refuse(2, "neb", "near.xyz", "far.xyz")
    assert "the same structure once they are relaxed" in said


def test_unbound_path():
    """The product is two radicals far apart: whatever comes of it, it is not called a path."""
    near = molecule("HCN")
    far = near.copy()
    far.positions[2] *= 12
    settings = NEBConfig(images=5, max_steps=2, relax_ends=False)
    result = neb(near, far, MLSEQM(method="PM3"), settings)
    assert not result.converged
    assert result.apart[-1] == 4 and 0 not in result.apart
    assert "the molecule falls apart at image" in result.message
    assert f"parts are {far.get_distance(0, 2):.1f} Angstrom from the others" in result.message
    assert np.isfinite(result.energies).all() and result.reaction_energy > 3.0


class Repulsion(Calculator):
    """Atoms that only repel each other, by 1 / r."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, *args):
        super().calculate(*args)
        between = self.atoms.positions[:, None] - self.atoms.positions
        distances = np.linalg.norm(between, axis=-1) + np.diag(np.full(len(self.atoms), np.inf))
        forces = (between / distances[..., None] ** 3).sum(1)
        self.results = {"energy": 0.5 * (1 / distances).sum(), "forces": forces}


def test_path_that_flies_apart():
    """Both ends are as small as they were, only what lies between has no bonds."""
    start = Atoms("H4", [(0, 0, 0), (0.8, 0, 0), (0, 0.9, 0), (0, 0, 1.0)])
    end = Atoms("H4", [(0, 0, 0), (0, 0.8, 0), (0.9, 0, 0), (0.7, 0.7, 0.7)])
    settings = NEBConfig(images=3, relax_ends=False, max_step_length=1.0, climb=False, max_steps=60)
    few = neb(start, end, Repulsion(), dataclasses.replace(settings, max_steps=1))
    assert few.apart == [] and "apart" not in few.message
    result = neb(start, end, Repulsion(), settings)
    assert "the molecule falls apart at image 1, where parts are" in result.message
    assert result.to_dict()["apart"] == [1]


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        (RelaxConfig, {"fmax": "0.1"}, "fmax is '0.1': give a number"),
        (RelaxConfig, {"fmax": [0.1, 0.2]}, "give a number"),
        (RelaxConfig, {"max_steps": "3"}, "max_steps is '3': give a whole number"),
        (RelaxConfig, {"optimizer": None}, "optimizer is None: give text"),
        (ThermoConfig, {"temperatures": 298.15}, "temperatures: give one or more"),
        (ThermoConfig, {"temperatures": "298"}, "temperatures: give one or more"),
        (ThermoConfig, {"temperatures": np.zeros(2)}, "temperatures: give one or more"),
    ],
)
def test_settings_that_are_no_numbers(settings, given, words):
    with pytest.raises(InputError, match=words):
        settings(**given)


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        (MDConfig, {"steps": np.nan}, "steps is nan: give a whole number"),  # was without end
        (MDConfig, {"steps": 2.5}, "steps is 2.5: give a whole number"),
        (MDConfig, {"interval": "4"}, "interval is '4': give a whole number"),
        (MDConfig, {"seed": None}, "seed is None: give a whole number"),
        (RelaxConfig, {"max_steps": 1.5}, "max_steps is 1.5: give a whole number"),
        (NEBConfig, {"images": 7.5}, "images is 7.5: give a whole number"),
        (NEBConfig, {"max_steps": True}, "max_steps is True: give a whole number"),
        (VibrationsConfig, {"follow": 0.5}, "follow is 0.5: give a whole number"),
        (ThermoConfig, {"symmetry_number": 1.5}, "symmetry_number is 1.5: give a whole number"),
        (PhononsConfig, {"max_steps": 0.1}, "max_steps is 0.1: give a whole number"),
        (TSConfig, {"irc_steps": "many"}, "irc_steps is 'many': give a whole number"),
        (TSConfig, {"symmetry_numbers": 2}, "symmetry_numbers are 2: give three"),
        (TSConfig, {"symmetry_numbers": (1, 1.5, 2)}, "symmetry_numbers are 1, 1.5, 2: give three"),
        (TSConfig, {"symmetry_numbers": (1, 2)}, "symmetry_numbers are 1, 2: give three"),
    ],
)
def test_counts_that_are_not_whole(settings, given, words):
    with pytest.raises(InputError, match=words):
        settings(**given)


def test_counts_as_they_come_from_arithmetic():
    config = MDConfig(steps=1e4, interval=np.float64(2.0), seed=np.int64(3))
    counts = (config.steps, config.interval, config.seed)
    assert counts == (10000, 2, 3) and {type(count) for count in counts} == {int}
    assert TSConfig(symmetry_numbers=np.array([1, 1, 2])).symmetry_numbers == (1, 1, 2)


def test_temperatures_of_an_array():
    assert ThermoConfig(temperatures=np.array([200.0, 300.0])).temperatures == (200.0, 300.0)


@pytest.mark.parametrize("work", [relax, vibrations, thermochemistry, dynamics, ts, neb])
@pytest.mark.parametrize(
    ("calc", "words"), [(MLSEQM, "MLSEQM is no"), ("PM3", "'PM3' is no"), (None, "None is no")]
)
def test_what_is_no_calculator(work, calc, words):
    water, lists = molecule("H2O"), ([molecule("H2O")], [molecule("H2O")])
    pairs = [(water, water), lists] if work is neb else [(water,), lists[:1]]
    for systems in pairs:
        with pytest.raises(InputError, match=f"{words} calculator: give one"):
            work(*systems, calc)
