"""`mlseqm transferability --log`: a row for every method, test and data file."""

import csv
import dataclasses
import hashlib

import pytest
from ase import Atoms
from ase.io import write
from transfer import PLAIN, metrics, write_labels

from ase_mlseqm.cli import app as cli
from ase_mlseqm.evaluation_log import COLUMNS
from ase_mlseqm.runs.transferability import transferability_run


@pytest.fixture
def mlseqm(tmp_path):
    """The command on two files; gives the exit code."""
    data = tmp_path / "data"
    data.mkdir()
    write_labels(data / "large_1.h5", ("CH4", "H2O"))
    write_labels(data / "large_2.h5", ("C2H6",))

    def run(*arguments):
        line = ["transferability", "--data", data, "--out", tmp_path / "out", "--samples", "50"]
        line += ["--tests", "large", "--method", "PM3", "--method", "MNDO", *arguments]
        return cli.main([str(word) for word in line])

    return run


def test_every_evaluation_is_appended(mlseqm, tmp_path):
    log = tmp_path / "log.csv"
    assert mlseqm("--log", log) == 0
    first = log.read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["model"], row["set"]) for row in rows] == [
        (method, f"transferability large: large_{k}.h5 (with 1 more)")
        for method in ("PM3", "MNDO")
        for k in (1, 2)
    ]
    sums = [
        hashlib.sha256((tmp_path / "data" / f"large_{k}.h5").read_bytes()).hexdigest()
        for k in (1, 2)
    ]
    assert [row["data_sha256"] for row in rows] == sums * 2
    found = metrics(tmp_path / "out", "large")
    for row in rows:
        assert (row["molecules"], row["frames"], row["unconverged"]) == ("3", "6", "0")
        assert row["sha256"] == ""
        force = f"{found[row['model'], 'force MAE']:.6g}"
        assert f"force MAE {force} kcal/mol/Å" in row["result"]
        assert row["PM3 force_mae"] == (force if row["model"] == "PM3" else "")
        assert row["learned force_mae"] == ""
    # what is known already is an evaluation, too
    assert mlseqm("--log", log) == 0
    assert log.read_text().startswith(first)
    assert len(log.read_text().splitlines()) == 9


def test_learned_models_have_their_checksum_and_columns(mlseqm, tmp_path):
    log = tmp_path / "log.csv"
    assert mlseqm("--model", "hipnn-pm3", "--log", log) == 0
    row = next(csv.DictReader(log.open()))
    assert row["model"] == "hipnn-pm3" and len(row["sha256"]) == 64
    assert float(row["learned force_mae"]) > 0 and row["PM3 force_mae"] == ""


def test_nothing_is_evaluated_without_a_log(mlseqm, tmp_path, capsys):
    assert mlseqm("--log", tmp_path / "nowhere" / "log.csv") == 2
    assert "log.csv: cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_molecules_that_failed_are_counted_one_by_one(tmp_path):
    """Structures without a name, which are called by their places in the file."""
    inside = tmp_path / "frequencies.extxyz"
    write(inside, [Atoms("XeF", [[0, 0, 0], [0, 0, d]]) for d in (2.0, 2.1, 2.2)], format="extxyz")
    inside.write_text(inside.read_text().replace("Properties", "frequencies=500.0 Properties"))
    config = dataclasses.replace(PLAIN, tests=("frequencies",), method=("PM3",))
    log = tmp_path / "log.csv"
    assert transferability_run(config, tmp_path, tmp_path / "out", log=log) == 1
    rows = list(csv.DictReader(log.open()))
    assert [(row["molecules"], row["unconverged"]) for row in rows] == [("3", "3")]
