"""File from which a relaxation of many molecules goes on."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read

from ase_mlseqm.files.broken import is_empty, not_continued
from ase_mlseqm.wholefile import NotWritten, OneWriter, write_whole_frames

from .checkpoints import Pace
from .fingerprint import fingerprint
from .relax_config import RelaxConfig
from .relax_history import History

KEY, STATE = "relax_key", "relax_state"
"""Names in ``info`` of the frames: which start a structure comes from, and how."""


class Checkpoint:
    """The last structure of every molecule with its energy and forces, as extended XYZ.

    Nothing is kept of the optimisers: they begin anew where they were.  Relaxations do not need the
    file: where it has no place, a warning says so.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.
    systems : sequence of ase.Atoms
        Starts.  What the file has of one is used where calculator and settings are the same, but
        for the number of steps.
    one_writer : bool
        Whether a file that another process has begun meanwhile is refused.
    """

    def __init__(
        self,
        path: Path | None,
        systems: Sequence[Atoms],
        calc: BaseCalculator,
        config: RelaxConfig,
        one_writer: bool = False,
    ) -> None:
        self.path = path
        self._start = OneWriter(path) if path is not None and one_writer else None
        self._pace = Pace()
        self._warned = False
        if path is not None:
            settings = dataclasses.asdict(config) | {"max_steps": None}
            self.keys = [fingerprint(calc, [atoms], settings) for atoms in systems]

    def read(self) -> dict[int, Atoms]:
        """What is known, by the place in the list.

        Raises
        ------
        InputError
            When there is a file that is no checkpoint, or not a whole one.
        """
        if self.path is None or not self.path.exists() or is_empty(self.path):
            return {}
        try:
            frames = read(self.path, ":", format="extxyz", do_not_split_by_at_sign=True)
            if any(KEY not in frame.info for frame in frames):
                raise ValueError("its structures are not those of relaxations")
        except Exception as error:  # whatever the parser makes of it
            raise not_continued(self.path, "a checkpoint of relaxations", error) from None
        known = {frame.info[KEY]: frame for frame in frames}
        return {k: known[key] for k, key in enumerate(self.keys) if key in known}

    def write(self, histories: Sequence[History], at_once: bool = False) -> None:
        """Write what was reached, unless that was done only just now, or in any case.

        Raises
        ------
        InputError
            When it is the first time, and another process has written the file meanwhile.
        """
        if self.path is None or not (at_once or self._pace.due()):
            return
        if self._start is not None:
            self._start.check()
            self._start = None
        with self._pace.writing():
            frames = [
                _frame(key, history)
                for key, history in zip(self.keys, histories, strict=True)
                if history.last is not None
            ]
            try:
                write_whole_frames(self.path, frames)
            except NotWritten as error:
                if not self._warned:
                    warnings.warn(
                        f"{self.path} cannot be written ({error.strerror}): the relaxation goes "
                        "on, but if it is cut off, steps are lost",
                        stacklevel=4,
                    )
                self._warned = True

    def remove(self) -> None:
        """When all is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _frame(key: str, history: History) -> Atoms:
    frame = history.last.copy()
    frame.set_constraint()
    frame.calc = history.last.calc
    frame.info = {KEY: key, STATE: json.dumps([history.energies, history.max_forces])}
    return frame


def restore(history: History, frame: Atoms) -> None:
    """Put a history, and its atoms, where the frame of a checkpoint says."""
    history.energies, history.max_forces = json.loads(frame.info[STATE])
    history.atoms.positions = frame.positions
    history.atoms.calc = SinglePointCalculator(history.atoms, **frame.calc.results)
    history.keep()
