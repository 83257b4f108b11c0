"""Files of a trajectory, from which a run that was cut off goes on."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.wholefile import OneWriter, named_errors

from .checkpoints import Pace, read_arrays, write_arrays
from .md_step import Row
from .trajectory import Trajectory, trajectory, write_last


@dataclasses.dataclass(frozen=True)
class Files:
    """Paths of the files of one trajectory that start with ``stem``."""

    stem: Path
    format: str = "extxyz"

    @property
    def table(self) -> Path:
        """CSV with one line a step."""
        return self.stem.with_name(f"{self.stem.name}_md.csv")

    @property
    def frames(self) -> Path:
        """Positions, velocities, forces, energy and dipole moment of every ``interval`` steps."""
        return self.stem.with_name(f"{self.stem.name}_md.{self.format}")

    @property
    def failed(self) -> Path:
        """Of a run that was stopped: its last frame, and the structure that has no energy."""
        return self.stem.with_name(f"{self.stem.name}_failed.extxyz")

    @property
    def trajectory(self) -> Trajectory:
        """The file ``frames``."""
        return trajectory(self.frames)

    @property
    def checkpoint(self) -> Path:
        """What a rerun needs to go on."""
        return self.stem.with_name(f"{self.stem.name}_md.checkpoint.npz")


class Log:
    """Keeps the table of one trajectory, and writes it, the frames and checkpoints.

    Table and frames only grow; the checkpoint knows how long they were when it was written, and is
    replaced in one piece.  A process may be killed at any moment.

    Parameters
    ----------
    files : Files or None
        None: nothing is written.
    identity : dict
        JSON-able; a checkpoint that has another one belongs to another run.
    interval : int
        Steps between two frames.
    in_turn : int
        Logs that one process writes, one after the other.
    """

    def __init__(
        self, files: Files | None, identity: dict[str, Any], interval: int, in_turn: int = 1
    ) -> None:
        self.files, self.identity, self.interval = files, identity, interval
        self.rows: list[Row] = []
        self._trajectory = None if files is None else files.trajectory
        self._frames: list[Atoms] = []
        self._saved, self._sizes = 0, [0, 0]  # rows in the checkpoint, and sizes of the files
        self._pace = Pace(in_turn)
        self._pace.wait()
        self._mine = None if files is None else OneWriter(files.checkpoint)

    def restore(self) -> dict[str, Any] | None:
        """The state of the last checkpoint, if there is one; later lines and frames are cut off.

        Raises
        ------
        InputError
            When the checkpoint is damaged, of another run, or missing where its files are there.
        """
        if self.files is None or self._trajectory is None or self._mine is None:
            return None
        table, frames, path = self.files.table, self.files.frames, self.files.checkpoint
        if not self._mine.look():
            for file in (table, frames):
                if file.exists() and file.stat().st_size:
                    raise InputError(
                        f"{file} is there, but not {path.name}, from which its run would go on: "
                        "move it to start anew, or write elsewhere"
                    )
            return None
        anew = f"move it, {table.name} and {frames.name} to start anew"
        state, about = _checkpoint(path, anew)
        if about == {"begun": True}:
            table.unlink(missing_ok=True)
            frames.unlink(missing_ok=True)
            return None
        try:
            changed = [k for k, v in self.identity.items() if about["identity"].get(k) != v]
            if not changed:
                self._take(about["sizes"])
        except (ValueError, KeyError, OSError, TypeError, AttributeError) as error:
            raise InputError(f"{path} cannot be continued ({error}): {anew}") from None
        if changed:
            raise InputError(
                f"{path} belongs to a run with other {', '.join(changed)}: {anew}, or write "
                "elsewhere"
            )
        self._saved, self._sizes = len(self.rows), about["sizes"]
        return state | about["state"]

    def _take(self, sizes: list[int]) -> None:
        """Cut off what came after the checkpoint, and read what is left of the table."""
        assert self.files is not None and self._trajectory is not None
        table, frames = self.files.table, self.files.frames
        found = (table.stat().st_size, self._trajectory.size())
        for file, size, least in zip((table, frames), found, sizes, strict=True):
            if size < least:
                raise ValueError(f"{file.name} is shorter than it was")
        self._cut(sizes)
        rows = [list(map(float, line.split(","))) for line in table.read_text().splitlines()[1:]]
        if any(len(row) != len(Row._fields) for row in rows):
            raise ValueError(f"{table.name} has lines of other lengths")
        self.rows = list(map(Row._make, rows))

    def _cut(self, sizes: list[int]) -> None:
        """Remove what the table and the frames have beyond these sizes."""
        assert self.files is not None and self._trajectory is not None
        if self.files.table.exists():
            os.truncate(self.files.table, sizes[0])
        self._trajectory.cut(sizes[1])

    def add(self, row: Row, atoms: Atoms) -> None:
        """One step; ``atoms`` hold its results."""
        self.rows.append(row)
        if self.files is not None and row.step % self.interval == 0:
            self._frames.append(atoms)

    def checkpoint(self, state: dict[str, Any], force: bool = False) -> None:
        """Write everything and the state, unless that was done only just now.

        Arrays of ``state`` are stored as they are, anything else as JSON.  Ctrl-C may have come
        between two steps of this, and be followed by another call.

        Raises
        ------
        InputError
            When another process has written the same files meanwhile, which stay as they are.
        """
        while self.rows and self.rows[-1].step > state["step"]:
            self.rows.pop()  # Ctrl-C came before the state that belongs to it
        if self.files is None or self._trajectory is None or self._mine is None:
            return
        if force or self._pace.due():
            with self._pace.writing():  # a trajectory in HDF5 is copied: rarely when it is long
                self._write(state)

    def _write(self, state: dict[str, Any]) -> None:
        assert self.files is not None and self._trajectory is not None and self._mine is not None
        if not self._mine.check() and not self._saved:
            # files without a checkpoint are those of a run that has lost it, however early it ends
            self._keep({"begun": True})
        self._cut(self._sizes)
        with named_errors(self.files.table), self.files.table.open("a") as file:
            file.write("" if self._sizes[0] else ",".join(Row._fields) + "\n")
            file.writelines(row.line() for row in self.rows[self._saved :])
        frames = [atoms for atoms in self._frames if atoms.info["step"] <= state["step"]]
        if frames:
            self._trajectory.append(frames)
        arrays: dict[str, Any] = {}
        plain: dict[str, Any] = {}
        for name, value in state.items():
            (arrays if isinstance(value, np.ndarray) else plain)[name] = value
        sizes = [self.files.table.stat().st_size, self._trajectory.size()]
        about = {"identity": self.identity, "sizes": sizes, "state": plain}
        self._keep(about, **arrays)
        self._saved, self._sizes, self._frames = len(self.rows), sizes, []

    def _keep(self, about: dict[str, Any], **arrays: np.ndarray) -> None:
        assert self._mine is not None
        try:
            write_arrays(self._mine.path, about, **arrays)
        finally:  # Ctrl-C may come when it has taken its place
            self._mine.look()

    def end(self, message: str, last: list[Atoms]) -> None:
        """What stopped the run and its last frames; without these it was not stopped."""
        if self.files is not None:
            self.files.failed.unlink(missing_ok=True)  # of an earlier end
            if last:
                write_last(self.files.failed, message, last)

    def table(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        values = np.array(self.rows).reshape(-1, len(Row._fields))
        return dict(zip(Row._fields, values.T.copy(), strict=True))


def _checkpoint(path: Path, anew: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays in a checkpoint, and the rest."""
    try:
        return read_arrays(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except Exception:  # any, as read_arrays says
        raise InputError(f"{path} is damaged: {anew}") from None
