"""What ``mlseqm neb`` and ``mlseqm ts`` read: ends of paths, and guesses of transition states."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ..errors import InputError
from ..files.frames import Frame, frame_stems, output_stem, output_stems, read_frames
from .run import Run

KINDS = ("ts", "irc", "minima")
"""Structures of a transition state that are written, by the ends of the names of their files."""


@dataclasses.dataclass(frozen=True)
class Reaction:
    """What a path or a transition state is computed from.

    Attributes
    ----------
    name : str
        In reports.
    stem : str
        Start of the names of its files.
    structures : list of ase.Atoms
        Of a path reactant and product; of a transition state the guess, or it and both ends.
    """

    name: str
    stem: str
    structures: list[Atoms]


def read_reactions(run: Run, files: Sequence[str], folder: str | None) -> list[Reaction]:
    """Two files, or all reactions of a folder; what cannot be read is a problem of the run."""
    if folder is None:
        if len(files) != 2:
            raise InputError(
                f"{len(files)} files given: give REACTANT and PRODUCT, or --reactions FOLDER"
            )
        stems = output_stems(files).values()
        pairs = [(" → ".join(files), "_".join(stems), list(files))]
    elif files:
        raise InputError("give either REACTANT and PRODUCT or --reactions FOLDER")
    else:
        pairs = [(f.name, f.name, _ends(f)) for f in _reaction_folders(Path(folder))]
    found = []
    for name, stem, ends in pairs:
        structures: list[Atoms] = []
        if len(ends) != 2:
            run.problems.append(f"{name}: needs one r.xyz and one p.xyz")
            continue
        for end in ends:
            frames, problem = read_frames(end, run.no_pbc)
            if problem is None and len(frames) > 1:
                problem = f"{end}: {len(frames)} structures, give one: FILE@index"
            if problem is None:
                structures.append(frames[0].atoms)
            else:
                run.problems.append(problem)
        if len(structures) == 2:
            found.append(Reaction(name, stem, structures))
    run.summary.lap("read")
    return found


def _reaction_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if _ends(folder):
        return [folder.resolve()]  # "." has no name
    found = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: there are no reactions in it")
    return found


def _ends(folder: Path) -> list[str]:
    """Paths of reactant and product."""
    files = sorted(f.name for f in folder.iterdir())
    ends = (f for kind in "rp" for f in files if re.fullmatch(rf"{kind}\d*\.(ext)?xyz", f))
    return [str(folder / f) for f in ends]


def read_guesses(run: Run, files: Sequence[str]) -> list[Reaction]:
    """Every frame a guess; of a path the highest image, and its ends."""
    frames = run.read(list(files))
    stems = frame_stems(frames)
    found = []
    for file, group in itertools.groupby(frames, key=lambda frame: frame.file):
        parts = list(_paths(group))
        for members in parts:
            if len(members) < 3:
                found += [Reaction(f.name, output_stem(f, stems), [f.atoms]) for f in members]
                continue
            name, stem = file, stems[file].removesuffix("_path")
            if len(parts) > 1:
                name = f"{file}@{members[0].index}:{members[-1].index + 1}"
                stem = output_stem(members[0], stems)
            elif stem in stems.values():
                stem = stems[file]
            images = [frame.atoms for frame in members]
            energies = [_energy(image) for image in images]
            if not np.isfinite(energies).all():
                run.problems.append(
                    f"{name}: not all images of the path have an energy, so which is the highest "
                    "is not known: compute them with sp, or give one of them as FILE@index"
                )
                continue
            top = int(np.argmax(energies))
            found.append(Reaction(name, stem, [bare(images[k]) for k in (top, 0, -1)]))
    ours = {f"{one.stem}_{kind}.extxyz": one.name for one in found for kind in KINDS}
    run.keep_inputs(stems, ours)
    return found


def _paths(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Frames of a file apart where the number of an image is not higher than that before, or where
    there is none: a file may hold several paths, and guesses beside them."""
    path: list[Frame] = []
    for frame in frames:
        if path and not _number(path[-1]) < _number(frame):
            yield path
            path = []
        path.append(frame)
    yield path


def _number(frame: Frame) -> float:
    """Which image of a path it is; NaN, which no number is below or above, for none."""
    return float(frame.atoms.info.get("neb_image", np.nan))


def _energy(atoms: Atoms) -> float:
    return np.nan if atoms.calc is None else atoms.calc.results.get("energy", np.nan)


def bare(atoms: Atoms) -> Atoms:
    """Copy without the notes of a path."""
    copy = atoms.copy()
    for name in ("neb_key", "neb_image", "step", "climbing", "max_force", "problems"):
        copy.info.pop(name, None)
    return copy
