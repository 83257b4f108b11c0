"""Split into training and validation: by fragment, alone and inside dimers, or by frame.

A fragment is a molecule of its own or one of a dimer.  Its side follows from its SMILES and the
seed alone, so that one split holds for all files, in any order, and for files added later; the
SMILES must be canonical, all from one program.  Without SMILES its name is made from composition
and bonds, or is the SMILES of the same bonds elsewhere in the data set.

The side of a frame of its own follows from its atoms and positions and the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .dataset import Dataset
from .graph import Fragment, graph_fragments
from .smiles import smiles_fragments

LARGE = 4
"""Heavy atoms from which a fragment may not occur on both sides."""
WAYS = ("fragment", "frame")


def split(
    dataset: Dataset, fraction: float = 0.1, seed: int = 0, by: str = "fragment"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of frames for training and validation, and of frames that belong to neither.

    A dimer goes where its large fragments (four or more heavy atoms) belong, and is dropped when
    they belong to different sides; a molecule of small fragments only goes by itself.

    Parameters
    ----------
    fraction : float
        Share of the fragments, or frames, for validation.
    seed : int
        Another seed gives another split.
    by : str
        "fragment" or "frame": every frame for itself, so that frames of one molecule are on both
        sides.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the validation fraction is {fraction}: give a number from 0 to below 1")
    if by == "frame":
        names = map(_frame_name, dataset.numbers, dataset.positions)
        later = np.array([_uniform(name, seed) < fraction for name in names], dtype=bool)
        return np.flatnonzero(~later), np.flatnonzero(later), np.empty(0, dtype=np.intp)
    sides = np.zeros(len(dataset.names), dtype=int)
    for molecule, parts in _fragments(dataset, _aliases([dataset])).items():
        sides[molecule] = _side(parts, fraction, seed)
    side = sides[dataset.molecule]
    return np.flatnonzero(side == 0), np.flatnonzero(side == 1), np.flatnonzero(side == -1)


def leakage(dataset_a: Dataset, dataset_b: Dataset) -> list[str]:
    """Names of the large fragments that have frames in both data sets."""
    aliases = _aliases([dataset_a, dataset_b])
    one, two = (
        {f.name for parts in _fragments(data, aliases).values() for f in _large(parts)}
        for data in (dataset_a, dataset_b)
    )
    return sorted(one & two)


def _large(parts: list[Fragment]) -> list[Fragment]:
    return [part for part in parts if part.heavy >= LARGE]


def _side(parts: list[Fragment], fraction: float, seed: int) -> int:
    """0 for training, 1 for validation, -1 for neither."""
    names = [part.name for part in _large(parts)] or [".".join(part.name for part in parts)]
    sides = {int(_uniform(name, seed) < fraction) for name in names}
    return sides.pop() if len(sides) == 1 else -1


def _frame_name(numbers: np.ndarray, positions: np.ndarray) -> str:
    """What tells frames apart: elements, and positions to 1e-4 Angstrom."""
    rounded = np.round(positions, 4) + 0.0  # no minus zero
    whole = np.asarray(numbers, dtype="<i8").tobytes() + rounded.astype("<f8").tobytes()
    return hashlib.sha256(whole).hexdigest()


def _uniform(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing else on any machine."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _first_frames(dataset: Dataset) -> dict[int, int]:
    """The first frame of every molecule that has one."""
    molecules, frames = np.unique(dataset.molecule, return_index=True)
    return dict(zip(molecules.tolist(), frames.tolist(), strict=True))


def _fragments(dataset: Dataset, aliases: dict[str, str]) -> dict[int, list[Fragment]]:
    """The fragments of every molecule that has frames: from its SMILES, else from its bonds."""
    out = {}
    for molecule, frame in _first_frames(dataset).items():
        smiles = dataset.smiles[molecule]
        if smiles is not None:
            out[molecule] = smiles_fragments(smiles)
        else:
            found = graph_fragments(dataset.numbers[frame], dataset.positions[frame])
            named = [Fragment(aliases.get(f.name, f.name), f.heavy) for f in found]
            out[molecule] = sorted(named, key=lambda f: f.name)
    return out


def _aliases(datasets: Sequence[Dataset]) -> dict[str, str]:
    """SMILES by name of the bond graph, where some molecules have SMILES and others have none.

    Only then are the same fragments with and without SMILES known to be the same.
    """
    present = [(data, k, f) for data in datasets for k, f in _first_frames(data).items()]
    if all(data.smiles[k] is not None for data, k, _ in present):
        return {}
    out: dict[str, str] = {}
    for data, k, frame in present:
        for one, other in _both_names(data, k, frame):
            out.setdefault(one.name, other.name)
    return out


def _both_names(data: Dataset, molecule: int, frame: int) -> list[tuple[Fragment, Fragment]]:
    """The fragments of a molecule by their bonds and by their SMILES, where there is one; which is
    which in a dimer is told by size, or left open."""
    smiles = data.smiles[molecule]
    if smiles is None:
        return []
    given = sorted(smiles_fragments(smiles), key=lambda f: f.heavy)
    found = graph_fragments(data.numbers[frame], data.positions[frame])
    found = sorted(found, key=lambda f: f.heavy)
    sizes = [f.heavy for f in given]
    if sizes != [f.heavy for f in found] or len(set(sizes)) < len(sizes):
        return []
    return list(zip(found, given, strict=True))


def on_both_sides(dataset: Dataset, fraction: float, seed: int) -> list[list[str]]:
    """SMILES of large fragments that have the same bonds, and are on different sides of the split:
    those of one molecule, which are not canonical."""
    names: dict[str, set[str]] = {}
    for molecule, frame in _first_frames(dataset).items():
        for one, other in _both_names(dataset, molecule, frame):
            if other.heavy >= LARGE:
                names.setdefault(one.name, set()).add(other.name)
    several = (sorted(found) for found in names.values() if len(found) > 1)
    return [s for s in several if len({_uniform(name, seed) < fraction for name in s}) > 1]
