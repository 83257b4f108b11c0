"""Split into training and validation by fragment, alone and inside dimers.

A fragment is a molecule of its own or one of a dimer.  Its side follows from its SMILES and the
seed alone, so that one split holds for all files, in any order, and for files added later.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..errors import InputError
from .dataset import Dataset
from .smiles import fragments, heavy_atoms

LARGE = 4
"""Heavy atoms from which a fragment may not occur on both sides."""


def split(
    dataset: Dataset, fraction: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of frames for training and validation, and of frames that belong to neither.

    A dimer goes where its large fragments (four or more heavy atoms) belong, and is dropped when
    they belong to different sides; a molecule of small fragments only goes by itself.

    Parameters
    ----------
    fraction : float
        Share of the fragments for validation.
    seed : int
        Another seed gives another split.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the validation fraction is {fraction}: give a number from 0 to below 1")
    sides = np.array([_side(parts, fraction, seed) for parts in identities(dataset)], dtype=int)
    side = sides[dataset.molecule] if len(dataset) else np.zeros(0, dtype=int)
    return np.flatnonzero(side == 0), np.flatnonzero(side == 1), np.flatnonzero(side == -1)


def _side(parts: list[str], fraction: float, seed: int) -> int:
    """0 for training, 1 for validation, -1 for neither."""
    large = [part for part in parts if heavy_atoms(part) >= LARGE]
    sides = {int(_uniform(name, seed) < fraction) for name in large or [".".join(parts)]}
    return sides.pop() if len(sides) == 1 else -1


def _uniform(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing else on any machine."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def large_fragments(dataset: Dataset) -> set[str]:
    """The fragments with four or more heavy atoms of the molecules that have frames."""
    present = np.unique(dataset.molecule)
    names = identities(dataset)
    return {part for k in present for part in names[k] if heavy_atoms(part) >= LARGE}


def leakage(dataset_a: Dataset, dataset_b: Dataset) -> list[str]:
    """Large fragments that occur in both data sets."""
    return sorted(large_fragments(dataset_a) & large_fragments(dataset_b))


def identities(dataset: Dataset) -> list[list[str]]:
    """The fragments of every molecule."""
    out = []
    for name, smiles in zip(dataset.names, dataset.smiles, strict=True):
        if smiles is None:
            raise InputError(f"{name}: there is no SMILES to split by")
        out.append(fragments(smiles))
    return out
