"""Reactions in files: ends of paths, and guesses of transition states."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from .errors import InputError
from .frames import frame_stems, output_stem, output_stems, read_frames
from .runs import Run

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
            if problem is not None:
                run.problems.append(problem)
            structures += [frame.atoms for frame in frames[:1] if problem is None]
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
        members = list(group)
        images = [frame.atoms for frame in members]
        if len(images) > 2 and all("neb_image" in atoms.info for atoms in images):
            top = int(np.argmax([atoms.get_potential_energy() for atoms in images]))
            structures = [bare(images[k]) for k in (top, 0, -1)]
            stem = stems[file].removesuffix("_path")
            free = stem not in stems.values()
            found.append(Reaction(file, stem if free else stems[file], structures))
            continue
        for frame in members:
            found.append(Reaction(frame.name, output_stem(frame, stems), [frame.atoms]))
    ours = {f"{one.stem}_{kind}.extxyz": one.name for one in found for kind in KINDS}
    run.keep_inputs(stems, ours)
    return found


def bare(atoms: Atoms) -> Atoms:
    """Copy without the notes of a path."""
    copy = atoms.copy()
    for name in ("neb_key", "neb_image", "step", "climbing", "max_force", "problems"):
        copy.info.pop(name, None)
    return copy
