"""CSV files of results: rows, metrics, failures, and broken records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Failure, Outcome, TransferTest

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
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for section in sections:
            for method, metrics in section.metrics.items():
                failures = len(section.outcomes[method].failures)
                for m in metrics:
                    *numbers, count = m.interval
                    cells = [_text(value) for value in numbers]
                    writer.writerow(
                        [section.test.name, method, m.name, m.unit, *cells, count, failures]
                    )


def write_failures(path: Path, sections: Sequence[Section]) -> None:
    """CSV of everything that could not be computed."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("test", "method", "case", "reason"))
        for section, method, failure in all_failures(sections):
            writer.writerow((section.test.name, method, failure.case, failure.reason))


def write_skipped(path: Path, sections: Sequence[Section]) -> None:
    """CSV of the broken records of the data."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("test", "file", "record", "reason"))
        for section in sections:
            for record in section.skipped:
                writer.writerow((section.test.name, record.file, record.record, record.reason))


def all_failures(sections: Sequence[Section]) -> list[tuple[Section, str, Failure]]:
    """Every failure with its test and method."""
    return [(s, m, f) for s in sections for m, o in s.outcomes.items() for f in o.failures]


def _text(value: Any) -> Any:
    """Numbers as text; what is not known is empty."""
    if isinstance(value, float):
        return f"{value:.8g}" if np.isfinite(value) else ""
    return value
