"""CSV files of results: rows, metrics, failures, and broken records."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Outcome, TransferTest

if TYPE_CHECKING:
    from .run import Section


def write_rows(path: Path, test: TransferTest, outcomes: dict[str, Outcome]) -> None:
    """Tidy CSV: one line a case and method, also of the cases that other methods lack."""
    names = ["method", "case", *test.columns]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for method, outcome in outcomes.items():
            for row in outcome.rows:
                writer.writerow({"method": method} | {k: _text(v) for k, v in row.items()})


def write_summary(path: Path, sections: Sequence[Section]) -> None:
    """Tidy CSV of all metrics with their intervals, and of the number of failures."""
    names = ("test", "method", "metric", "unit", "value", "low", "high", "molecules", "failures")
    lines = [
        (s.test.name, method, m.name, m.unit, *m.interval, len(s.outcomes[method].failures))
        for s in sections
        for method, metrics in s.metrics.items()
        for m in metrics
    ]
    _write(path, names, lines)


def write_failures(path: Path, sections: Sequence[Section]) -> None:
    """CSV of everything that could not be computed."""
    lines = [(s.test.name, m, f.case, f.reason) for s in sections for m, f in s.failures]
    _write(path, ("test", "method", "case", "reason"), lines)


def write_skipped(path: Path, sections: Sequence[Section]) -> None:
    """CSV of the broken records of the data."""
    lines = [(s.test.name, r.file, r.record, r.reason) for s in sections for r in s.skipped]
    _write(path, ("test", "file", "record", "reason"), lines)


def _write(path: Path, names: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(map(_text, line) for line in lines)


def _text(value: Any) -> Any:
    """Numbers as text; what is not known is empty."""
    if isinstance(value, float):
        return f"{value:.8g}" if np.isfinite(value) else ""
    return value
