"""Like atoms of both ends in different orders: a path exchanges them, and its barrier is nonsense.

Nothing forbids such ends, and some reactions do exchange like atoms.  What gives a mistake away is
that with like atoms in another order fewer bonds change and fewer centres are turned inside out, or
that the atoms move far less.
"""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from scipy.optimize import linear_sum_assignment

from .geometry import align, bonds, distance

MUCH = 0.4
"""Part of the distance between the ends; where another order leaves less it is the better one."""
MOST_NAMED = 6


def warn_of_order(reactant: Atoms, product: Atoms) -> None:
    """Warn when like atoms of molecules seem to be in different orders; periodic ones pass."""
    if reactant.pbc.any():
        return
    order = nearest_order(reactant, product)
    other = product[order]
    before, after = (_upheaval(reactant, end) for end in (product, other))
    nearer = distance(other, reactant) < MUCH * distance(product, reactant)
    if after > before or not (after < before or nearer):
        return
    moved = np.flatnonzero(order != np.arange(len(order)))
    names = [", ".join(_names(product, some)) for some in (order[moved], moved)]
    warnings.warn(
        f"like atoms of reactant and product ({reactant.get_chemical_formula()}) seem to be in "
        f"different orders: the product fits better with its atoms {names[0]} in the places of "
        f"{names[1]}; reorder it, unless the reaction exchanges them",
        stacklevel=3,
    )


def nearest_order(reactant: Atoms, product: Atoms) -> np.ndarray:
    """Order (A,) of the atoms of the product, each the one of its element next to the reactant's.

    Aligning and assigning take turns until neither brings them closer: what is found is the order
    nearest to the one given, not the best of all.
    """
    unlike = reactant.numbers[:, None] != reactant.numbers
    order = np.arange(len(reactant))
    best = distance(product, reactant)
    while True:
        moved = product[order]
        align(moved, reactant)
        square = ((reactant.positions[:, None] - moved.positions) ** 2).sum(-1)
        step = linear_sum_assignment(np.where(unlike, 1e3 + square.max(), square))[1]
        found = distance(product[order[step]], reactant)
        if found > best - 1e-3:  # Angstrom; exchanges that lead nowhere do not count
            return order
        order, best = order[step], found


def _upheaval(reactant: Atoms, product: Atoms) -> int:
    """Bonds that change, and atoms with the same four neighbours whose handedness does."""
    here, there = bonds(reactant), bonds(product)
    count = len(here ^ there)
    for atom in range(len(reactant)):
        around, later = (
            sorted(sum(pair) - atom for pair in found if atom in pair) for found in (here, there)
        )
        if around == later and len(around) == 4:
            count += _hand(reactant, around) != _hand(product, around)
    return count


def _hand(atoms: Atoms, around: list[int]) -> bool:
    """On which side of three neighbours the fourth is."""
    a, b, c, d = atoms.positions[around]
    return bool(np.linalg.det([a - d, b - d, c - d]) > 0)


def _names(atoms: Atoms, numbers: np.ndarray) -> list[str]:
    shown = [f"{atoms.symbols[k]}{k}" for k in numbers[:MOST_NAMED]]
    return shown + ["..."] * (len(numbers) > MOST_NAMED)
