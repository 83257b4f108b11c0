"""Commands made from dataclasses."""

import dataclasses

import pytest
import typer

from ase_mlseqm.cli import app as cli
from ase_mlseqm.cli.command import CONFIG, add_command, gather, options_of, workflow_command
from ase_mlseqm.configfile import from_dict
from ase_mlseqm.summary import ARGUMENTS


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a test."""

    length: float = 0.5
    """Length, Angstrom."""
    count: int = 3
    """Number of things."""
    wild: bool = False
    """Whether it is wild."""
    grid: tuple[float, ...] = (1.0, 2.0)
    """Grid, K."""
    label: str | None = None
    """Name."""


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The command line with one more command, and what it was called with."""
    calls = []

    def make(run, files, settings):
        """Make things."""
        calls.append((run, files, settings))
        return 7

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("other")(lambda: None)
    workflow_command(app, make, Settings)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.chdir(tmp_path)
    return calls


def test_defaults(made):
    assert cli.main(["make", "a.xyz", "b.xyz@0", "--method", "PM3"]) == 7
    ((run, files, settings),) = made
    assert files == ["a.xyz", "b.xyz@0"]
    assert settings == Settings()
    assert run.options.method == "PM3"
    assert run.summary.settings["length"] == 0.5
    assert run.summary.command == ["mlseqm", *ARGUMENTS]


def test_command_line_wins_over_the_file(made, tmp_path):
    (tmp_path / "s.yaml").write_text("length: 2\ncount: 9\nmethod: am1\ngrid: [3, 4]\n")
    line = ["make", "a.xyz", "--config", "s.yaml", "--count", "4", "--wild", "--charge", "-1"]
    assert cli.main(line) == 7
    ((run, _, settings),) = made
    assert settings == Settings(length=2.0, count=4, wild=True, grid=(3.0, 4.0))
    assert (run.options.method, run.options.charge) == ("AM1", -1)


@pytest.mark.parametrize("text", ["10000", "1e4", "1.0e+4", "10000.0"])
def test_counts_as_from_python(made, tmp_path, text):
    """YAML reads some of these as text or as numbers with a fraction."""
    (tmp_path / "s.yaml").write_text(f"count: {text}\n")
    assert cli.main(["make", "a.xyz", "--config", "s.yaml"]) == 7
    ((_, _, settings),) = made
    assert settings.count == 10_000 and isinstance(settings.count, int)


def test_lists(made):
    assert cli.main(["make", "a.xyz", "--grid", "1,2.5, 4", "--field", "0", "0", "0.1"]) == 7
    ((run, _, settings),) = made
    assert settings.grid == (1.0, 2.5, 4.0)
    assert run.options.field == (0.0, 0.0, 0.1)
    assert run.summary.model["name"] == "hipnn-pm3"
    assert len(run.summary.model["sha256"]) == 64


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lenght: 2", "s.yaml: unknown keyword 'lenght': did you mean 'length'?"),
        ("count: many", "s.yaml: count is 'many': give a whole number"),
        ("count: 2.5", "s.yaml: count is 2.5: give a whole number"),
        ("count: .inf", "s.yaml: count is inf: give a whole number"),
        ("count: yes", "s.yaml: count is True: give a whole number"),
        ("wild: 1", "s.yaml: wild is 1: give true or false"),
        ("- 1", "s.yaml holds no settings"),
        ("a: [", "s.yaml is not valid YAML"),
        ("length: 1\ncount: 2\nlength: 3", "s.yaml is not valid YAML: 'length' stands in it twice"),
        ("1: 2", "s.yaml: unknown keyword 1"),
        ("on: true", "s.yaml: unknown keyword True"),
        ("length: 1" + 400 * "0", "0: give a number"),
    ],
)
def test_bad_files(made, tmp_path, capsys, text, sentence):
    (tmp_path / "s.yaml").write_text(text)
    assert cli.main(["make", "a.xyz", "--config", "s.yaml"]) == 2
    assert sentence in capsys.readouterr().err
    assert made == []


def test_bad_list(made, capsys):
    assert cli.main(["make", "a.xyz", "--grid", "1,x"]) == 2
    assert "--grid 1,x: give a list of numbers" in capsys.readouterr().err


def test_help(made, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    assert cli.main(["make", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for expected in ("Length, Angstrom. Default: 0.5.", "--no-wild", "Default: 1.0,2.0.", "--out"):
        assert expected in text


@dataclasses.dataclass(frozen=True)
class Lists:
    """Settings with lists."""

    things: tuple[str, ...] = ()
    """Things to make."""
    grid: tuple[float, ...] = (1.0, 2.0)
    """Grid, K."""
    secret: int = 0
    """Not on the command line."""


@pytest.fixture
def listed(monkeypatch, tmp_path):
    """The settings that a command with an option that may be repeated was called with."""
    calls = []

    def run(config, **given):
        calls.append(from_dict(Lists, *gather(given, config, "make")))
        return 0

    kinds = {"config": CONFIG, **options_of(Lists, repeated=("things",), skip=("secret",))}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("other")(lambda: None)
    add_command(app, "make", run, "Make things.", kinds, {})
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.chdir(tmp_path)
    return calls


def test_options_that_are_repeated(listed, tmp_path):
    (tmp_path / "s.yaml").write_text("things: [c]\ngrid: [3]\nsecret: 1\n")
    assert cli.main(["make"]) == 0
    assert cli.main(["make", "--config", "s.yaml"]) == 0
    assert cli.main(["make", "--things", "a", "--things", "b, c", "--config", "s.yaml"]) == 0
    assert listed == [Lists(), Lists(("c",), (3.0,), 1), Lists(("a", "b, c"), (3.0,), 1)]


def test_help_of_options_that_are_repeated(listed, capsys):
    assert cli.main(["make", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--things NAME Things to make. May be given several times." in text
    assert "--grid A,B,... Grid, K. Default: 1.0,2.0." in text
    assert "secret" not in text
