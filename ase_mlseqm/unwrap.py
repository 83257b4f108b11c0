"""Molecules that a periodic cell has cut apart."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

BOND = 1.25
"""A bond is shorter than this times the sum of the covalent radii."""

LOOSE = 1.4
"""The same for H with H and for F with H, N, O and F, whose bonds are long for their radii.

1.253 in the H2 of GFN2-xTB, 1.24 in F2, 1.28 in FOOF, 1.31 in FHF-; neighbours of one atom are
beyond 1.6.
"""
F_PARTNERS = (1, 7, 8, 9)


def longest_bond(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Length, Angstrom, below which atoms of these atomic numbers are bonded."""
    fluorine = ((first == 9) & np.isin(second, F_PARTNERS)) | (
        (second == 9) & np.isin(first, F_PARTNERS)
    )
    loose = fluorine | ((first == 1) & (second == 1))
    return np.where(loose, LOOSE, BOND) * (covalent_radii[first] + covalent_radii[second])


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
    kinds = np.unique(atoms.numbers)
    limits = longest_bond(kinds[:, None], kinds)
    cutoffs = {
        (int(a), int(b)): float(limits[i, j])
        for i, a in enumerate(kinds)
        for j, b in enumerate(kinds)
    }
    first, second, shifts = neighbor_list("ijS", atoms, cutoffs)
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
