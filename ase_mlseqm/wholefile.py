"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms


def write_whole(path: Path, content: bytes) -> None:
    """Write a file such that a reader sees the old one or the new one."""
    new = path.with_name(path.name + ".new")
    with named_errors(path):
        try:
            with open(new, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """An OSError while a file is written names it: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_whole_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """The same of an extended XYZ file."""
    from ase.io import write

    text = io.StringIO()
    write(text, frames, format="extxyz")
    write_whole(path, text.getvalue().encode())
