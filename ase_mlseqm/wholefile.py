"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure


class NotWritten(OSError):
    """A file of this package that cannot be written, as on a full disk; it says which."""


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file such that a reader sees the old one or the new one."""
    with replacement(path) as new, open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class OneWriter:
    """Tells where another process has written a file meanwhile, as of a job submitted twice.

    Parameters
    ----------
    path : Path
        A file that is replaced in one piece, as by :func:`write_whole`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] | None = None
        self.look()

    def look(self) -> bool:
        """Take the file as it is now for this process's; whether there is one."""
        self._stamp = self._found()
        return self._stamp is not None

    def check(self) -> bool:
        """Whether there is a file; :class:`InputError` where it is not this process's."""
        found = self._found()
        if found is not None and found != self._stamp:
            raise InputError(
                f"{self.path} was written by another run meanwhile: let one run at a time write "
                "there, or write elsewhere"
            )
        return found is not None

    def _found(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


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
    """An OSError while a file is written becomes one that names it, as that of a full disk does
    not."""
    try:
        yield
    except OSError as error:
        raise NotWritten(error.errno, error.strerror or str(error), str(path)) from error


def write_whole_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """The same of an extended XYZ file."""
    from ase.io import write

    text = io.StringIO()
    write(text, readable(frames), format="extxyz")
    write_whole(path, text.getvalue().encode())


def readable(frames: Sequence[Atoms]) -> list[Atoms]:
    """Frames as extended XYZ can hold them, copies of those that have to change.

    A line break in ``info`` would end the line of all properties.  Words of atoms must not be
    blank, as residue names of PDB files may be: such a line had a column too few.
    """
    return [_readable(atoms) for atoms in frames]


def _readable(atoms: Atoms) -> Atoms:
    info = {k: v for k, v in atoms.info.items() if isinstance(v, str) and {"\n", "\r"} & set(v)}
    words = {k: array for k, array in atoms.arrays.items() if array.dtype.kind in "US"}
    if not (info or words):
        return atoms
    copy = atoms.copy()
    copy.calc = atoms.calc
    copy.info |= {name: " ".join(text.split()) for name, text in info.items()}
    for name, array in words.items():
        filled = ["_".join(str(word).split()) or "X" for word in array.ravel().tolist()]
        copy.arrays[name] = np.array(filled).reshape(array.shape)
    return copy


def write_whole_picture(path: str | Path, figure: Figure) -> None:
    """The same of a PNG."""
    picture = io.BytesIO()
    with named_errors(Path(path)):
        figure.savefig(picture, format="png")
    write_whole(Path(path), picture.getbuffer())
