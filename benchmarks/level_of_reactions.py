"""How far the level of the labels itself is from CCSD(T) in the barriers of RDB7.

    python benchmarks/level_of_reactions.py --ccsdt pairs --level level \\
        --out benchmarks/results/level_of_reactions.md

Takes two reports of `mlseqm transferability` on the same reactions: against CCSD(T) with
zero-point energies, and against barriers of the level of the labels without.  The zero-point
energies are what the barriers of a method differ by in both reports; the level gets those of
either method.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from report import Report
from transferability_tables import cell

from ase_mlseqm.workflows.transferability.statistics import correlation, mean

SAMPLES, SEED = 2000, 0
METHODS = ("hipnn-pm3", "GFN2-xTB")


def barriers(report: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """Barriers at the structures of the set and their references, by method and reaction."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    with (report / "reactions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "single point" and row["quantity"] == "barrier":
                both = float(row["energy"]), float(row["reference"])
                found.setdefault(row["method"], {})[row["case"]] = both
    return found


def line(name: str, values: np.ndarray, reference: np.ndarray) -> list[str]:
    """MAE, mean error and correlation with their intervals."""
    errors = values - reference
    found = [mean(np.abs(errors), SAMPLES, SEED), mean(errors, SAMPLES, SEED)]
    found.append(correlation(values, reference, SAMPLES, SEED))
    return [name, *(cell({k: str(getattr(one, k)) for k in one._fields[:3]}) for one in found)]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--ccsdt", type=Path, required=True, help="report with zero-point energies")
    parser.add_argument("--level", type=Path, required=True, help="report without")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    highest, own = barriers(args.ccsdt), barriers(args.level)
    names = sorted(set.intersection(*(set(one[m]) for one in (highest, own) for m in METHODS)))
    rows = []
    for method in METHODS:
        with_zero, ccsdt = np.array([highest[method][name] for name in names]).T
        without, level = np.array([own[method][name] for name in names]).T
        title = f"wB97X/6-31G\\*, zero-point energies of {method}"
        rows.append(line(title, level + with_zero - without, ccsdt))
    title = f"Barriers of {len(names)} reactions against CCSD(T), kcal/mol"
    report = Report()
    report.table(title, ["", "MAE", "mean error", "correlation"], rows)
    report.write(args.out)


if __name__ == "__main__":
    main()
