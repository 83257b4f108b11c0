"""Fullerenes from their face spiral (Fowler and Manolopoulos, An Atlas of Fullerenes, 1995)."""

from __future__ import annotations

from collections import deque
from itertools import combinations

import numpy as np

BOND = 1.43
"""Mean bond length, Angstrom."""


def face_neighbours(pentagons: list[int], n_atoms: int) -> list[set[int]]:
    """Neighbours of every face, for the pentagons' places (from 1) in the spiral.

    Every new face is wound round the patch: it touches the last face and the oldest one that is
    still open, and closes those that have no free edge left.
    """
    sizes = [5 if place in pentagons else 6 for place in range(1, n_atoms // 2 + 3)]
    neighbours: list[set[int]] = [set() for _ in sizes]
    free = list(sizes)

    def join(a: int, b: int) -> None:
        neighbours[a].add(b)
        neighbours[b].add(a)
        free[a] -= 1
        free[b] -= 1

    join(0, 1)
    open_faces = deque([0, 1])
    for face in range(2, len(sizes) - 1):
        join(face, open_faces[-1])
        join(face, open_faces[0])
        while free[open_faces[0]] == 0:
            open_faces.popleft()
            join(face, open_faces[0])
        while free[open_faces[-1]] == 0:
            open_faces.pop()
            join(face, open_faces[-1])
        if free[face] < 1:
            raise ValueError(f"the spiral cannot be closed after face {face + 1}")
        open_faces.append(face)
    for face in open_faces:
        join(len(sizes) - 1, face)
    if any(free):
        raise ValueError("the spiral leaves edges open")
    return neighbours


def bonds(neighbours: list[set[int]]) -> np.ndarray:
    """(n_bonds, 2) atoms; an atom is where three faces meet, a bond where two atoms share two."""
    atoms = [
        (a, b, c)
        for a in range(len(neighbours))
        for b, c in combinations(sorted(x for x in neighbours[a] if x > a), 2)
        if c in neighbours[b]
    ]
    return np.array(
        [
            (i, j)
            for (i, first), (j, second) in combinations(enumerate(atoms), 2)
            if len(set(first) & set(second)) == 2
        ]
    )


def embed(edges: np.ndarray) -> np.ndarray:
    """Positions (n, 3), Angstrom, from the three lowest nodal eigenvectors of the bond graph.

    The eigenvectors 2-4 of the adjacency matrix are the x, y and z of the cage (Manolopoulos and
    Fowler, J. Chem. Phys. 96 (1992) 7603).
    """
    n = int(edges.max()) + 1
    adjacency = np.zeros((n, n))
    adjacency[edges[:, 0], edges[:, 1]] = adjacency[edges[:, 1], edges[:, 0]] = 1.0
    values, vectors = np.linalg.eigh(adjacency)
    positions = vectors[:, [-2, -3, -4]] / np.sqrt(values[-1] - values[[-2, -3, -4]])
    lengths = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
    return positions * (BOND / lengths.mean())
