"""Molecules that a periodic cell has cut apart."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

BOND = 1.25
"""A bond is shorter than this times the sum of the covalent radii."""


def make_whole(atoms: Atoms) -> bool:
    """Put the parts of molecules that lie in different images of the cell together (in place).

    Every atom moves by lattice vectors, beside an atom that it is bonded to.

    Returns
    -------
    bool
        False, and nothing moved, where bonds go on without end, as in a crystal or a polymer.
    """
    if not atoms.pbc.any() or not atoms.cell.rank:
        return True
    radii = (BOND * covalent_radii[atoms.numbers]).tolist()
    first, second, shifts = neighbor_list("ijS", atoms, radii)
    if not shifts.any():
        return True
    partners: list[list[tuple[int, np.ndarray]]] = [[] for _ in atoms]
    for i, j, shift in zip(first.tolist(), second.tolist(), shifts, strict=True):
        partners[i].append((j, shift))
    images: dict[int, np.ndarray] = {}
    for start in range(len(atoms)):
        if start in images:
            continue
        images[start] = np.zeros(3, dtype=int)
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for there, shift in partners[here]:
                image = images[here] + shift
                if there not in images:
                    images[there] = image
                    waiting.append(there)
                elif (images[there] != image).any():
                    return False
    atoms.positions += np.array([images[k] for k in range(len(atoms))]) @ atoms.cell.array
    return True
