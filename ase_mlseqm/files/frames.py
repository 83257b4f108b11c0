"""Frames of files, and results in them as ASE stores them."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.formats import string2index

from ..calculator import ase_results
from ..errors import InputError
from ..results import SinglePoint
from ..unwrap import make_whole
from ..wholefile import named_errors, readable, replacement
from .broken import why_unreadable
from .charges import state_charges
from .structures import PACKED, structures

NUMBERS = (
    "heat_of_formation",
    "atomization_energy",
    "uncertainty",
    "dispersion",
    "gap",
    "ionization_potential",
    "spin_squared",
    "stability",
)
"""Fields of a result that go into ``info``, since ASE has no name for them."""
NOTES = (
    *("method", "unrestricted", "converged", "status", "relaxed", "steps"),
    *("level", "program", "max_force"),
)
"""What else ``info`` says of a result; the last three are those of labels and of paths."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """One structure of a file.

    Attributes
    ----------
    file : str
        Path as given, without an index.
    index : int
        Number of the frame in the file, from zero.
    alone : bool
        Whether the file has no other frame.
    """

    file: str
    index: int
    atoms: Atoms
    alone: bool

    @property
    def name(self) -> str:
        """How messages and tables call it."""
        return self.file if self.alone else f"{self.file}@{self.index}"


def read_frames(spec: str, no_pbc: bool = False) -> tuple[list[Frame], str | None]:
    """All frames of ``FILE``, or those of ``FILE@index`` with an index or a slice as in ASE.

    With ``no_pbc`` what is periodic is taken as a free molecule, its parts in different images of
    the cell put together.

    Returns
    -------
    frames : list of Frame
    problem : str or None
        One sentence when the file, or the part of it behind ``frames``, cannot be read.
    """
    file = spec
    index: int | slice | str | None = None
    if "@" in Path(spec).name and not Path(spec).exists():
        file, _, text = spec.rpartition("@")
        try:
            index = string2index(text)
            if isinstance(index, str):  # what ASE takes for the name of a database's row
                raise ValueError
        except ValueError:
            return [], f"{spec}: {text!r} is no index: give a number or a slice such as 0:10"
    if not Path(file).exists():
        return [], f"{file}: no such file"
    found: list[Atoms] = []
    problem = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.extend(structures(Path(file)))
    except Exception as error:  # every reader of ASE has its own
        after = f" behind frame {len(found) - 1}" if found else ""
        problem = f"{file}: cannot be read{after} ({why_unreadable(file, error)})"
    state_charges(Path(file), found)
    for atoms in found:
        if no_pbc:
            _without_cell(atoms, file)
    frames = [Frame(file, k, atoms, len(found) == 1) for k, atoms in enumerate(found)]
    if not frames and problem is None:
        problem = f"{file}: there are no structures in it"
    if problem is not None and index is not None:
        return [], problem  # an index means nothing in a part of a file
    if isinstance(index, slice):
        frames = frames[index]
    elif isinstance(index, int):
        frames = frames[index:][:1] if index >= -len(frames) else []
    if not frames and problem is None:
        problem = f"{spec}: no such frame, there are {len(found)}"
    return frames, problem


def _without_cell(atoms: Atoms, file: str) -> None:
    """Make a free molecule of what is periodic (in place)."""
    finite = bool(np.isfinite(atoms.positions).all())
    if finite and not make_whole(atoms):
        warnings.warn(
            f"{file}: bonds go on through the walls of the cell, as in a crystal: without "
            "periodicity they are cut there",
            stacklevel=3,
        )
    atoms.pbc = False


def output_stems(files: Iterable[str], several: Collection[str] = ()) -> dict[str, str]:
    """Start of the names of output files by input file; different for files of equal names.

    Those of ``several`` get the number of a frame behind it, as another file may be called.
    """
    stems: dict[str, str] = {}
    used: set[str] = set()
    heads: set[str] = set()  # of stems that look like those of numbered frames
    numbered: set[str] = set()  # stems of several
    next_number: dict[tuple[str, bool], int] = {}  # what was taken stays taken

    def taken(stem: str, has_several: bool) -> bool:
        return stem in used or _head(stem) in numbered or (has_several and stem in heads)

    for file in files:
        if file in stems:
            continue
        path, has_several = Path(file), file in several
        if path.suffix in PACKED:
            path = path.with_suffix("")
        stem, kind = path.stem, (path.stem, has_several)
        number = next_number.get(kind, 2)
        while taken(stem, has_several):
            # with four digits it would be a frame of the first file
            shown = f"{number:_}" if path.stem in numbered else number
            stem = f"{path.stem}_{shown}"
            number += 1
        stems[file] = stem
        next_number[kind] = number
        used.add(stem)
        if (head := _head(stem)) is not None:
            heads.add(head)
        if has_several:
            numbered.add(stem)
    return stems


def _head(stem: str) -> str | None:
    """What is before the number, where the stem is as that of a numbered frame."""
    found = re.fullmatch(r"(.*)_\d{4,}", stem, re.DOTALL)
    return found and found[1]


def frame_stems(frames: Sequence[Frame]) -> dict[str, str]:
    """:func:`output_stems` of the files of these frames."""
    return output_stems((f.file for f in frames), {f.file for f in frames if not f.alone})


def output_stem(frame: Frame, stems: dict[str, str]) -> str:
    """Start of the names of the output files of one frame."""
    return stems[frame.file] + ("" if frame.alone else f"_{frame.index:04d}")


def place(frame: Frame) -> dict[str, int]:
    """Which frame of its file it was, for ``info``: others of the file may have been refused."""
    return {} if frame.alone else {"frame": frame.index}


def without_results(atoms: Atoms) -> Atoms:
    """Copy without numbers of earlier calculations, which must not be taken for ours."""
    out = atoms.copy()
    for name in (*all_properties, *NUMBERS, *NOTES):
        out.info.pop(name, None)
        if name in out.arrays:
            del out.arrays[name]
    return out


def with_results(atoms: Atoms, point: SinglePoint, **info: Any) -> Atoms:
    """Copy of ``atoms`` that carries a result as ASE's file formats store it.

    A result that did not converge brings no number, only ``info["converged"]`` and its status.
    """
    out = without_results(atoms)
    out.info["method"] = point.method
    out.info["charge"] = point.charge
    out.info["multiplicity"] = point.multiplicity
    if "spin" in out.info:
        out.info["spin"] = point.multiplicity
    out.info["unrestricted"] = point.unrestricted
    out.info["converged"] = point.converged
    out.info["status"] = point.status.name.lower()
    if point.converged:
        for name in NUMBERS:
            value = getattr(point, name)
            if value is not None:
                out.info[name] = value
        results = {k: v for k, v in ase_results(point).items() if k in all_properties}
        out.calc = SinglePointCalculator(out, **results)
    out.info.update(info)
    return out


def write_frames(path: Path, frames: Sequence[Atoms], append: bool = False) -> None:
    """Write extxyz; an OSError names the file, and leaves one that would be replaced as it was."""
    if append or path.is_symlink():  # what a link leads to may be elsewhere, or no file at all
        with named_errors(path):
            write(path, readable(frames), format="extxyz", append=append)
        return
    with replacement(path) as new:
        write(new, readable(frames), format="extxyz")


def output_folder(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    InputError
        When it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # whether files can be made there
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from None
    return folder
