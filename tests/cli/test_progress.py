"""Progress bars: on a terminal what is being done, and where nobody watches nothing."""

import functools
import io
import re
import sys

import pytest
from ase.build import molecule
from ase.io import write
from rich.progress import Progress

from ase_mlseqm.cli import app as cli

PM3 = ["--method", "PM3", "--out", "o"]
COMMANDS = {
    "sp": (["sp", "a.xyz", *PM3], "single points", ""),
    "relax": (["relax", "a.xyz", *PM3], "relaxations", "a.xyz"),
    "vib": (["vib", "a.xyz", *PM3], "vibrations", "a.xyz step 1: "),
    "thermo": (["thermo", "a.xyz", *PM3], "thermochemistry", "a.xyz"),
    "phonons": (["phonons", "a.xyz", *PM3], "phonons", "a.xyz"),
    "neb": (["neb", "a.xyz", "b.xyz", "--images", "5", *PM3], "paths", "step 1: barrier "),
    "ts": (["ts", "c.xyz", "--no-irc", *PM3], "transition states", "c.xyz: refinement with "),
    "md": (["md", "a.xyz", "--steps", "50", *PM3], "dynamics", " K"),
}


class Terminal(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self):
        return True


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Ammonia, its mirror image, and nearly the flat one between them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    atoms = molecule("NH3")
    write("a.xyz", atoms)
    atoms.positions[:, 2] *= -1
    write("b.xyz", atoms)
    atoms.positions[0, 2] = atoms.positions[1, 2] + 0.05
    write("c.xyz", atoms)


@pytest.mark.parametrize("name", COMMANDS)
def test_terminal_shows_what_is_done(name, files, monkeypatch):
    line, label, text = COMMANDS[name]
    screen, update = Terminal(), Progress.update
    monkeypatch.setattr(sys, "stderr", screen)
    # ten times a second is too rarely for what lasts no longer
    monkeypatch.setattr(Progress, "update", functools.partialmethod(update, refresh=True))
    assert cli.main(line) == 0
    shown = screen.getvalue()
    assert f"{label} " in shown
    assert text in shown
    assert re.search(r"[m ]0/\d", shown)
    assert re.search(r"[m ]([1-9]\d*)/\1\b", shown)  # all of all


def test_nothing_in_a_file(files, capsys):
    assert cli.main(COMMANDS["relax"][0]) == 0
    assert capsys.readouterr().err == ""
