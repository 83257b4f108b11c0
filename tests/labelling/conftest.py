"""What the tests of labels share."""

import pytest

from ase_mlseqm.cli import app as cli
from ase_mlseqm.labelling import label
from ase_mlseqm.labelling import run as label_run


@pytest.fixture
def mlseqm(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def computed(monkeypatch):
    """Formulas of the molecules that the command computes, as they are computed."""
    found = []

    def count(atoms, settings):
        found.append(str(atoms.symbols))
        return label(atoms, settings)

    monkeypatch.setattr(label_run, "label", count)
    return found
