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
from transferability_standing import apart, cause, compared, distance, standing  # noqa: E402
from transferability_tables import FOLDER, cell, kept, tables  # noqa: E402

METRICS = kept()
REPORTS = sorted(METRICS)


@pytest.mark.parametrize("name", REPORTS)
def test_tables_and_model(name):
    for test, text in tables(METRICS[name]).items():
        assert (FOLDER / f"{name}_{test}.md").read_text() == text
    about = json.loads((FOLDER / f"{name}.json").read_text())
    assert about["models"][DEFAULT] == model_file(DEFAULT).sha256


@pytest.mark.parametrize("name", ["causes", "dispersion", "interpretation", "uncertainty"])
def test_other_results_are_of_the_shipped_model(name):
    text = (ROOT / "benchmarks" / "results" / f"{name}.md").read_text()
    digest = re.search(rf"{DEFAULT} \((?:sha256 `)?([0-9a-f]{{12}})", text)[1]
    assert model_file(DEFAULT).sha256.startswith(digest)


def test_uncertainties_cost_less_than_a_second_network():
    """As far as the benchmark has measured it."""
    text = (ROOT / "benchmarks" / "results" / "uncertainty.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    head = next(row for row in rows if "ratio" in row)
    measured = [dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)]
    ratios = [float(row["ratio"]) for row in measured if row["ratio"][:1].isdigit()]
    assert len(ratios) >= 3 and max(ratios) < 2.0


def test_forces_of_large_molecules_reach_their_target():
    """Below those of the ANI-1x networks that gave most labels, 3.0 kcal/mol/Angstrom."""
    rows = {(row["test"], row["method"], row["metric"]): row for row in kept()["size"]}
    assert float(rows["large", DEFAULT, "force MAE"]["value"]) < 3.0


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
    rows = [row for row in METRICS[name] if about["data"][row["test"]] and row["value"]]
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


def test_standing_is_that_of_the_reports_with_a_cause_for_all_that_is_worse():
    reports = kept()
    for name, text in standing(reports, cell).items():
        assert (FOLDER / f"standing_{name}.md").read_text() == text
    rows = [(report, by["hipnn-pm3"], by["GFN2-xTB"]) for report, by in compared(reports)]
    worse = [(report, row) for report, row, peer in rows if distance(row) > distance(peer)]
    assert worse and len(worse) < len(rows)
    assert all(cause(report, row) for report, row in worse)
    # the level of the labels is no reason where they are the reference
    own = [cause(report, row) for report, row in worse if report.startswith("small")]
    assert own and not any("level" in text for text in own)


def test_better_is_nearer_to_the_best_value():
    def row(method, metric, value, low="", high=""):
        same = {"test": "reactions", "unit": "", "low": low, "high": high}
        return same | {"method": method, "metric": metric, "value": value}

    rows = []
    for metric, own, peer, plain in (
        ("barrier MAE", ("2", "1", "3"), ("5", "4", "6"), ("1.5", "1", "2")),
        ("barrier correlation", ("0.8",), ("0.9",), ("0.95",)),
        ("paths converged", ("60", "50", "70"), ("40", "30", "51"), ("40", "30", "49")),
        ("barrier bias", ("9",), ("0",), ("0",)),
    ):
        rows += [row("hipnn-pm3", metric, *own), row("GFN2-xTB", metric, *peer)]
        rows += [row("PM3", metric, *plain)]
    found = standing({"pairs": rows}, lambda row: row["value"])
    cells = {
        name: [[text.strip() for text in line.split("|")[2:-1]] for line in text.splitlines()[2:]]
        for name, text in found.items()
    }
    assert [line[:4] for line in cells["worse"]] == [["barrier correlation", "0.8", "0.9", "no"]]
    assert cells["better"] == [
        ["barrier MAE", "2", "5", "yes"],
        ["paths converged", "60", "40", "no"],
    ]
    assert cells["worse_than_pm3"] == [
        ["barrier MAE", "2", "1.5", "no"],
        ["barrier correlation", "0.8", "0.95", "no"],
    ]


SUMMARY = {
    "forces, energy differences, atomization energies (1 to 19 heavy atoms)": (
        ("size", "extensibility"),
        ("force MAE", "energy difference MAE", "atomization MAE per heavy atom"),
    ),
    "harmonic frequencies of small molecules": (
        ("small", "frequencies"),
        ("frequency MAE", "MAE after scaling"),
    ),
    "seven large molecules: forces": (("size", "large"), ("force MAE",)),
    "seven large molecules: energy differences": (("size", "large"), ("energy difference MAE",)),
    "seven large molecules: dipoles": (("size", "large"), ("dipole error",)),
    "seven large molecules: Mulliken charges": (("size", "large"), ("charge MAE",)),
    "forces": (("pairs", "noncovalent"), ("force MAE",)),
    "interaction energies, well depths": (
        ("pairs", "noncovalent"),
        ("interaction energy MAE", "well depth MAE"),
    ),
    "contacts, curves without a minimum": (
        ("pairs", "noncovalent"),
        ("contact at the lowest point MAE", "curves without a minimum"),
    ),
    "barriers and reaction energies of 40 reactions": (
        ("level", "reactions"),
        ("barrier MAE", "reaction energy MAE"),
    ),
    "barriers of 40 reactions against CCSD(T)": (("pairs", "reactions"), ("barrier MAE",)),
    "transition states of 20 reactions, refined: share that connects reactant and product": (
        ("refined", "reactions"),
        ("that connect reactant and product",),
    ),
    "the seven that all methods complete: barriers against CCSD(T)": (
        ("refined", "reactions"),
        ("barrier MAE, refined",),
    ),
    "the seven: displacement of the transition state": (
        ("refined", "reactions"),
        ("displacement, barrier, refined",),
    ),
    "rigid torsions: profiles, barriers": (
        ("small", "torsions"),
        ("profile MAE, rigid", "barrier MAE, rigid"),
    ),
    "two relaxed torsions: profiles": (("small", "torsions"), ("profile MAE, relaxed",)),
    "two relaxed torsions: barriers": (("small", "torsions"), ("barrier MAE, relaxed",)),
    "broken bonds, unrestricted: curves": (("small", "dissociation"), ("curve MAE, unrestricted",)),
    "broken bonds, unrestricted: hump behind the minimum": (
        ("small", "dissociation"),
        ("hump behind the minimum, unrestricted",),
    ),
    "broken bonds, restricted: curves": (("small", "dissociation"), ("curve MAE, restricted",)),
}
"""Lines of the table at the top of the page, and what they say it of."""


def test_the_table_at_the_top_of_the_page_is_what_the_reports_say():
    page = (ROOT / "docs" / "transferability.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    said = {line[0]: line[1:] for line in lines if len(line) == 3}
    for line, ((report, test), metrics) in SUMMARY.items():
        rows = [row for row in METRICS[report] if row["test"] == test]
        for other, word in zip(("PM3", "GFN2-xTB"), said[line], strict=True):
            verdicts = set()
            for metric in metrics:
                by = {row["method"]: row for row in rows if row["metric"] == metric}
                better = distance(by[DEFAULT]) < distance(by[other])
                verdicts.add(("better" if better else "worse", apart(by[DEFAULT], by[other])))
            assert {verdict for verdict, _ in verdicts} == {word.strip("*")}, (line, other)
            assert all(beyond for _, beyond in verdicts) == word.startswith("**"), (line, other)
