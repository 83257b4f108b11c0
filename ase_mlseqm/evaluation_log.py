"""The log of all evaluations on data on which no choice may be based."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import InputError
from .wholefile import write_whole

LEARNED = "learned"
METHODS = (LEARNED, "PM3", "AM1", "GFN2-xTB")
"""Methods whose metrics have columns."""
METRICS = (
    "force_mae",
    "force_rmse",
    "energy_difference_mae",
    "atomization_mae",
    "atomization_shifted_mae",
    "dipole_mae",
    "charge_mae",
    "gap_mae",
    "gap_correlation",
)
"""Errors of forces (kcal/mol/Angstrom), energies (kcal/mol), dipoles (D), charges (e) and gaps
(eV)."""
COLUMNS = (
    *("date", "model", "sha256", "set", "data_sha256", "molecules", "frames", "unconverged"),
    *(f"{method} {name}" for method in METHODS for name in METRICS),
    "result",
)
"""Of every log; ``result`` is text, for what the other columns cannot hold."""


class EvaluationLog:
    """A CSV file with a row for every evaluation; rows are only ever appended.

    A log whose header lacks the last columns gets a longer header; its rows stay as they are.

    Raises
    ------
    InputError
        When it cannot be written, or is not such a log: then nothing may be evaluated.
    """

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        self.columns = list(columns)
        self.path = path
        try:
            with path.open("a+", newline="", encoding="utf-8") as file:
                file.seek(0)
                before = file.read()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path.name}: cannot be written ({error.__class__.__name__}), so nothing is "
                "evaluated: every evaluation must be logged"
            ) from None
        if not before:
            self._write(self.columns)
            return
        first, _, rows = before.partition("\n")
        header = next(csv.reader([first.rstrip("\r")]))
        if not before.endswith("\n") or header != self.columns[: len(header)]:
            raise InputError(
                f"{path.name}: is cut off or has other columns, so nothing is evaluated: give "
                "another log"
            )
        if len(header) < len(self.columns):
            write_whole(path, (_line(self.columns) + rows).encode())

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row, on the disk when this returns."""
        unknown = set(row) - set(self.columns)
        if unknown:
            raise ValueError(f"no such column: {sorted(unknown)[0]}")
        self._write([row.get(name, "") for name in self.columns])

    def _write(self, cells: Sequence[object]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_line(cells))
            file.flush()
            os.fsync(file.fileno())


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
