"""Extended XYZ, frame by frame: a broken one does not take the others with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from ase import Atoms
from ase.io import read as read_atoms

from ase_mlseqm.files.broken import plain_reason, why_unreadable, xyz_fault, xyz_frames
from ase_mlseqm.training.dataset import Skipped

from .records import WHOLE, structure_fault


def record_name(k: int) -> str:
    """How messages call frame k, counted from zero."""
    return f"frame {k}"


def read_extxyz(path: Path) -> Iterator[tuple[int, Atoms] | Skipped]:
    """Number (from zero) and structure of every sound frame, with its labels in eV and Angstrom as
    its calculator; and what is wrong with the others."""
    k = -1
    try:
        with path.open(encoding="utf-8-sig") as file:
            for k, (start, lines, whole) in enumerate(xyz_frames(file)):
                found = _frame(start, lines, whole)
                if isinstance(found, Atoms):
                    yield k, found
                else:
                    yield Skipped(path.name, record_name(k), found)
    except (OSError, UnicodeDecodeError) as error:
        reason = f"cannot be read ({why_unreadable(path, error)})"
        yield Skipped(path.name, WHOLE if k < 0 else f"all behind {record_name(k)}", reason)
        return
    if k < 0:
        yield Skipped(path.name, WHOLE, "there are no structures in it")


def _frame(start: int, lines: list[str], whole: bool) -> Atoms | str:
    """The structure, or what is wrong with it."""
    reason = "it is broken"
    if whole:
        try:
            atoms = read_atoms(StringIO("".join(lines)), index=0, format="extxyz")
        except Exception as error:  # whatever a broken frame makes of the parser
            reason = plain_reason(error)
        else:
            return structure_fault(atoms) or atoms
    # blank lines before it, so that the fault has the number of its line in the file
    numbered = itertools.chain(itertools.repeat("\n", start - 1), lines)
    return f"cannot be read ({xyz_fault(numbered) or reason})"
