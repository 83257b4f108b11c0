"""A command line to test, in an empty folder."""

import pytest

from ase_mlseqm.cli import app as cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mlseqm(capsys):
    """Run a command line, with PM3 unless it says otherwise; exit code, stdout and stderr."""

    def run(*arguments):
        line = [str(argument) for argument in arguments]
        if line and line[0] in ("sp", "relax") and not {"--method", "--model"} & set(line):
            line += ["--method", "PM3"]
        capsys.readouterr()
        code = cli.main(line)
        out, err = capsys.readouterr()
        return code, out, err

    return run
