"""The public training set of Zhou et al. (PNAS 119 (2022) e2120333119; figshare 19640052).

A folder of four arrays, atoms padded with zeros: ``Z.npy`` (F, A) atomic numbers, ``R.npy``
(F, A, 3) Angstrom, ``EtEi.npy`` (F,) total energy minus the isolated atoms', eV, and
``Gradient_ev.npy`` (F, A, 3) eV/Angstrom: gradients, not forces.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files.broken import unreadable
from .blocks import Block, Broken, Header, Units
from .graph import GroupNames, bonds

FILES = ("EtEi.npy", "Gradient_ev.npy", "R.npy", "Z.npy")
CHUNK = 2000
"""Frames whose bonds are found at a time, which bounds the memory."""


def header(path: Path) -> Header:
    """Units are part of the format; the level is not."""
    return Header(units=Units(), gradients=True, atomization=True)


def blocks(path: Path, level: str | None = None) -> Iterator[Block | Broken]:
    """The frames, gathered by atoms and bonds."""
    energies, gradients, positions, padded = (_load(path / name) for name in FILES)
    energies = energies.reshape(len(energies), -1)
    shape = (*padded.shape, 3)
    if (
        padded.ndim != 2
        or energies.shape != (shape[0], 1)
        or positions.shape != shape
        or gradients.shape != shape
    ):
        raise InputError(
            f"{path.name}: the shapes do not belong together: EtEi {energies.shape}, Z "
            f"{padded.shape}, R {positions.shape}, Gradient_ev {gradients.shape}"
        )
    names = GroupNames()
    rows, inverse = np.unique(padded, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1]):
        row = rows[inverse.ravel()[members[0]]]
        atoms = np.flatnonzero(row)
        if row.dtype.kind == "f" and (row == row.round()).all():  # as some programs save integers
            row = row.astype(np.int64)
        known = bool(len(atoms)) and row.dtype.kind in "iu" and row.min() >= 0 and row.max() <= 118
        for start in range(0, len(members), CHUNK):
            part = members[start : start + CHUNK]
            where = np.asarray(positions[part])[:, atoms]
            if known:
                linked = bonds(row[atoms], np.nan_to_num(where))
                groups = [names.name(row[atoms], frame) for frame in linked]
            else:
                groups = ["?"] * len(part)
            for name in dict.fromkeys(groups):
                mine = np.array([group == name for group in groups])
                yield Block(
                    name=name,
                    numbers=row[atoms],
                    positions=where[mine],
                    energies=energies[part[mine], 0],
                    forces=np.asarray(gradients[part[mine]])[:, atoms],
                    frames=[f"frame {k}" for k in part[mine]],
                )


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, error) from None
