"""The tables of the page on transferability are those of the reports, of the shipped model."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest

from ase_mlseqm.models import DEFAULT, model_file

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from transferability_tables import FOLDER, cell, tables  # noqa: E402

REPORTS = sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.mark.parametrize("name", REPORTS)
def test_tables_and_model(name):
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for test, text in tables(rows).items():
        assert (FOLDER / f"{name}_{test}.md").read_text() == text
    about = json.loads((FOLDER / f"{name}.json").read_text())
    assert about["models"][DEFAULT] == model_file(DEFAULT).sha256


@pytest.mark.parametrize("name", REPORTS)
def test_evaluations_are_in_the_log(name):
    """Every file of every test, with the model that the report is of."""
    with (ROOT / "docs" / "test_log.csv").open(newline="") as file:
        logged = {
            (row["sha256"], row["set"].partition(":")[0], row["data_sha256"])
            for row in csv.DictReader(file)
        }
    about = json.loads((FOLDER / f"{name}.json").read_text())
    for test, files in about["data"].items():
        for checksum in files.values():
            assert (about["models"][DEFAULT], f"transferability {test}", checksum) in logged


@pytest.mark.parametrize("name", REPORTS)
def test_numbers_of_the_tables_are_in_the_log(name):
    """Of every test that has data; the log has six digits, and a row a file."""
    with (ROOT / "docs" / "test_log.csv").open(newline="") as file:
        logged = {
            (row["set"].partition(":")[0], row["model"], row["sha256"], number)
            for row in csv.DictReader(file)
            for number in (row["result"] or "").split("; ")
        }
    about = json.loads((FOLDER / f"{name}.json").read_text())
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if about["data"][row["test"]] and row["value"]]
    assert rows
    for row in rows:
        text = f"{row['metric']} {float(row['value']):.6g} {row['unit']}".strip()
        digest = about["models"].get(row["method"], "")
        assert (f"transferability {row['test']}", row["method"], digest, text) in logged


def test_the_page_shows_every_table():
    page = (ROOT / "docs" / "transferability.md").read_text()
    shown = set(re.findall(r'--8<-- "benchmarks/results/transferability/(.+)\.md"', page))
    assert shown == {path.stem for path in FOLDER.glob("*.md")}


def test_numbers():
    def shown(value, low="", high=""):
        return cell({"value": value, "low": low, "high": high})

    assert shown("1.2268", "0.98331", "-1.9") == "1.23 [0.98,\N{NO-BREAK SPACE}−1.90]"
    given = ("0.0412", "123.4", "-2.704", "1950.2", "0", "0.00042", "nan", "")
    assert [shown(text) for text in given] == [
        *("0.041", "123", "−2.70", "1950", "0.00", "0.000", "", ""),
    ]
    same = {"test": "t", "metric": "MAE", "unit": "eV", "value": "1", "low": "", "high": ""}
    rows = [same | {"method": m, "failures": n} for m, n in (("a", "0"), ("b", "2"))]
    assert tables(rows)["t"].splitlines()[2:] == [
        "| MAE, eV  | 1.00 | 1.00 |",
        "| failures |    0 |    2 |",
    ]
