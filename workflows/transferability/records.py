"""Records of data files: those that can be used, and those that are left out, with reasons."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from ase import Atoms
from ase.io import read as read_atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.files.broken import why_unreadable
from ase_mlseqm.training.checks import MIN_DISTANCE
from ase_mlseqm.training.dataset import Skipped

T = TypeVar("T")

WHOLE = "the file"
"""Name of the record where all of a file is lost."""
UNIT = re.compile(r"^\s*\$coord\b.*\b(angs|frac)", re.MULTILINE | re.IGNORECASE)
"""Of coordinates of Turbomole that are not in bohr."""


@dataclasses.dataclass(frozen=True)
class Records(Generic[T]):
    """What the files of a test hold.

    Attributes
    ----------
    items : list
        The sound records.
    skipped : list of Skipped
        The broken ones.
    """

    items: list[T]
    skipped: list[Skipped] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


class RecordError(Exception):
    """A record cannot be used: ``file`` is the one at fault, ``reason`` what is wrong with it."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


def require_some(found: Sequence[object], where: str, skipped: Sequence[Skipped]) -> None:
    """Refuse data of which nothing is left.

    Raises
    ------
    InputError
        In one sentence, with the reason of the first record.
    """
    if found:
        return
    if not skipped:
        raise InputError(f"{where}: there are no records in it")
    first = f"{skipped[0].file}: {skipped[0].record}: {skipped[0].reason}"
    if len(skipped) == 1:
        raise InputError(f"{where}: nothing in it can be used ({first})")
    raise InputError(
        f"{where}: none of its {len(skipped)} records can be used (the first: {first})"
    )


def name_of(files: Sequence[Path]) -> str:
    """How messages call the files of a test."""
    return files[0].name if len(files) == 1 else files[0].parent.name


def structure_fault(atoms: Atoms) -> str | None:
    """What makes a structure useless whatever computes it; None where nothing does."""
    if not len(atoms):
        return "there are no atoms in it"
    if (atoms.numbers < 1).any():
        return f"{atoms.symbols[int(atoms.numbers.argmin())]!r} is no element"
    if not np.isfinite(atoms.positions).all():
        return "a position is not a number"
    apart = atoms.get_all_distances()[np.triu_indices(len(atoms), 1)]
    if (apart < MIN_DISTANCE).any():
        return f"two atoms are closer than {MIN_DISTANCE} Angstrom"
    return None


def read_structure(path: Path, name: str, kind: str = "xyz") -> Atoms:
    """The only structure of a file, without what its comment says.

    Parameters
    ----------
    name : str
        How messages call the file.
    kind : str
        Format as ASE names it.

    Raises
    ------
    RecordError
        When it is missing, cannot be read or is no molecule.
    """
    if not path.is_file():
        raise RecordError(name, "there is no such file")
    if kind == "turbomole":
        unit = UNIT.search(path.read_text(errors="replace"))
        if unit is not None:
            raise RecordError(name, f"its coordinates are in {unit[1]}: write them in bohr")
    try:
        # blank lines before and behind a structure are none of it
        text = io.StringIO(path.read_text("utf-8").strip() + "\n")
        several = read_atoms(text, index=":", format=kind)
        if len(several) > 1:
            raise RecordError(name, f"it has {len(several)} structures: keep one")
        (atoms,) = several
    except RecordError:
        raise
    except Exception as error:  # whatever a broken file makes of the parser
        reason = f"cannot be read ({why_unreadable(path, error)})"
        raise RecordError(name, reason) from None
    fault = structure_fault(atoms)
    if fault is not None:
        raise RecordError(name, fault)
    atoms.info.clear()
    return atoms
