"""Checkpoints and logs of a training that may be killed at any moment."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..wholefile import replacement, write_whole

WHOLE = ("step", "epoch")
"""Columns of logs that are whole numbers; the other ones are numbers, too."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Load what :func:`save_state` wrote, to the CPU, without executing anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch itself does not look at the checksums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise unreadable(path, type(error).__name__) from None


def unreadable(path: Path, reason: str) -> InputError:
    """The error for a checkpoint of no use, which stays as it is."""
    return InputError(
        f"{path} cannot be read as a checkpoint ({reason}): put a copy of it there, or start from "
        "the beginning with another --out"
    )


class Log:
    """A CSV file of which the rows after a checkpoint can be taken back.

    Rows whose ``key`` is at most ``last`` stay.
    """

    def __init__(self, path: Path, columns: list[str], key: str, last: int) -> None:
        self.path, self.columns = path, columns
        kept = [row for row in read_log(path, key) if int(row[key]) <= last]
        with replacement(path) as new, open(new, "w", newline="", encoding="utf-8") as file:
            # columns of later versions: without a value a row would pass for half a row
            writer = csv.DictWriter(file, columns, restval="nan", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        self._file = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115
        self._writer = csv.DictWriter(self._file, columns)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self._writer.writerow(
            {k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()}
        )
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path, key: str = "step") -> list[dict[str, str]]:
    """Whole rows of a log that has a column ``key``; none if there is no file.

    Raises
    ------
    InputError
        When it is something else, or damaged.
    """
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        # a process that was killed may leave half a row
        rows = [row for row in found if all(value not in (None, "") for value in row.values())]
        for row in rows:
            int(row[key])
            for name, value in row.items():
                (int if name in WHOLE else float)(value)
    except (ValueError, TypeError, KeyError, csv.Error):
        raise InputError(
            f"{path} cannot be read as the log of a training: move it elsewhere, and the same "
            "command goes on with a new one"
        ) from None
    return rows
