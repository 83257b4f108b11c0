"""Hybridisation, aromaticity and bonded neighbours of atoms, from nothing but the bonds.

The rules below need only which atoms are bonded, so they know neither the model nor the exact
geometry.  They hold for neutral closed-shell molecules.  Of the 23,081 atoms C, N and O of 3,331
molecules and dimers in this project's training data RDKit names seven otherwise: oxygen of carbon
monoxide (sp), and a ring that is aromatic only together with the one it is fused to.

=======  ==========  =============================================================================
element  neighbours  hybridisation
=======  ==========  =============================================================================
C        4 | 3       sp3 | sp2
C        1, 2        sp
N        4           sp3
N        3           sp2 next to an unsaturated atom (amides, anilines, pyrroles, nitro), else sp3
N        2           sp in cumulated and triple bonds (azides, isocyanides), else sp2
N        1           sp; sp2 at the end of an azide or a diazo compound
O, S     2           sp2 next to an unsaturated atom (esters, phenols, furans), else sp3
O, S     1           sp2
halogen  1           sp3
=======  ==========  =============================================================================

Unsaturated are C with up to three, N with up to two, O and S with one neighbour, and N with three
of which one is a lone O (nitro groups, N-oxides).  Everything else is "other".

Aromatic are the atoms of rings of five or six sp2 atoms with six pi electrons: one from C, from N
with two neighbours and from N that carries a lone O; two from other N and from O and S; none from C
with an exocyclic double bond to O, S or N.  A ring with an exocyclic C=C is not aromatic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols

HYBRIDISATIONS = ("sp3", "sp2", "aromatic", "sp", "other")
"""In the order of tables and figures."""
H, C, N, O, S = 1, 6, 7, 8, 16
CHALCOGENS = (O, S)
HALOGENS = (9, 17, 35, 53)


@dataclasses.dataclass(frozen=True)
class Environments:
    """Environments of A atoms.

    Attributes
    ----------
    hybridisation : (A,) str
        One of :data:`HYBRIDISATIONS`; of hydrogen that of the atom it is bonded to, with its
        element, as in "sp3 C".
    neighbours : (A,) str
        Elements of the bonded atoms, hydrogen last, as in "CHHH".
    """

    hybridisation: np.ndarray
    neighbours: np.ndarray


def environments(numbers: np.ndarray, linked: np.ndarray) -> Environments:
    """Environments of the atoms (A,) with the bonds (A, A)."""
    rules = _Rules(numbers, linked)
    heavy = [rules.hybridisation(a) for a in range(len(numbers))]
    for ring in rules.rings(heavy):
        if rules.pi_electrons(ring) == 6:
            for a in ring:
                heavy[a] = "aromatic"
    kinds = [
        _of_hydrogen(numbers, heavy, rules.near[a]) if z == H else heavy[a]
        for a, z in enumerate(numbers.tolist())
    ]
    return Environments(np.array(kinds), np.array([_names(numbers[near]) for near in rules.near]))


def _names(numbers: np.ndarray) -> str:
    """Symbols of neighbours: carbon, all others, hydrogen."""
    order = sorted(numbers.tolist(), key=lambda z: (z == H, z))
    return "".join(chemical_symbols[z] for z in order) or "none"


def _of_hydrogen(numbers: np.ndarray, heavy: list[str], near: list[int]) -> str:
    if len(near) != 1:
        return "other"
    symbol = chemical_symbols[numbers[near[0]]]
    return symbol if symbol == "H" else f"{heavy[near[0]]} {symbol}"


class _Rules:
    """Atomic numbers and neighbours of the atoms of a molecule."""

    def __init__(self, numbers: np.ndarray, linked: np.ndarray) -> None:
        self.linked = linked
        self.z: list[int] = numbers.tolist()
        self.near: list[list[int]] = [np.flatnonzero(row).tolist() for row in linked]
        self.n = [len(near) for near in self.near]

    def unsaturated(self, a: int) -> bool:
        """Whether the atom has a double or triple bond."""
        z, n = self.z[a], self.n[a]
        if z == N and n == 3:
            return any(self.z[b] == O and self.n[b] == 1 for b in self.near[a])
        return n <= {C: 3, N: 2, O: 1, S: 1}.get(z, 0)

    def hybridisation(self, a: int) -> str:
        """From the table above, without aromaticity."""
        z, n, near = self.z[a], self.n[a], self.near[a]
        conjugated = any(self.unsaturated(b) for b in near)
        if z == C:
            return {4: "sp3", 3: "sp2", 2: "sp", 1: "sp"}.get(n, "other")
        if z == N and n == 4:
            return "sp3"
        if z == N and n == 2:
            return "sp" if self._linear(near) else "sp2"
        if z == N and n == 1:
            diazo = self.z[near[0]] == N and self.n[near[0]] == 2
            return "sp2" if diazo else "sp"
        if (z == N and n == 3) or (z in CHALCOGENS and n == 2):
            return "sp2" if conjugated else "sp3"
        if z in CHALCOGENS and n == 1:
            return "sp2"
        return "sp3" if z in HALOGENS and n == 1 else "other"

    def _linear(self, near: list[int]) -> bool:
        """Whether N between these two is linear: N=N=N, N=N=C, C=N-C with a bare C, C=N-O."""
        ends = {(self.z[b], self.n[b]) for b in near}
        return bool(ends & {(N, 1), (C, 1)}) or ends == {(C, 2), (O, 1)}

    def rings(self, hybridisation: list[str]) -> Iterator[list[int]]:
        """Rings of five or six sp2 atoms, none of them split by a bond."""
        flat = {a for a, kind in enumerate(hybridisation) if kind == "sp2"}
        paths = [[a] for a in sorted(flat)]
        while paths:
            path = paths.pop()
            for b in flat.intersection(self.near[path[-1]]):
                if b == path[0] and len(path) in (5, 6) and path[1] < path[-1]:
                    if self.linked[np.ix_(path, path)].sum() == 2 * len(path):
                        yield path
                elif b > path[0] and b not in path and len(path) < 6:
                    paths.append([*path, b])

    def pi_electrons(self, ring: list[int]) -> int:
        """Pi electrons of a ring, 0 when it cannot be aromatic."""
        total = 0
        for a in ring:
            z = self.z[a]
            outside = [b for b in self.near[a] if b not in ring]
            partner = self.z[outside[0]] if outside and self._double(outside[0], a) else 0
            if z == C and partner == C:
                return 0
            if z == C and partner:
                continue
            total += 1 if z == C or (z == N and self.unsaturated(a)) else 2
        return total

    def _double(self, b: int, a: int) -> bool:
        """Whether the unsaturated atom b has nothing but a to share its double bond with."""
        others = (c for c in self.near[b] if c != a)
        return self.unsaturated(b) and not any(self.unsaturated(c) for c in others)
