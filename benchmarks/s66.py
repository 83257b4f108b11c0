"""Interaction energies of S66 at its minima, and where minima of its curves are.

Geometries: the frames of S66x8 in COMP6's HDF5 file, of which the third of eight is the minimum
(distance factors 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2; Brauer, Kesharwani, Kozuch, Martin, PCCP 18
(2016) 20905).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from scipy.sparse.csgraph import connected_components

from ase_mlseqm.training.graph import bonds
from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.workflows.transferability.curves import minimum

CCSDT = (
    *(-4.918, -5.592, -6.908, -8.103, -5.757, -7.554, -8.230, -5.009, -3.059, -4.160, -5.419),
    *(-7.266, -6.187, -7.454, -8.630, -5.124, -17.182, -6.857, -7.410, -19.093, -16.265),
    *(-19.491, -19.189, -2.822, -3.895, -9.829, -3.439, -5.713, -6.819, -1.432, -3.380, -3.738),
    *(-1.872, -3.776, -2.613, -1.777, -2.404, -2.997, -3.575, -2.895, -4.848, -4.138, -3.712),
    *(-2.005, -1.748, -4.264, -2.876, -3.535, -3.331, -2.867, -1.524, -4.707, -4.361, -3.277),
    *(-4.188, -3.231, -5.282, -4.146, -2.850, -4.868, -2.912, -3.534, -3.801, -2.999, -3.991),
    *(-3.968,),
)
"""kcal/mol, CCSD(T) at the limit of the basis (Rezac, Riley, Hobza, J. Chem. Theory Comput. 7
(2011) 2427 and 3466, revised)."""
KINDS = {"hydrogen bonds": range(23), "dispersion": range(23, 46), "mixed": range(46, 66)}
FACTORS = np.array([0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0])
AT_MINIMUM = 2


def read_s66x8(path: Path) -> dict[int, list[Atoms]]:
    """The eight frames of every dimer in a file, by its place in S66, from 0."""
    with h5py.File(path) as file:
        curves = file["s66x8"]
        return {
            int(name.removeprefix("mol")): [
                Atoms([s.decode() for s in group["species"][()]], x)
                for x in group["coordinates"][()]
            ]
            for name, group in curves.items()
        }


def parts(frames: Sequence[Atoms]) -> list[Atoms]:
    """Both molecules of a dimer, told apart where they are widest apart."""
    widest = frames[-1]
    count, labels = connected_components(bonds(widest.numbers, widest.positions[None])[0])
    assert count == 2
    return [widest[labels == k] for k in range(2)]


def interactions(
    curves: dict[int, list[Atoms]], energies: Callable[[list[Atoms]], np.ndarray]
) -> np.ndarray:
    """Interaction energies (curves, 8), kcal/mol, with rigid molecules.

    Parameters
    ----------
    energies : callable
        Of a list of structures, eV.
    """
    systems = [a for frames in curves.values() for a in (*frames, *parts(frames))]
    found = np.asarray(energies(systems)).reshape(len(curves), -1)
    return EV_TO_KCAL * (found[:, :8] - found[:, 8:].sum(1, keepdims=True))


def minima(values: np.ndarray) -> np.ndarray:
    """Distance factors (curves,) at the minima of (curves, 8) energies, NaN where there is none."""
    return np.array([minimum(FACTORS, y).x for y in values])
