"""How atoms lie to each other: bonds, gaps, and structures on top of each other."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from scipy.cluster.hierarchy import single
from scipy.spatial.distance import pdist

from ase_mlseqm.unwrap import longest_bond


def align(atoms: Atoms, target: Atoms) -> np.ndarray:
    """Move and turn ``atoms`` onto ``target`` (Kabsch, Acta Cryst. A 32 (1976) 922).

    Where several turns are as good, as about the axis of a linear molecule, the smallest is taken:
    otherwise the images next to it would spin at random from step to step.

    Returns
    -------
    (3, 3) array
        The turn R: vectors (A, 3) of the atoms become ``vectors @ R``.
    """
    centre = target.positions.mean(0)
    here, there = atoms.positions - atoms.positions.mean(0), target.positions - centre
    product = here.T @ there
    u, _, vt = np.linalg.svd(product + 1e-6 * np.linalg.norm(product) * np.eye(3))
    proper = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    turn = u @ proper @ vt
    atoms.positions = here @ turn + centre
    return turn


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of bonded atoms by distance, the smaller number first."""
    limits = longest_bond(atoms.numbers[:, None], atoms.numbers)
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    first, second = np.nonzero(np.triu(distances < limits, 1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def distance(atoms: Atoms, other: Atoms) -> float:
    """Root-mean-square distance of aligned structures, Angstrom."""
    moved = atoms.copy()
    align(moved, other)
    return float(np.sqrt(((moved.positions - other.positions) ** 2).sum(1).mean()))


def widest_gap(positions: np.ndarray) -> float:
    """Smallest length, Angstrom, such that steps no longer than it connect all atoms.

    The longest edge of the minimum spanning tree: it grows as soon as an atom or a fragment leaves.
    """
    return float(single(pdist(positions))[-1, 2]) if len(positions) > 1 else 0.0
