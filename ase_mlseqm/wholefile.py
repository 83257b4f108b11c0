"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file such that a reader sees the old one or the new one."""
    with replacement(path) as new, open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Name of a file to write, which takes the place of ``path`` when it is done.

    No other process has that name, so that the one which is done last wins.  What a process that
    was killed leaves behind is read by nobody.
    """
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    with named_errors(path):
        try:
            yield new
            os.replace(new, path)
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """An OSError while a file is written names it: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_whole_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """The same of an extended XYZ file."""
    from ase.io import write

    text = io.StringIO()
    write(text, frames, format="extxyz")
    write_whole(path, text.getvalue().encode())


def write_whole_picture(path: str | Path, figure: Figure) -> None:
    """The same of a PNG."""
    picture = io.BytesIO()
    with named_errors(Path(path)):
        figure.savefig(picture, format="png")
    write_whole(Path(path), picture.getbuffer())
