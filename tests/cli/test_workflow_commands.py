"""The commands of the workflows are alike: help, settings from YAML, model, what is written."""

import dataclasses
import json
import re
import typing

import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from ase_mlseqm.cli.md import MDOptions
from ase_mlseqm.cli.phonons import PhononsOptions
from ase_mlseqm.cli.points import RelaxOptions
from ase_mlseqm.cli.reactions import NEBOptions
from ase_mlseqm.cli.vibrations import ThermoOptions, VibOptions
from ase_mlseqm.models import model_file
from ase_mlseqm.options import CalculatorOptions, field_docs
from ase_mlseqm.workflows.md_config import MDConfig
from ase_mlseqm.workflows.neb_config import NEBConfig
from ase_mlseqm.workflows.phonons_config import PhononsConfig
from ase_mlseqm.workflows.relax import RelaxConfig
from ase_mlseqm.workflows.thermochemistry import ThermoConfig
from ase_mlseqm.workflows.ts_config import TSConfig
from ase_mlseqm.workflows.vibrations_config import VibrationsConfig

OPTIONS = {
    "relax": RelaxOptions,
    "vib": VibOptions,
    "thermo": ThermoOptions,
    "neb": NEBOptions,
    "ts": TSConfig,
    "md": MDOptions,
    "phonons": PhononsOptions,
}
IN_PYTHON = (
    *(RelaxConfig, VibrationsConfig, ThermoConfig, NEBConfig, TSConfig, MDConfig),
    *(PhononsConfig, CalculatorOptions),
)
UNIT = re.compile(
    r", (eV|eV/Angstrom(\^2)?|V/Angstrom|Angstrom( u\^\(1/2\))?|K|Pa|fs|ps|1/ps|cm-1|1/cm|nm|bytes"
    r"|dimensionless)[.;:, ]"
)
"""How a doc names the unit of a number."""
SHORT = {
    "relax": {"max_steps": 1},
    "vib": {"max_steps": 1, "width": 15.0},
    "thermo": {"max_steps": 1, "symmetry_number": 2},
    "neb": {"max_steps": 1, "images": 3},
    "ts": {"max_steps": 1, "refiner": "dimer", "irc": False},
    "md": {"steps": 2, "temperature": 250.0},
    "phonons": {"max_steps": 1},
}
"""Settings with which water, or the path from HCN to HNC, takes few steps."""


def files(command):
    """Input of a command."""
    if command != "neb":
        write("a.xyz", molecule("H2O"))
        return ["a.xyz"]
    write("a.xyz", Atoms("HCN", [(0, 0, -1.06), (0, 0, 0), (0, 0, 1.16)]))
    write("b.xyz", Atoms("HCN", [(0, 0, 2.14), (0, 0, 0), (0, 0, 1.16)]))
    return ["a.xyz", "b.xyz"]


@pytest.mark.parametrize("options", dict.fromkeys((*OPTIONS.values(), *IN_PYTHON)))
def test_every_setting_has_a_sentence(options):
    docs = field_docs(options)
    for field in dataclasses.fields(options):
        assert docs.get(field.name, "").endswith("."), field.name


def test_units_are_told_from_words():
    assert UNIT.search("Time step, fs.") and UNIT.search("Largest force, eV/Angstrom; as before.")
    assert not UNIT.search("Kind of Part.") and not UNIT.search("Stop above this multiple.")


@pytest.mark.parametrize("options", dict.fromkeys((*OPTIONS.values(), *IN_PYTHON)))
def test_settings_are_frozen_and_numbers_have_units(options):
    with pytest.raises(dataclasses.FrozenInstanceError):
        options().device = "cuda"
    docs, types = field_docs(options), typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if "float" in str(types[field.name]):
            assert UNIT.search(docs[field.name]), field.name


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_setting(mlseqm, command, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "1000")
    monkeypatch.setenv("COLUMNS", "1000")
    code, out, err = mlseqm(command, "--help")
    text = " ".join(out.split())
    assert (code, err) == (0, "")
    for name, doc in field_docs(OPTIONS[command]).items():
        assert f"--{name.replace('_', '-')}" in text and doc in text, name
    for flag in ("--model", "--device", "--config", "--out", "--json"):
        assert f" {flag} " in text


@pytest.mark.parametrize("command", OPTIONS)
def test_settings_from_yaml_and_what_is_written(mlseqm, folder, command):
    """Every JSON file names the model and the versions it was made with."""
    if command == "phonons":
        pytest.importorskip("phonopy", minversion="4")
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in SHORT[command].items())
    (folder / "s.yaml").write_text(text)
    line = [*files(command), "--config", "s.yaml", "--model", "hipnn-pm3", "--device", "cpu"]
    code, _, _ = mlseqm(command, *line, "--out", "o")
    assert code in (0, 1)  # few steps are not enough
    written = [path for path in (folder / "o").glob("*.json") if "checkpoint" not in path.name]
    assert folder / "o" / f"mlseqm_{command}.json" in written
    for path in written:
        stored = json.loads(path.read_text())
        assert stored["model"] == {"name": "hipnn-pm3", "sha256": model_file("hipnn-pm3").sha256}
        assert set(stored["versions"]) >= {"python", "torch", "ase", "ase-mlseqm"}, path.name
    summary = json.loads((folder / "o" / f"mlseqm_{command}.json").read_text())
    settings = summary["settings"]
    assert {name: settings[name] for name in SHORT[command]} == SHORT[command]
    assert (settings["model"], settings["device"]) == ("hipnn-pm3", "cpu")


@pytest.mark.parametrize("command", OPTIONS)
def test_unknown_settings_are_refused(mlseqm, folder, command):
    (folder / "s.yaml").write_text("max_step: 3\n")
    code, out, err = mlseqm(command, *files(command), "--config", "s.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("mlseqm: s.yaml: unknown keyword 'max_step'") and err.count("\n") == 1


def test_paths_take_the_settings_of_their_transition_states(mlseqm, folder):
    """Of mlseqm neb --ts, by the names that mlseqm ts has for them."""
    given = {"irc": False, "temperature": 400.0, "pressure": 2e5, "symmetry_numbers": (2, 1, 1)}
    options = NEBOptions(ts=True, refiner="Dimer", **given)
    expected = TSConfig(refiner="dimer", **given)
    assert options.saddles() == expected
    assert NEBOptions().saddles() == TSConfig()
    for option, value, sentence in (
        ("--refiner", "newton", "unknown refiner 'newton'"),
        ("--temperature", "-1", "temperature is -1"),
        ("--symmetry-numbers", "1,2", "give three"),
    ):
        code, _, err = mlseqm("neb", *files("neb"), "--ts", option, value)
        assert code == 2 and sentence in err
    code, _, err = mlseqm("ts", *files("neb"), "--symmetry-numbers", "1,1,1")
    assert code == 2 and "those of one transition state, and there are 2" in err
