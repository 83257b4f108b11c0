"""Geometries for the benchmarks: frames of a data file, stretched bonds, random boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.data import covalent_radii

Frame = tuple[np.ndarray, np.ndarray]
"""Atomic numbers (A,) and positions (A, 3) in Angstrom."""

SEED = 1
BOX_ELEMENTS = (1, 6, 7, 8)
BOX_ATOMS = (4, 15)
BOX_CLOSEST = 0.7  # Angstrom
STRETCHED_CLOSEST = 0.5  # Angstrom


def read_frames(path: Path, count: int, seed: int = SEED) -> list[Frame]:
    """Different frames drawn evenly from the groups (molecules) of an HDF5 file.

    Every group has `species` (A,) and `coordinates` (F, A, 3) in Angstrom.  Fewer frames are the
    first of more frames.
    """
    import h5py

    rng = np.random.default_rng(seed)
    frames: list[Frame] = []
    seen: set[tuple[str, int]] = set()
    with h5py.File(path) as file:
        names = list(file)
        lengths = {name: len(file[name]["coordinates"]) for name in names}
        if count > sum(lengths.values()):
            raise SystemExit(f"{path} has {sum(lengths.values())} frames, {count} were asked for")
        while len(frames) < count:
            name = names[rng.integers(len(names))]
            index = int(rng.integers(lengths[name]))
            if (name, index) in seen:
                continue
            seen.add((name, index))
            group = file[name]
            numbers = group["species"][:].astype(np.int64)
            frames.append((numbers, group["coordinates"][index].astype(np.float64)))
    return frames


def displaced(frames: list[Frame], count: int, size: float = 0.05, seed: int = SEED) -> list[Frame]:
    """Copies of the frames, in turns, with Gaussian displacements (Angstrom)."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(count):
        numbers, positions = frames[k % len(frames)]
        out.append((numbers, positions + rng.normal(0.0, size, positions.shape)))
    return out


def stretch(frame: Frame, factor: float, seed: int) -> Frame:
    """A random bond made `factor` times as long, the fragment behind it moved rigidly.

    Of a ring, the atom moves with what hangs on it alone.  Bonds whose stretching would bring
    atoms closer than 0.5 Angstrom are passed over where there are others.
    """
    numbers, positions = frame
    radii = covalent_radii[numbers]
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    bonded = (distances < 1.3 * (radii[:, None] + radii[None])) & (distances > 0)
    rng = np.random.default_rng([SEED, seed, round(100 * factor)])
    best, widest = positions, -1.0
    for i, j in rng.permutation(np.argwhere(bonded)):
        stays = _reachable(bonded, i, without=j)
        moves = sorted(_reachable(bonded, j, without=i) - stays | {int(j)})
        moved = positions.copy()
        moved[moves] += (factor - 1.0) * (positions[j] - positions[i])
        closest = closest_distance(moved)
        if closest > widest:
            best, widest = moved, closest
        if closest > STRETCHED_CLOSEST:
            break
    return numbers, best


def _reachable(bonded: np.ndarray, start: int, without: int) -> set[int]:
    """Atoms connected with `start` by paths that do not touch `without`."""
    found, todo = {int(start)}, [int(start)]
    while todo:
        for neighbour in np.flatnonzero(bonded[todo.pop()]).tolist():
            if neighbour not in found and neighbour != without:
                found.add(neighbour)
                todo.append(neighbour)
    return found


def closest_distance(positions: np.ndarray) -> float:
    """Smallest distance between two atoms, Angstrom."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return float(distances[np.triu_indices(len(positions), 1)].min())


def random_boxes(count: int, seed: int = SEED) -> list[Frame]:
    """4 to 15 atoms H, C, N or O at random places, about 6 cubic Angstrom each."""
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        n = int(rng.integers(BOX_ATOMS[0], BOX_ATOMS[1] + 1))
        numbers = rng.choice(BOX_ELEMENTS, n).astype(np.int64)
        edge = (6.0 * n) ** (1 / 3) + 1.0
        positions: list[np.ndarray] = []
        while len(positions) < n:
            place = rng.uniform(0.0, edge, 3)
            if all(np.linalg.norm(place - other) >= BOX_CLOSEST for other in positions):
                positions.append(place)
        boxes.append((numbers, np.array(positions)))
    return boxes
