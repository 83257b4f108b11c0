"""Bonds from distances, and names of molecules that follow from them.

For files without SMILES.  Frames of hot dynamics must keep their name: a hydrogen atom belongs to
its nearest heavy atom, however long that bond has become, and so does a halogen atom.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from scipy.sparse.csgraph import connected_components

HEAVY_FACTOR = 1.22
"""Bond length of heavy atoms, at most, in sums of covalent radii.

Six in ten thousand frames at 200-1400 K are then named unlike the others of their molecule; with
1.3 the diagonal of a four-membered ring becomes a bond.
"""

HALOGEN_FACTOR = 1.4
"""The same from a halogen to its nearest heavy atom: that in F2 is 1.25, in ClNO 1.14 at rest."""

HALOGENS = (9, 17, 35, 53)
HYDROGEN_FACTOR = 1.6
"""The same for bonds of hydrogen."""

ROUNDS = 6
"""Bonds up to which the surroundings of an atom enter a name; more differ in no common molecule."""


@dataclasses.dataclass(frozen=True)
class Fragment:
    """A molecule, or one of a dimer: a name that is the same wherever it occurs, and its size."""

    name: str
    heavy: int


def bonds(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Bonds (F, A, A), bool, of frames (F, A, 3) of the atoms (A,), Angstrom."""
    distance = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    radii = covalent_radii[numbers]
    relative = distance / (radii[:, None] + radii)
    heavy = numbers > 1
    out = (relative < HEAVY_FACTOR) & heavy[:, None] & heavy
    out[:, np.arange(len(numbers)), np.arange(len(numbers))] = False
    for kind, factor in (
        (np.isin(numbers, HALOGENS), HALOGEN_FACTOR),
        (~heavy, HYDROGEN_FACTOR),
    ):
        atoms = np.flatnonzero(kind)
        itself = np.arange(len(numbers)) == atoms[:, None]
        offered = np.where(heavy & ~itself, relative[:, atoms], np.inf)  # (F, atoms, A)
        frame, one = np.nonzero(offered.min(-1) < factor)
        other = offered.argmin(-1)[frame, one]
        out[frame, atoms[one], other] = out[frame, other, atoms[one]] = True
    free = ~out.any(-1) & ~heavy
    out |= (relative < HYDROGEN_FACTOR) & free[:, :, None] & free[:, None]
    out[:, np.arange(len(numbers)), np.arange(len(numbers))] = False
    return out


def formula(numbers: np.ndarray) -> str:
    """Composition as in C2H6O: carbon, hydrogen, then by the alphabet."""
    counts = Counter(chemical_symbols[z] for z in numbers.tolist())
    order = sorted(counts, key=lambda s: {"C": "", "H": " "}.get(s, s))
    return "".join(f"{s}{counts[s] if counts[s] > 1 else ''}" for s in order)


def graph_fragments(numbers: np.ndarray, positions: np.ndarray) -> list[Fragment]:
    """The fragments of one frame (A, 3), named by composition and a hash of their bond graph.

    The hash is that of Weisfeiler and Lehman (1968): the colour of an atom, at first its element
    and the closed walks through it, is refined, round by round, by the colours of its neighbours.
    Graphs it cannot tell apart share a name, which puts them on the same side of a split.
    """
    linked = bonds(numbers, positions[None])[0]
    count, component = connected_components(linked)
    # closed walks tell rings apart, which the refinement alone does not
    walks, walk = [], linked.astype(np.int64)
    for _ in range(ROUNDS - 1):
        walk = walk @ linked
        walks.append(np.diag(walk))
    rings = np.stack(walks, 1).tolist()
    colours = [f"{chemical_symbols[z]}{rings[k]}" for k, z in enumerate(numbers.tolist())]
    neighbours = [np.flatnonzero(row).tolist() for row in linked]
    for _ in range(ROUNDS):
        colours = [
            _digest([colours[k], *sorted(colours[j] for j in neighbours[k])])
            for k in range(len(colours))
        ]
    out = []
    for c in range(count):
        atoms = np.flatnonzero(component == c)
        name = f"{formula(numbers[atoms])}~{_digest(sorted(colours[k] for k in atoms))}"
        out.append(Fragment(name, int((numbers[atoms] > 1).sum())))
    return sorted(out, key=lambda f: f.name)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


class GroupNames:
    """Names of molecules in a file that has none: the formula, numbered by atom order and bonds."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._used: Counter[str] = Counter()

    def name(self, numbers: np.ndarray, linked: np.ndarray) -> str:
        """The name of the molecule with the bonds (A, A)."""
        key = numbers.astype(np.int64).tobytes() + np.packbits(linked).tobytes()
        if key not in self._names:
            text = formula(numbers)
            self._used[text] += 1
            self._names[key] = f"{text}-{self._used[text]}"
        return self._names[key]
