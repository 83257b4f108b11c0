"""The log of all final tests."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from accuracy_methods import AM1, GFN2, LEARNED, PM3
from accuracy_metrics import METRICS
from accuracy_results import Evaluation

LOG_COLUMNS = (
    "date",
    "model",
    "sha256",
    "set",
    "data_sha256",
    "molecules",
    "frames",
    "unconverged",
) + tuple(f"{m} {name}" for m in (LEARNED, PM3, AM1, GFN2) for name in METRICS)
"""Counts are of the frames of the set; metrics of those that converged with every method."""


class TestLog:
    """A CSV file with a row for every evaluation of a final test; rows are only ever appended.

    Raises
    ------
    SystemExit
        When it cannot be written, or is not such a log: then nothing may be evaluated.
    """

    __test__ = False  # not a test of pytest

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.path = path
        try:
            self._file = path.open("a+", newline="")
            self._file.seek(0)
            before = self._file.read()
        except (OSError, ValueError) as error:
            raise SystemExit(
                f"{path.name}: cannot be written ({error.__class__.__name__}), so the final test "
                "sets are not evaluated: every evaluation must be logged"
            ) from None
        if not before:
            self._write(self.columns)
        elif not before.endswith("\n") or next(csv.reader(io.StringIO(before))) != self.columns:
            raise SystemExit(
                f"{path.name}: is cut off or has other columns, so the final test sets are not "
                "evaluated: give another log"
            )

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row, on the disk when this returns."""
        unknown = set(row) - set(self.columns)
        if unknown:
            raise ValueError(f"no such column: {sorted(unknown)[0]}")
        self._write([row.get(name, "") for name in self.columns])

    def _write(self, cells: Sequence[object]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue())
        self._file.flush()
        os.fsync(self._file.fileno())


def log_row(run: Evaluation, name: str) -> dict[str, object]:
    """The row of one evaluation."""
    found = run.sets[name]
    row: dict[str, object] = {
        "date": run.date,
        "model": run.model,
        "sha256": run.sha256,
        "set": f"{name} (seed {run.seed})" if name == "heldout" else name,
        "data_sha256": found.sha256,
        "molecules": len({f.smiles for f in found.frames}),
        "frames": len(found.frames),
        "unconverged": len(found.unconverged),
    }
    # without a group no frame converged with every method, which is logged, too
    summary = found.groups.get("all")
    for method, metrics in summary.metrics.items() if summary else ():
        row |= {f"{method} {key}": f"{value.value:.6g}" for key, value in metrics.items()}
    return row
