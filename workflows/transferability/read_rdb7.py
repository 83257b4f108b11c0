"""Reactions in the layout of RDB7 (Spiekermann, Pattanaik, Green, Sci. Data 9 (2022) 417).

``data.csv`` with a line a reaction: ``rxn`` its number, and references in kcal/mol; a folder
``rxnNNNNNN`` a reaction with ``rNNNNNN.xyz``, ``tsNNNNNN.xyz`` and, for reaction energies,
``pNNNNNN.xyz``.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read as read_atoms

from ase_mlseqm.broken_files import why_unreadable
from ase_mlseqm.errors import InputError

COLUMNS = {
    "dE0": ("barrier", True),
    "barrier": ("barrier", False),
    "reaction_energy": ("reaction energy", False),
}
"""Column, what it holds, and whether zero-point energies are in it."""
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


def read_rdb7(folder: Path) -> tuple[dict[str, Atoms], list[Difference]]:
    """All structures by name, and all differences.

    Raises
    ------
    InputError
        When the table or a structure cannot be read.
    """
    try:
        with open(folder / "data.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder.name}/data.csv: {reason}") from None
    if not rows or "rxn" not in rows[0] or not set(rows[0]) & set(COLUMNS):
        raise InputError(
            f"{folder.name}/data.csv: there must be a column rxn and one of {', '.join(COLUMNS)}"
        )
    structures: dict[str, Atoms] = {}
    found = []
    for row in rows:
        number = _number(row["rxn"], f"{folder.name}/data.csv: rxn")
        for key, (quantity, zero_point) in COLUMNS.items():
            if not row.get(key):
                continue
            try:
                reference = float(row[key])
            except ValueError:
                raise InputError(
                    f"{folder.name}/data.csv: reaction {number}: {key} is {row[key]!r}: give a "
                    "number in kcal/mol"
                ) from None
            names = [f"rxn{number:06d}/{side}{number:06d}" for side in SIDES[quantity]]
            for name in names:
                if name not in structures:
                    structures[name] = _structure(folder, name)
            if not np.array_equal(*(structures[name].numbers for name in names)):
                raise InputError(
                    f"{folder.name}: the atoms of {names[0]} and {names[1]} differ or are in "
                    "another order"
                )
            found.append(Difference(f"rxn{number:06d}", quantity, *names, reference, zero_point))
    return structures, found


def _number(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{where} is {text!r}: give a whole number") from None


def _structure(folder: Path, name: str) -> Atoms:
    path = folder / f"{name}.xyz"
    try:
        atoms = read_atoms(path, format="xyz")
    except FileNotFoundError:
        raise InputError(f"{folder.name}: there is no {name}.xyz") from None
    except Exception as error:  # whatever a broken file makes of the parser
        reason = why_unreadable(path, error)
        raise InputError(f"{folder.name}/{name}.xyz: cannot be read ({reason})") from None
    atoms.info.clear()
    return atoms
