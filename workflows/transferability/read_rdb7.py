"""Reactions in the layout of RDB7 (Spiekermann, Pattanaik, Green, Sci. Data 9 (2022) 417).

``data.csv`` with a line a reaction: ``rxn`` its number, references in kcal/mol, and ``charge`` and
``multiplicity`` of ions and radicals; a folder ``rxnNNNNNN`` a reaction with ``rNNNNNN.xyz``,
``tsNNNNNN.xyz`` and, for reaction energies, ``pNNNNNN.xyz``.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Skipped

from .records import RecordError, read_structure, require_some

COLUMNS = {
    "dE0": ("barrier", True),
    "barrier": ("barrier", False),
    "reaction_energy": ("reaction energy", False),
}
"""Column, what it holds, and whether zero-point energies are in it."""
STATE = ("charge", "multiplicity")
"""Columns that say what all structures of a reaction are; empty: neutral, lowest multiplicity."""
SIDES = {"barrier": ("r", "ts"), "reaction energy": ("r", "p")}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A barrier or a reaction energy with its reference.

    Attributes
    ----------
    reaction : str
        Name of its folder.
    quantity : str
        "barrier" or "reaction energy".
    first, last : str
        Names of the structures between which it is.
    reference : float
        kcal/mol.
    zero_point : bool
        Whether zero-point energies are in the reference.
    """

    reaction: str
    quantity: str
    first: str
    last: str
    reference: float
    zero_point: bool


@dataclasses.dataclass(frozen=True)
class ReactionData:
    """What a folder holds.

    Attributes
    ----------
    structures : dict
        :class:`ase.Atoms` by name, as :func:`member` makes it; products where there are any.
    skipped : list of Skipped
        What is broken.
    """

    structures: dict[str, Atoms]
    differences: list[Difference]
    skipped: list[Skipped]


def member(reaction: str, side: str) -> str:
    """Name of a structure of a reaction; ``side`` is r, ts or p."""
    return f"{reaction}/{side}{reaction.removeprefix('rxn')}"


def read_rdb7(folder: Path) -> ReactionData:
    """All that can be used of a folder; every line of the table stands for itself.

    Raises
    ------
    InputError
        When the table cannot be read, or nothing in the folder can be used.
    """
    reader = _Folder(folder)
    where = f"{folder.name}/data.csv"
    names, lines = _table(folder, where)
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        try:
            reader.add(_row(line, names))
        except ValueError as error:
            reader.skipped.append(Skipped(where, f"line {number}", str(error)))
    require_some(reader.differences, folder.name, reader.skipped)
    return ReactionData(reader.structures, reader.differences, reader.skipped)


def _table(folder: Path, where: str) -> tuple[list[str], list[str]]:
    """The names of the columns, and the lines behind them."""
    try:
        # a broken letter must not take the other lines with it
        text = (folder / "data.csv").read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from None
    head, *lines = text.splitlines() or [""]
    try:
        names = [name.strip() for name in _fields(head)]
    except ValueError:
        names = []
    own = (*COLUMNS, *STATE, "rxn")
    twice = [name for k, name in enumerate(names) if name in names[:k] and name in own]
    if twice:
        raise InputError(f"{where}: there are two columns {twice[0]}: keep one")
    if "rxn" not in names or not set(names) & set(COLUMNS):
        raise InputError(f"{where}: there must be a column rxn and one of {', '.join(COLUMNS)}")
    return names, lines


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"it is no line of CSV ({error})") from None


def _row(line: str, names: list[str]) -> dict[str, str]:
    values = _fields(line)
    if len(values) != len(names):
        raise ValueError(f"it has {len(values)} values for {len(names)} columns")
    return dict(zip(names, values, strict=True))


class _Folder:
    """What has been read of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.structures: dict[str, Atoms] = {}
        self.states: dict[str, dict[str, int]] = {}
        self.differences: list[Difference] = []
        self.skipped: list[Skipped] = []
        self.broken: dict[str, RecordError] = {}
        self.seen: set[str] = set()

    def add(self, row: dict[str, str]) -> None:
        """The differences of a line.

        Raises
        ------
        ValueError
            When the line says nothing of use.
        """
        reaction = f"rxn{_whole(row, 'rxn'):06d}"
        given = {key: row[key] for key in COLUMNS if row.get(key, "").strip()}
        if "barrier" in given:  # the same barrier twice would count twice
            given.pop("dE0", None)
        if not given:
            raise ValueError(f"there is no reference of {reaction} in it")
        if reaction in self.seen:
            raise ValueError(f"{reaction} is given twice")
        self.states[reaction] = {key: _whole(row, key) for key in STATE if row.get(key, "").strip()}
        self.seen.add(reaction)
        before = len(self.differences)
        for key, text in given.items():
            quantity = COLUMNS[key][0]
            try:
                self.differences.append(self._difference(reaction, key, text))
            except RecordError as error:
                self.skipped.append(Skipped(error.file, f"{reaction} {quantity}", error.reason))
        used = len(self.differences) > before
        if used and (self.folder / f"{member(reaction, 'p')}.xyz").exists():
            try:
                self._read(reaction, "p")
            except RecordError as error:
                if "reaction_energy" not in given:  # otherwise it is listed with that
                    record = f"{reaction} product"
                    self.skipped.append(Skipped(error.file, record, error.reason))

    def _difference(self, reaction: str, key: str, text: str) -> Difference:
        quantity, zero_point = COLUMNS[key]
        try:
            reference = float(text)
        except ValueError:
            reference = np.nan
        if not np.isfinite(reference):
            raise RecordError(
                f"{self.folder.name}/data.csv", f"{key} is {text!r}: give a number in kcal/mol"
            )
        first, last = (self._read(reaction, side) for side in SIDES[quantity])
        return Difference(reaction, quantity, first, last, reference, zero_point)

    def _read(self, reaction: str, side: str) -> str:
        """Read a structure, unless that was done; returns its name."""
        name = member(reaction, side)
        if name in self.broken:
            raise self.broken[name]
        if name not in self.structures:
            try:
                self.structures[name] = self._checked(name, reaction)
            except RecordError as error:
                self.broken[name] = error
                raise
        return name

    def _checked(self, name: str, reaction: str) -> Atoms:
        file = f"{self.folder.name}/{name}.xyz"
        atoms = read_structure(self.folder / f"{name}.xyz", file)
        atoms.info |= self.states[reaction]
        reactant = self.structures.get(member(reaction, "r"))
        if reactant is not None and not np.array_equal(reactant.numbers, atoms.numbers):
            what = "in another order than" if _same_atoms(reactant, atoms) else "others than"
            raise RecordError(file, f"its atoms are {what} those of the reactant")
        return atoms


def _whole(row: dict[str, str], key: str) -> int:
    try:
        return int(row[key])
    except ValueError:
        raise ValueError(f"{key} is {row[key]!r}: give a whole number") from None


def _same_atoms(first: Atoms, second: Atoms) -> bool:
    return sorted(first.numbers) == sorted(second.numbers)
