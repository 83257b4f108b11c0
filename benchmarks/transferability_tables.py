"""Tables of the page on transferability from the reports of `mlseqm transferability`.

    python benchmarks/transferability_tables.py size=REPORT pairs=REPORT small=REPORT ...

Every report is a folder (`--out`) with a short name.  Its metrics are kept as
`benchmarks/results/transferability/NAME.csv`, what could not be computed and why as
`failures/NAME.csv`, the checksums of its models as `NAME.json`, a table
of every test as `NAME_TEST.md`, which the page includes, and those of its pictures that the page
shows are copied to `docs/transferability_NAME_TEST.png`.  What is better and what is worse than
GFN2-xTB and PM3 in all reports together is `standing_*.md`.  Without arguments the tables are
written anew from the CSV files.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path

import numpy as np
from report import markdown
from transferability_standing import standing

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results" / "transferability"


def decimals(value: float) -> int:
    """Three significant digits, as far as they stand before the point."""
    size = 0 if value == 0 else int(np.floor(np.log10(abs(value))))
    return min(max(2 - size, 0), 3)


def cell(row: dict[str, str]) -> str:
    """Value and interval, with as many decimals; nothing where there is no value."""
    value, low, high = (float(row[key] or "nan") for key in ("value", "low", "high"))
    if not np.isfinite(value):
        return ""
    digits = 3 if row.get("metric") == "scale factor" else decimals(value)
    shown = f"{value:.{digits}f}"
    if np.isfinite(low) and np.isfinite(high):
        shown += f" [{low:.{digits}f},\N{NO-BREAK SPACE}{high:.{digits}f}]"
    return shown.replace("-", "−")


def tables(rows: list[dict[str, str]]) -> dict[str, str]:
    """Markdown of every test: a line a metric, a column a method; failures in the last line."""
    out = {}
    for test in dict.fromkeys(row["test"] for row in rows):
        own = [row for row in rows if row["test"] == test]
        methods = list(dict.fromkeys(row["method"] for row in own))
        found = {(row["metric"], row["method"]): row for row in own}
        lines = []
        for metric in dict.fromkeys(row["metric"] for row in own):
            cells = [found.get((metric, method)) for method in methods]
            unit = next(row["unit"] for row in cells if row is not None)
            title = f"{metric}, {unit}" if unit else metric
            lines.append([title, *("" if row is None else cell(row) for row in cells)])
        lost = [next(row["failures"] for row in own if row["method"] == m) for m in methods]
        if set(lost) != {"0"}:
            lines.append(["failures", *lost])
        out[test] = markdown([test, *methods], lines) + "\n"
    return out


def kept() -> dict[str, list[dict[str, str]]]:
    """Metrics of all reports that are kept, by their names."""
    found = {}
    for path in sorted(FOLDER.glob("*.csv")):
        with path.open(newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


def keep(name: str, report: Path) -> None:
    """Metrics, checksums and pictures of a report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(report / "summary.csv", FOLDER / f"{name}.csv")
    (FOLDER / "failures").mkdir(exist_ok=True)
    shutil.copyfile(report / "failures.csv", FOLDER / "failures" / f"{name}.csv")
    about = json.loads((report / "mlseqm_transferability.json").read_text())
    results = about["results"]
    tests = {
        test: results[test]["files"]
        for test in results
        if isinstance(results[test], dict) and "files" in results[test]
    }
    facts = {
        "started": about["started"],
        "models": results["models"],
        "versions": about["versions"],
        "settings": about["settings"],
        "data": {
            test: {Path(path).name: digest for path, digest in files.items()}
            for test, files in tests.items()
        },
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = (ROOT / "docs" / "transferability.md").read_text()
    for test in tests:
        picture, shown = report / f"{test}.png", f"transferability_{name}_{test}.png"
        if picture.exists() and f"({shown})" in page:
            shutil.copyfile(picture, ROOT / "docs" / shown)


def about() -> str:
    """One line a report: when, with which model, on what data."""
    lines = []
    for path in sorted(FOLDER.glob("*.json")):
        facts = json.loads(path.read_text())
        models = ", ".join(f"{name} `{digest[:12]}`" for name, digest in facts["models"].items())
        tests = ", ".join(facts["data"])
        files = sorted({name for test in facts["data"].values() for name in test})
        data = ", ".join(f"`{name}`" for name in files[:3]) + (" ..." if len(files) > 3 else "")
        lines.append([path.stem, facts["started"][:10], models, tests, data])
    return markdown(["report", "date", "model", "tests", "data"], lines) + "\n"


def main() -> None:
    """Keep reports, write tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("reports", nargs="*", metavar="NAME=FOLDER")
    for given in parser.parse_args().reports:
        name, _, report = given.partition("=")
        keep(name, Path(report))
    reports = kept()
    for name, rows in reports.items():
        for test, text in tables(rows).items():
            (FOLDER / f"{name}_{test}.md").write_text(text)
    for name, text in standing(reports, cell).items():
        (FOLDER / f"standing_{name}.md").write_text(text)
    (FOLDER / "about.md").write_text(about())


if __name__ == "__main__":
    main()
