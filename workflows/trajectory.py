"""Files of frames that are only appended to and cut where a run goes on, and of its last ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.io import read

from ase_mlseqm.files.frames import write_frames
from ase_mlseqm.wholefile import write_whole_frames

from .h5md import H5MD

FORMATS = ("extxyz", "h5md")


class Trajectory(Protocol):
    """A file of frames."""

    path: Path

    def size(self) -> int:
        """How much there is, in a unit of its own; 0 for no file."""

    def cut(self, size: int) -> None:
        """Remove what was added since it was of this size."""

    def append(self, frames: Sequence[Atoms]) -> None:
        """Add frames."""

    def velocities(self, first: int = 0) -> np.ndarray:
        """Velocities of all frames from the ``first`` on, (T, A, 3), in ASE's unit."""


class Extxyz:
    """Trajectory in extended XYZ; its size is that of the file in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        if self.path.exists():
            os.truncate(self.path, size)

    def append(self, frames: Sequence[Atoms]) -> None:
        write_frames(self.path, frames, append=True)

    def velocities(self, first: int = 0) -> np.ndarray:
        frames = read(self.path, slice(first, None), format="extxyz", do_not_split_by_at_sign=True)
        return np.array([atoms.get_velocities() for atoms in frames])


def trajectory(path: Path) -> Trajectory:
    """The file of this path, whose suffix is one of :data:`FORMATS`."""
    return H5MD(path) if path.suffix == ".h5md" else Extxyz(path)


def write_last(path: Path, message: str, frames: Sequence[Atoms]) -> None:
    """Extended XYZ of the last frames of a run, each with the sentence on why it stopped."""
    copies = [atoms.copy() for atoms in frames]
    for copy, atoms in zip(copies, frames, strict=True):
        copy.calc = atoms.calc
        copy.info["message"] = message
    write_whole_frames(path, copies)
