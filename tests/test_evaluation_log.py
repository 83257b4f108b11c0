"""The log of evaluations: rows are only ever appended, and without a log there is none."""

import csv

import pytest

from ase_mlseqm.errors import InputError
from ase_mlseqm.evaluation_log import COLUMNS, EvaluationLog


def test_log_is_appended_to_and_never_rewritten(tmp_path):
    path = tmp_path / "log.csv"
    EvaluationLog(path, ["a", "b"]).append({"a": 1, "b": "x, y"})
    before = path.read_text()
    assert before == 'a,b\n1,"x, y"\n'
    EvaluationLog(path, ["a", "b"]).append({"b": 2})
    assert path.read_text() == before + ",2\n"
    with pytest.raises(ValueError, match="no such column"):
        EvaluationLog(path, ["a", "b"]).append({"c": 1})


def test_rows_of_an_older_log_stay(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('a,b\n1,"x, y"\n')
    EvaluationLog(path, ["a", "b", "c"]).append({"a": 2, "c": 3})
    assert path.read_text() == 'a,b,c\n1,"x, y"\n2,,3\n'
    assert [row["c"] for row in csv.DictReader(path.open())] == [None, "3"]


@pytest.mark.parametrize("case", ["folder", "missing folder", "other columns", "cut off"])
def test_log_that_cannot_be_written_is_refused(tmp_path, case):
    path = tmp_path / "log.csv"
    if case == "folder":
        path.mkdir()
    elif case == "missing folder":
        path = tmp_path / "nowhere" / "log.csv"
    else:
        path.write_text("a,c\n" if case == "other columns" else "a,b\n1,2")
    with pytest.raises(InputError, match="nothing is evaluated"):
        EvaluationLog(path, ["a", "b"])


def test_columns_are_different():
    assert len(set(COLUMNS)) == len(COLUMNS)
