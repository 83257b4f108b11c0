"""Contacts of pairs of molecules that were moved along the line of their centres.

A curve is three frames of a pair, one after the other in a file: inside its minimum, there, and
outside, as `training_structures.py` makes them.  Their contact is where the force between the
molecules along the line vanishes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.sparse.csgraph import connected_components

from ase_mlseqm.training.graph import bonds

POINTS = 3
BEYOND = 0.3
"""So much further than its points a curve is followed, Angstrom."""


def contact(places: np.ndarray, slopes: np.ndarray) -> float:
    """The first minimum of a curve with ``slopes`` at ``places`` (three), which a parabola
    connects; nan without one, as of a curve that falls to its end."""
    fine = np.linspace(places.min() - BEYOND, places.max() + BEYOND, 4001)
    slope = np.polyval(np.polyfit(places, slopes, 2), fine)
    rising = np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
    return float(fine[rising[0]]) if len(rising) else float("nan")


def contacts(frames: Sequence[Atoms], forces: Sequence[np.ndarray]) -> np.ndarray:
    """Contacts of curves, each as a place on its own line, Angstrom, from the forces on atoms."""
    found = []
    for start in range(0, len(frames), POINTS):
        curve = frames[start : start + POINTS]
        number, side = connected_components(bonds(curve[0].numbers, curve[0].positions[None])[0])
        if number != 2 or len({atoms.numbers.tobytes() for atoms in curve}) != 1:
            raise ValueError(f"frame {start} and the next: no curve of a pair")
        apart = np.array(
            [a.positions[side == 1].mean(0) - a.positions[side == 0].mean(0) for a in curve]
        )
        far = np.linalg.norm(apart, axis=1)
        line = apart[far.argmax()] - apart[far.argmin()]
        line /= np.linalg.norm(line)
        pulls = np.array([f[side == 1].sum(0) for f in forces[start : start + POINTS]])
        found.append(contact(apart @ line, -pulls @ line))
    return np.array(found)
