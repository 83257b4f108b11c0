"""Which frames make a batch, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .config import TrainConfig
from .dataset import Dataset
from .parts import label_parts
from .step import Frames

POOL = 8
"""Batches whose frames are drawn together and sorted by size, so that batches hold like sizes."""

SMALLEST = 8
"""Frames of a part that is worth a worker of its own."""


def n_orbitals(data: Dataset) -> np.ndarray:
    """(F,) orbitals of every frame."""
    return np.array([np.where(z > 1, 4, 1).sum() for z in data.numbers], dtype=np.int64)


def epoch_batches(sizes: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of the frames of every batch of an epoch; those that do not fill one are left out.

    Parameters
    ----------
    sizes : (F,)
        Orbitals of the frames.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(sizes))
    batches = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        # before sorting: otherwise it would always be the largest that are left out
        pool = pool[: len(pool) // batch_size * batch_size]
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        stops = range(batch_size, len(pool) + 1, batch_size)
        batches += [pool[stop - batch_size : stop] for stop in stops]
    if not batches and len(order):
        batches = [order[np.argsort(sizes[order], kind="stable")]]
    return [batches[k] for k in random.permutation(len(batches))]


def chunks(
    indices: np.ndarray,
    sizes: np.ndarray,
    chunk_size: int,
    workers: int = 1,
    kinds: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Parts of a batch, each of like sizes and the largest first, that are computed together.

    Parameters
    ----------
    workers : int
        So many parts at least, as long as they have ``SMALLEST`` frames.
    kinds : (F,) int, optional
        Of frames that must not be computed together.
    """
    ordered = indices[np.argsort(-sizes[indices], kind="stable")]
    if kinds is not None:
        found = kinds[ordered]
        groups = (ordered[found == kind] for kind in np.unique(found)[::-1])
        return [part for group in groups for part in chunks(group, sizes, chunk_size, workers)]
    n_parts = max(1, -(-len(ordered) // chunk_size), min(workers, len(ordered) // SMALLEST))
    return np.array_split(ordered, n_parts)


def chunk_size(config: TrainConfig, device: torch.device) -> int:
    """Frames that are computed together: a GPU takes as long for a few as for many."""
    return config.chunk_size * (1 if device.type == "cpu" else 16)


def known_contacts(data: Dataset, config: TrainConfig) -> np.ndarray | None:
    """Frames (F,) whose forces between molecules are learned; None where that does not matter."""
    listed = np.ones(len(data.level), dtype=bool)
    listed[: len(config.contacts)] = config.contacts
    if listed.all() and not config.loss.contact_weight:
        return None
    return listed[data.source]


def collate(
    data: Dataset,
    indices: Sequence[int] | np.ndarray,
    device: torch.device,
    contacts: np.ndarray | None = None,
) -> Frames:
    """Pad frames, all unrestricted or all restricted, to one batch.

    Parameters
    ----------
    contacts : (F,) bool, optional
        Frames whose forces between molecules are learned; None does not tell molecules apart.
    """
    width = max(len(data.numbers[k]) for k in indices)
    numbers = np.zeros((len(indices), width), dtype=np.int64)
    positions = np.zeros((len(indices), width, 3))
    forces = np.zeros_like(positions)
    for row, k in enumerate(indices):
        n = len(data.numbers[k])
        numbers[row, :n] = data.numbers[k]
        positions[row, :n] = data.positions[k]
        forces[row, :n] = data.forces[k]
    chosen = np.asarray(indices)
    arrays = {
        "numbers": numbers,
        "positions": positions,
        "charge": data.charge[chosen],
        "multiplicity": data.multiplicity[chosen],
        "energy": data.atomization[chosen],
        "forces": forces,
    }
    if data.dipoles is not None:
        arrays["dipole"] = data.dipoles[chosen]
    if contacts is not None:
        arrays |= {"parts": label_parts(data, indices, width), "contacts": contacts[chosen]}
    tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    return Frames(**tensors, unrestricted=bool(data.unrestricted[chosen].any()))
