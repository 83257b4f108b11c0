"""Tables and pictures of the page on what a model has learned, from a run of ``mlseqm explain``.

mlseqm explain --dataset ani1x_labels.h5 --out explained
python benchmarks/interpretation.py explained
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from report import Report

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmarks" / "results" / "interpretation.md"
FIGURES = {
    "explain_C_hybridisation.png": "interpretation_carbon.png",
    "explain_bonds.png": "interpretation_bonds.png",
}


def _share(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(pair: list[float]) -> str:
    return f"[{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]"


def accuracies(report: Report, found: dict[str, Any]) -> None:
    """How well the hybridisation can be told from the parameters."""
    rows = []
    for element, entry in found.items():
        untrained = entry["untrained_linear"]
        rows.append(
            (
                element,
                sum(entry["counts"].values()),
                entry["molecules"],
                _share(entry["baseline"]),
                f"{_share(entry['linear'])} {_interval(entry['linear_interval'])}",
                f"{_share(entry['nearest'])} {_interval(entry['nearest_interval'])}",
                f"{_share(min(untrained))} to {_share(max(untrained))}",
            )
        )
    report.table(
        "Hybridisation told from the parameters, % of the atoms of unseen molecules",
        (
            *("element", "atoms", "molecules", "most frequent", "linear", "15 nearest"),
            "untrained networks, linear",
        ),
        rows,
    )


def correlations(report: Report, found: list[dict[str, Any]]) -> None:
    """The closest correlation of every kind of bond with length and order."""
    rows = []
    for bond in dict.fromkeys(entry["bond"] for entry in found):
        for target in ("length", "order"):
            some = [e for e in found if e["bond"] == bond and e["target"] == target]
            best = max(some, key=lambda e: abs(e["spearman"]))
            low, high = best["spearman_interval"]
            rows.append(
                (
                    bond,
                    target,
                    best["bonds"],
                    f"`{best['parameter']}`, {best['of']}",
                    f"{best['spearman']:+.2f} [{low:+.2f}, {high:+.2f}]",
                    f"{best['within']:+.2f}",
                )
            )
    report.table(
        "Closest of all rank correlations of a parameter with length and Wiberg order of bonds",
        ("bond", "with", "bonds", "parameter", "Spearman", "within equal hybridisations"),
        rows,
    )


def main() -> None:
    """Write the tables and copy the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what mlseqm explain wrote")
    folder = parser.parse_args().folder
    run = json.loads((folder / "mlseqm_explain.json").read_text())
    results = run["results"]
    report = Report()
    model = run["model"]
    report.text(
        f"{model['name']} (sha256 `{model['sha256'][:12]}`), {results['frames']} random frames "
        f"of {', '.join(results['checksums'])}, {results['atoms']} atoms in "
        f"{results['molecules']} molecules."
    )
    accuracies(report, results["hybridisation"])
    correlations(report, results["correlations"])
    report.write(PAGE)
    for source, target in FIGURES.items():
        shutil.copyfile(folder / source, ROOT / "docs" / target)


if __name__ == "__main__":
    main()
