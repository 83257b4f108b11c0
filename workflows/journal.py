"""A file that gets every result as soon as it is computed, for a run that is cut off."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ase_mlseqm.errors import InputError
from ase_mlseqm.wholefile import named_errors

Entry = dict[str, Any]
BEGIN = b'["'
"""Of every line, also of one that is broken."""


class Journal:
    """Results in memory and, one line of JSON each, in a file; a context manager.

    A line is written at once and never changed: whenever a process is killed, all lines are whole
    but perhaps the last.  What is broken is not used, and a warning says so; a file with nothing
    but other things in it is an :class:`InputError`.

    Parameters
    ----------
    path : str or Path or None
        None: nothing is written.  What the file has is known; it appears with the first result.

    Attributes
    ----------
    path : Path or None
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._known: dict[str, dict[Any, Entry]] = {}
        self._file: BinaryIO | None = None
        self._torn = False
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        self._torn = not content.endswith(b"\n")
        broken = foreign = 0
        for line in content.splitlines():
            try:
                key, name, result = json.loads(line)
                self.known(key)[name] = dict(result)
            except (ValueError, TypeError):
                broken += bool(line.strip())
                foreign += bool(line.strip()) and not line.startswith(BEGIN[: len(line)])
        if foreign and not len(self):
            raise InputError(
                f"{path} has no results of an earlier run, but something else: give another name, "
                "or remove it"
            )
        if broken:
            warnings.warn(
                f"{path} was cut off: {broken} broken line{'s' * (broken > 1)} of it "
                f"{'are' if broken > 1 else 'is'} ignored, and computed again if needed",
                stacklevel=4,
            )

    def __len__(self) -> int:
        """Number of keys that have results."""
        return sum(map(bool, self._known.values()))

    def known(self, key: str) -> dict[Any, Entry]:
        """All results with a key (a fingerprint of what they depend on), by their names."""
        return self._known.setdefault(key, {})

    def keep(self, key: str, name: str | int, result: Entry) -> None:
        """Remember a result, of which arrays are read as lists."""
        self.known(key)[name] = result
        if self.path is None:
            return
        line = json.dumps([key, name, result], default=_listed).encode() + b"\n"
        with named_errors(self.path):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
                line = b"\n" * self._torn + line
            while line:  # of a disk that fills up the first part still fits
                line = line[self._file.write(line) :]

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _listed(value: Any) -> Any:
    return np.asarray(value).tolist()
