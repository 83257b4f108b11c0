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
METHODS = ("hipnn-pm3", "GFN2-xTB", "PM3")


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
    """Write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--ccsdt", type=Path, required=True, help="report with zero-point energies")
    parser.add_argument("--level", type=Path, required=True, help="report without")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    highest, own = barriers(args.ccsdt), barriers(args.level)
    names = sorted(set.intersection(*(set(one[m]) for one in (highest, own) for m in METHODS)))
    columns = {
        (of, method): np.array([found[method][name] for name in names]).T
        for of, found in (("ccsdt", highest), ("level", own))
        for method in METHODS
    }
    ccsdt, level = columns["ccsdt", METHODS[0]][1], columns["level", METHODS[0]][1]
    rows = [line(method, columns["ccsdt", method][0], ccsdt) for method in METHODS]
    for method in METHODS[:2]:
        zero_point = columns["ccsdt", method][0] - columns["level", method][0]
        rows.append(line(f"level, zero-point energies of {method}", level + zero_point, ccsdt))
    header = ["", "MAE", "mean error", "correlation"]
    report = Report()
    report.table(f"Barriers of {len(names)} reactions against CCSD(T), kcal/mol", header, rows)
    rows = [line(method, columns["level", method][0], level) for method in METHODS]
    report.table("The same against the level of the labels, without zero-point", header, rows)
    report.write(args.out)


if __name__ == "__main__":
    main()
