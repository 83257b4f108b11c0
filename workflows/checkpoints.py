"""Files from which runs go on: how often they are written, and how arrays are kept in them."""

from __future__ import annotations

import contextlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ase_mlseqm.wholefile import write_whole

SECONDS = 5.0
"""Shortest time between two checkpoints; what lies behind the last one is computed again."""
COST = 0.2
"""Seconds that one may take, or those of all that are written in turn; where it takes longer they
are further apart by as much."""


class Pace:
    """Tells when the next checkpoint is due; the first one is at once.

    Parameters
    ----------
    in_turn : int
        Files that one process writes, one after the other.
    """

    def __init__(self, in_turn: int = 1) -> None:
        self._in_turn = in_turn
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._next

    def wait(self, cost: float = 0.0) -> None:
        """Count from now, when writing took so many seconds."""
        pause = SECONDS * max(1.0, cost * self._in_turn / COST)
        self._next = time.monotonic() + pause

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Around what writes one."""
        start = time.monotonic()
        yield
        self.wait(time.monotonic() - start)


def write_arrays(path: Path, about: dict[str, Any], **arrays: Any) -> None:
    """A .npz file, whole or not at all, of arrays and of something JSON-able."""
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(about)), **arrays)
    write_whole(path, content.getbuffer())


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of :func:`write_arrays`, and the rest.

    Raises
    ------
    Exception
        Any, for another file: the parts of a zip file have many ways to be broken.
    """
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):  # numpy would speak of pickled objects
            raise ValueError("it is no .npz file, or was cut off")
        file.seek(0)
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    return arrays, json.loads(str(arrays.pop("about")))
