"""Which minima a transition state connects: told by bonds, and by distance where these agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from .neb_path import align

if TYPE_CHECKING:
    from .ts_config import Minimum

BOND = 1.25
"""A bond is shorter than this times the sum of the covalent radii."""


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of bonded atoms by distance, the smaller number first."""
    radii = covalent_radii[atoms.numbers]
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    first, second = np.nonzero(np.triu(distances < BOND * (radii[:, None] + radii), 1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def distance(atoms: Atoms, other: Atoms) -> float:
    """Root-mean-square distance of aligned structures, Angstrom."""
    moved = atoms.copy()
    moved.set_constraint()
    align(moved, other)
    return float(np.sqrt(((moved.positions - other.positions) ** 2).sum(1).mean()))


def assigned(minima: list[Minimum], reactant: Atoms, product: Atoms) -> tuple[list[Minimum], bool]:
    """The minima, that of the reactant first, and whether they are reactant and product.

    Bonds decide; where both ends have the same, as conformers, the one that is closer.
    """
    ends = (reactant, product)

    def fits(order: list[Minimum]) -> bool:
        if any(bonds(m.atoms) != bonds(end) for m, end in zip(order, ends, strict=True)):
            return False
        if bonds(reactant) != bonds(product):
            return True
        near = [distance(m.atoms, end) for m, end in zip(order, ends, strict=True)]
        far = [distance(m.atoms, end) for m, end in zip(order, ends[::-1], strict=True)]
        return near[0] < far[0] and near[1] < far[1]

    for order in (minima, minima[::-1]):
        if fits(order):
            return order, True
    return minima, False
