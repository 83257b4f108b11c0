"""Files of a trajectory, from which a run that was cut off goes on, and the bounds it must keep."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from ase_mlseqm.errors import InputError

COLUMNS = (
    *("step", "time_fs", "total_eV", "potential_eV", "kinetic_eV", "temperature_K"),
    *("conserved_eV", "widest_gap_A", "dipole_x_eA", "dipole_y_eA", "dipole_z_eA"),
)
"""Of the table; a quantity that does not exist is nan."""

CHECKPOINT_SECONDS = 5.0
"""Shortest time between two checkpoints; what lies behind the last one is computed again."""

StepCallback = Callable[[int, float, float], None]
"""Called with step, temperature (K) and total energy (eV)."""


def widest_gap(positions: np.ndarray) -> float:
    """Smallest length, Angstrom, such that steps no longer than it connect all atoms.

    The longest edge of the minimum spanning tree: it grows as soon as an atom or a fragment leaves.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree  # slow to import
    from scipy.spatial.distance import pdist, squareform

    if len(positions) < 2:
        return 0.0
    return float(minimum_spanning_tree(squareform(pdist(positions))).data.max(initial=0.0))


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a trajectory must not exceed: temperature (K) and widest gap (Angstrom)."""

    temperature: float
    gap: float

    def broken(self, temperature: float, gap: float) -> str | None:
        """One sentence on what is out of bounds, if something is."""
        if not np.isfinite(temperature):
            return "the velocities are not finite numbers"
        if temperature > self.temperature:
            return f"too hot: {temperature:.0f} K, allowed are {self.temperature:.0f} K"
        if gap > self.gap:
            return f"flown apart: a gap of {gap:.2f} Angstrom, allowed are {self.gap:g} Angstrom"
        return None


@dataclasses.dataclass(frozen=True)
class Files:
    """Paths of the files of one trajectory that start with ``stem``."""

    stem: Path

    @property
    def table(self) -> Path:
        """CSV with one line a step."""
        return self.stem.with_name(f"{self.stem.name}_md.csv")

    @property
    def frames(self) -> Path:
        """extxyz with positions, momenta, forces and energy."""
        return self.stem.with_name(f"{self.stem.name}_md.extxyz")

    @property
    def checkpoint(self) -> Path:
        """What a rerun needs to go on."""
        return self.stem.with_name(f"{self.stem.name}_md.checkpoint.npz")


class Log:
    """Keeps the table of one trajectory, and writes it, the frames and checkpoints.

    Table and frames are only appended to; the checkpoint knows how long they were when it was
    written, and is replaced in one piece.  A process may be killed at any moment.

    Parameters
    ----------
    files : Files or None
        None: nothing is written.
    identity : dict
        JSON-able; a checkpoint that has another one belongs to another run.
    interval : int
        Steps between two frames.
    """

    def __init__(self, files: Files | None, identity: dict[str, Any], interval: int) -> None:
        self.files, self.identity, self.interval = files, identity, interval
        self.rows: list[tuple[float, ...]] = []
        self._sizes = [0, 0]
        self._text = ",".join(COLUMNS) + "\n"
        self._frames: list[Atoms] = []
        self._written = time.monotonic()

    def restore(self) -> dict[str, Any] | None:
        """The state of the last checkpoint, if there is one; later lines and frames are cut off."""
        if self.files is None:
            return None
        if not self.files.checkpoint.exists():
            for path in (self.files.table, self.files.frames):
                path.unlink(missing_ok=True)
            return None
        path = self.files.checkpoint
        try:
            with np.load(path, allow_pickle=False) as data:
                state: dict[str, Any] = {name: data[name] for name in data.files}
            about = json.loads(str(state.pop("about")))
            for file, size in zip(self._paths(), about["sizes"], strict=True):
                if size or file.exists():
                    if file.stat().st_size < size:
                        raise ValueError(f"{file.name} is shorter than it was")
                    os.truncate(file, size)
            lines = self.files.table.read_text().splitlines()[1:]
        except (ValueError, KeyError, OSError, TypeError) as error:
            raise InputError(
                f"{path} cannot be continued ({error}): remove it to start anew"
            ) from None
        if about["identity"] != self.identity:
            old, new = about["identity"], self.identity
            changed = [key for key in new if old.get(key) != new[key]]
            raise InputError(
                f"{path} belongs to a run with other {', '.join(changed)}: remove it to start "
                "anew, or write elsewhere"
            )
        self.rows = [tuple(float(word) for word in line.split(",")) for line in lines]
        self._sizes, self._text = about["sizes"], ""
        return state | about["state"]

    def add(self, step: int, row: tuple[float, ...], atoms: Atoms) -> None:
        """One step; ``row`` holds the columns behind the step, ``atoms`` its results."""
        self.rows.append((float(step), *row))
        if self.files is not None:
            self._text += ",".join((str(step), *(repr(float(value)) for value in row))) + "\n"
            if step % self.interval == 0:
                self._frames.append(atoms)

    def checkpoint(self, state: dict[str, Any], force: bool = False) -> None:
        """Write everything and the state, unless that was done only just now.

        Arrays of ``state`` are stored as they are, anything else as JSON.
        """
        if self.files is None:
            return
        if not force and time.monotonic() - self._written < CHECKPOINT_SECONDS:
            return
        if self._text:
            with self.files.table.open("a") as file:
                file.write(self._text)
        if self._frames:
            write(self.files.frames, self._frames, format="extxyz", append=True)
        self._text, self._frames = "", []
        self._sizes = [path.stat().st_size if path.exists() else 0 for path in self._paths()]
        arrays: dict[str, Any] = {}
        plain: dict[str, Any] = {}
        for name, value in state.items():
            (arrays if isinstance(value, np.ndarray) else plain)[name] = value
        about = {"identity": self.identity, "sizes": self._sizes, "state": plain}
        temporary = self.files.checkpoint.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.files.checkpoint)
        self._written = time.monotonic()

    def table(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        values = np.array(self.rows).reshape(-1, len(COLUMNS))
        return dict(zip(COLUMNS, values.T.copy(), strict=True))

    def _paths(self) -> tuple[Path, Path]:
        assert self.files is not None
        return self.files.table, self.files.frames


def snapshot(atoms: Atoms, step: int, time_fs: float, **results: Any) -> Atoms:
    """Copy of ``atoms`` for a file, with its results, step and time (fs)."""
    copy = atoms.copy()
    copy.info |= {"step": step, "time_fs": time_fs}
    copy.calc = SinglePointCalculator(copy, **{k: v for k, v in results.items() if v is not None})
    return copy


def row(
    time_fs: float,
    atoms: Atoms,
    potential: float,
    freedom: int,
    conserved: float | None,
    dipole: np.ndarray | None,
) -> tuple[float, ...]:
    """The columns of the table behind the step; ``freedom`` is the number of moving degrees."""
    kinetic = float(atoms.get_kinetic_energy())
    temperature = 2.0 * kinetic / (freedom * units.kB) if freedom else 0.0
    return (
        *(time_fs, potential + kinetic, potential, kinetic, temperature),
        potential + kinetic if conserved is None else conserved,
        widest_gap(atoms.positions),
        *(np.full(3, np.nan) if dipole is None else dipole),
    )
