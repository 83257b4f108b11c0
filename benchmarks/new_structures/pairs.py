"""Pairs of molecules from touching to apart, as they come or relaxed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from rdkit import Chem

from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.split import LARGE
from new_structures.common import canonical, embedded, finished, pair, relaxed
from new_structures.names import (
    AROMATICS,
    HYDROCARBONS,
    IN_S66,
    LARGER_PARTNERS,
    LEFT_OUT,
    MEDIUM,
    PARTNERS,
    SMALL,
    VALIDATED,
)


def contacts(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of molecules, contacts from 0.35 Angstrom inside Bondi's radii to 0.6 outside."""
    for _ in range(160):
        one = rng.choice(HYDROCARBONS if rng.random() < 0.4 else PARTNERS)
        other = rng.choice(PARTNERS)
        if {str(one), str(other)} <= LEFT_OUT:
            continue
        parts = [embedded(str(s), int(rng.integers(1000))) for s in (one, other)]
        atoms = pair(*parts, float(rng.uniform(-0.35, 0.6)), rng)
        if len(atoms) <= 16:
            yield finished(atoms, canonical(f"{one}.{other}"), "contact")


def dimers(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of a larger and a small molecule, relaxed."""
    yield from relaxed_pairs(LARGER_PARTNERS, PARTNERS, 17, rng)


def stacks(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of aromatic rings, relaxed."""
    yield from relaxed_pairs(AROMATICS, AROMATICS, 21, rng)


def curves(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two points of the curve of a pair, relaxed; one pair in seven is for validation."""
    moves = ((-0.35, 0.3), (0.3, 1.6))
    smallest = [s for s in PARTNERS if Chem.MolFromSmiles(s).GetNumHeavyAtoms() < LARGE]
    for _ in range(3000):
        if rng.random() < 1 / 7:
            sides = VALIDATED, smallest
        else:
            sides = MEDIUM, MEDIUM if rng.random() < 0.5 else PARTNERS
        yield from relaxed_pair(*sides, 24, rng, moves)


def walls(rng: np.random.Generator) -> Iterator[Atoms]:
    """Three points of the curve of a small relaxed pair: inside its minimum, there, and outside."""
    moves = ((-0.4, -0.1), (-0.1, 0.25), (0.25, 1.2))
    for _ in range(3000):
        first = (*AROMATICS, *LARGER_PARTNERS) if rng.random() < 0.5 else PARTNERS
        yield from relaxed_pair(first, PARTNERS, 18, rng, moves)


def faces(rng: np.random.Generator) -> Iterator[Atoms]:
    """Three points of the curve of a relaxed pair of aromatic rings: inside, there, and outside."""
    moves = ((-0.4, -0.1), (-0.1, 0.25), (0.25, 1.5))
    for _ in range(3000):
        yield from relaxed_pair(AROMATICS, AROMATICS, 24, rng, moves)


def encounters(rng: np.random.Generator) -> Iterator[Atoms]:
    """One point each of the curves of many small relaxed pairs."""
    small = (*PARTNERS, *SMALL)
    large = (*small, *MEDIUM, *AROMATICS, *LARGER_PARTNERS)
    for _ in range(5000):
        yield from relaxed_pair(large, small, 18, rng, ((-0.4, 0.6),))


def relaxed_pairs(
    first: Sequence[str], second: Sequence[str], most: int, rng: np.random.Generator
) -> Iterator[Atoms]:
    """Relaxed pairs of up to so many atoms, one point of each."""
    for _ in range(300):
        yield from relaxed_pair(first, second, most, rng, ((-0.25, 0.8),))


def relaxed_pair(
    first: Sequence[str],
    second: Sequence[str],
    most: int,
    rng: np.random.Generator,
    moves: Sequence[tuple[float, float]],
) -> Iterator[Atoms]:
    """One pair relaxed with GFN2-xTB, then moved together or apart along the line of the centres.

    Nothing if it is a pair of S66, has more than ``most`` atoms, or has reacted.
    """
    names = [str(rng.choice(side)) for side in (first, second)]
    if {canonical(s) for s in names} <= IN_S66:
        return
    one, other = (embedded(s, int(rng.integers(1000))) for s in names)
    if len(one) + len(other) > most:
        return
    atoms = relaxed(pair(one, other, 0.0, rng), 0.02, 80)
    own = np.arange(len(atoms)) < len(one)
    if bonds(atoms.numbers, atoms.positions[None])[0][own][:, ~own].any():
        return
    line = atoms.positions[~own].mean(0) - atoms.positions[own].mean(0)
    for shortest, longest in moves:
        frame = atoms.copy()
        away = float(rng.uniform(shortest, longest))
        frame.positions[~own] += away * line / np.linalg.norm(line)
        frame.rattle(0.01, rng=rng)
        yield finished(frame, canonical(".".join(names)), "contact")
