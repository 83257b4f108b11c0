"""File from which a transition state goes on: what of it is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.files.broken import is_empty, not_continued
from ase_mlseqm.summary import versions
from ase_mlseqm.wholefile import write_whole

from .checkpoints import Pace
from .fingerprint import fingerprint
from .ts_config import TSConfig
from .vibrations_config import VibrationsResult

SAME = 1e-4
"""Angstrom; guesses with no atom farther apart are one: the files of paths round positions."""
FREE = ("refiner", "max_steps", "irc_steps", "temperature", "pressure", "symmetry_numbers")
"""Settings on which nothing depends that is kept; the refiner is that which was chosen."""


@dataclasses.dataclass
class Known:
    """What is known of a transition state.

    Attributes
    ----------
    steps : int
        Of the refinement.
    positions : (A, 3) array or None
        After them, Angstrom.
    mode : (A, 3) array or None
        That the dimer follows there.
    refined : bool
        Whether the refinement has converged.
    saddle : ase.Atoms or None
        What it ended with, with energy and forces.
    top : VibrationsResult or None
        There.
    sides : list of two lists of ase.Atoms
        Reaction coordinate as far as it is known, from the top.
    followed : bool
        Whether that is all of it.
    feet : list of (ase.Atoms, bool)
        Relaxed ends, and whether they converged.
    bottoms : list of VibrationsResult
        Of the first of them; elsewhere where one was left along a mode.
    given : list of (positions, entry)
        Reactant and product as they were given, and relaxed.
    """

    steps: int = 0
    positions: np.ndarray | None = None
    mode: np.ndarray | None = None
    refined: bool = False
    saddle: Atoms | None = None
    top: VibrationsResult | None = None
    sides: list[list[Atoms]] = dataclasses.field(default_factory=lambda: [[], []])
    followed: bool = False
    feet: list[tuple[Atoms, bool]] = dataclasses.field(default_factory=list)
    bottoms: list[VibrationsResult] = dataclasses.field(default_factory=list)
    given: list[tuple[list[Any], dict[str, Any]]] = dataclasses.field(default_factory=list)


class Checkpoint:
    """What is known of a transition state, kept in a file.

    Nothing is kept of Sella, which begins anew where it was, with a new Hessian.

    Parameters
    ----------
    path : Path or None
        None: nothing is read or written.  A file of another transition state, or of other
        settings, is overwritten; one that cannot be read, or is no checkpoint, is an
        :class:`InputError`.
    guess : ase.Atoms
    ends : sequence of ase.Atoms
        Minima to be relaxed in place of the feet of the reaction coordinate.
    refiner : str
        sella or dimer.

    Attributes
    ----------
    known : Known
    hessians, relaxations : Path or None
        Files for what is on its way: displaced results, and minima.
    """

    def __init__(
        self,
        path: Path | None,
        guess: Atoms,
        ends: Sequence[Atoms],
        calc: BaseCalculator,
        config: TSConfig,
        refiner: str,
    ) -> None:
        self.path, self.guess, self.ends, self.irc_steps = path, guess, ends, config.irc_steps
        self.hessians = None if path is None else path.with_name(path.name + ".hessians")
        self.relaxations = None if path is None else path.with_name(path.name + ".minima")
        self.known = Known()
        self._pace = Pace()
        if path is None:
            return
        settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in FREE}
        words = [settings, refiner, versions()["ase-mlseqm"]]
        for atoms in (guess, *ends):
            words.append([atoms.cell.tolist(), atoms.pbc.tolist(), atoms.get_masses().tolist()])
        # positions are compared with a tolerance: rounded numbers next to each other may differ
        self.key = fingerprint(calc, [_nowhere(atoms) for atoms in (guess, *ends)], *words)
        self.starts = [atoms.positions.tolist() for atoms in (guess, *ends)]
        try:
            if not is_empty(path):
                self.known = self._usable(json.loads(path.read_text("utf-8")), config)
        except FileNotFoundError:
            return
        except Exception as error:  # whatever is missing in it
            raise not_continued(path, "a checkpoint of a transition state", error) from None

    def _usable(self, stored: dict[str, Any], config: TSConfig) -> Known:
        """What is stored, as far as it is that of this transition state and these settings."""
        if stored["key"] != self.key:
            return Known()
        if not np.allclose(stored["starts"], self.starts, rtol=0, atol=SAME):
            return Known()
        known = self._unpacked(stored)
        given_up = known.saddle is not None and not known.refined
        if given_up and known.steps < config.max_steps:
            known = Known(known.steps, known.positions, known.mode)
        bounds = stored["irc_steps"], config.irc_steps
        if bounds[0] != bounds[1] and max(map(len, known.sides)) >= min(bounds):
            # given up, or longer than asked for now
            sides = [side[: config.irc_steps] for side in known.sides]
            known = dataclasses.replace(known, sides=sides, followed=False, feet=[], bottoms=[])
        return known

    def write(self, now: bool = False) -> None:
        """Write what is known, unless that was done only just before and it need not be now."""
        if self.path is not None and (now or self._pace.due()):
            with self._pace.writing():
                write_whole(self.path, json.dumps(self._record()).encode())

    def _record(self) -> dict[str, Any]:
        known, saddle = self.known, self.known.saddle
        return {
            "key": self.key,
            "starts": self.starts,
            "steps": known.steps,
            "positions": None if known.positions is None else known.positions.tolist(),
            "mode": None if known.mode is None else known.mode.tolist(),
            "refined": known.refined,
            "saddle": None if saddle is None else _packed(saddle),
            "top": None if known.top is None else _packed_vibrations(known.top),
            "sides": [[_packed(atoms) for atoms in side] for side in known.sides],
            "followed": known.followed,
            "irc_steps": self.irc_steps,
            "given": known.given,
            "feet": [[_packed(atoms), converged] for atoms, converged in known.feet],
            "bottoms": [_packed_vibrations(bottom) for bottom in known.bottoms],
        }

    def given(self, ends: Sequence[Atoms]) -> list[Atoms] | None:
        """Reactant and product, relaxed, if these are known."""
        known = self.known.given
        if len(known) != len(ends) or not all(
            np.allclose(start, end.positions, rtol=0, atol=SAME)
            for (start, _), end in zip(known, ends, strict=True)
        ):
            return None
        return [_unpacked(entry, end) for (_, entry), end in zip(known, ends, strict=True)]

    def keep_given(self, ends: Sequence[Atoms], relaxed: Sequence[Atoms]) -> None:
        """Keep them."""
        self.known.given = [
            (end.positions.tolist(), _packed(found))
            for end, found in zip(ends, relaxed, strict=True)
        ]
        self.write(now=True)

    def tidy(self) -> None:
        """When all is done, only the file itself is of use."""
        if self.hessians is not None:
            self.hessians.unlink(missing_ok=True)

    def _unpacked(self, stored: dict[str, Any]) -> Known:
        sides = [[_unpacked(entry, self.guess) for entry in side] for side in stored["sides"]]
        positions, mode, saddle, top = (
            stored[name] for name in ("positions", "mode", "saddle", "top")
        )
        starts = self.ends or [self.guess] * len(sides)
        feet = [
            (_unpacked(entry, start), bool(converged))
            for (entry, converged), start in zip(stored["feet"], starts, strict=False)
        ]
        return Known(
            steps=int(stored["steps"]),
            positions=None if positions is None else np.array(positions),
            mode=None if mode is None else np.array(mode),
            refined=bool(stored["refined"]),
            saddle=None if saddle is None else _unpacked(saddle, self.guess),
            top=None if top is None else _unpacked_vibrations(top, self.guess),
            sides=sides,
            followed=bool(stored["followed"]),
            given=[(start, entry) for start, entry in stored["given"]],
            feet=feet,
            bottoms=[
                _unpacked_vibrations(entry, foot)
                for entry, (foot, _) in zip(stored["bottoms"], feet, strict=False)
            ],
        )


def _nowhere(atoms: Atoms) -> Atoms:
    """The atoms without their positions."""
    copy = atoms.copy()
    copy.positions = 0.0
    return copy


def _packed(atoms: Atoms) -> dict[str, Any]:
    found = {} if atoms.calc is None else atoms.calc.results
    results = {name: np.asarray(value).tolist() for name, value in found.items()}
    return {"positions": atoms.positions.tolist(), "results": results}


def _unpacked(entry: dict[str, Any], like: Atoms) -> Atoms:
    atoms = like.copy()
    atoms.positions = entry["positions"]
    results = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in entry["results"].items()
    }
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _packed_vibrations(found: VibrationsResult) -> dict[str, Any]:
    return _packed(found.atoms) | {"vibrations": found.to_dict()}


def _unpacked_vibrations(entry: dict[str, Any], like: Atoms) -> VibrationsResult:
    atoms = _unpacked(entry, like)
    atoms.set_constraint()
    return dataclasses.replace(VibrationsResult.from_dict(entry["vibrations"]), atoms=atoms)
