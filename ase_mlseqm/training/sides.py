"""Which frames a training takes, and how often."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter

import numpy as np
from ase.data import chemical_symbols

from ..errors import InputError
from .config import TrainConfig
from .dataset import Dataset
from .readers import BROKEN, OTHER_ELEMENTS, OTHER_STATES, SINGLE_ATOMS, kind_of, left_out
from .split import on_both_sides, split


@dataclasses.dataclass(frozen=True)
class Sides:
    """Frames (indices) of both sides of the split, those for training as often as they are taken,
    and how many there are of every kind."""

    training: np.ndarray
    validation: np.ndarray
    counts: dict[str, int]


def both_sides(data: Dataset, config: TrainConfig) -> Sides:
    """The split of the data.

    Raises
    ------
    InputError
        When a side is empty, or the settings do not fit the data files.
    """
    missing = Counter(kind_of(skipped.reason) for skipped in data.skipped)
    training, validation, dropped = split(data, *config.split)
    if not len(training) or not len(validation):
        what = "give more frames, "
        if config.split_by == "fragment":
            what = (
                "a molecule is on one side only: give frames of more molecules, --split-by frame, "
            )
        gone = left_out(data)
        raise InputError(
            f"{len(training)} frames are left for training and {len(validation)} for validation"
            f"{f' (left out: {gone})' if gone else ''}: "
            f"{what}or in a settings file another validation_fraction or split_seed"
        )
    counts = {
        "frames": len(data),
        "training": len(training),
        "validation": len(validation),
        "between_both_sides": len(dropped),
        "other_elements": missing[OTHER_ELEMENTS],
        "other_states": missing[OTHER_STATES],
        "single_atoms": missing[SINGLE_ATOMS],
        "skipped": missing[BROKEN],
    }
    _warn_of_data(data, config)
    _check_lists(config, len(data.level))
    training = _repeated(data, training, config)
    if not len(training):
        given = ", ".join(f"{times:g}" for times in config.repeats)
        raise InputError(f"repeats [{given}] leave no frame for training: raise one")
    return Sides(training, validation, counts)


def _warn_of_data(data: Dataset, config: TrainConfig) -> None:
    """Say that molecules are on both sides of the split because they have several SMILES, and that
    there are no dipoles to train on."""
    several = []
    if config.split_by == "fragment":
        several = on_both_sides(data, config.validation_fraction, config.split_seed)
    if several:
        warnings.warn(
            f"{len(several)} molecules have several SMILES, and are on both sides of the split, "
            f"such as {' and '.join(several[0])}: write all of them with one program, as canonical "
            "SMILES",
            stacklevel=4,
        )
    if config.loss.dipole_weight and data.dipoles is None:
        warnings.warn(
            "the data have no dipoles whose unit is known: dipole_weight changes nothing; state "
            "the unit of those that there are, as in units 'hartree, angstrom, hartree/angstrom, "
            "debye'",
            stacklevel=4,
        )


def warn_of_elements(data: Dataset, training: np.ndarray, config: TrainConfig) -> None:
    """Say which elements a new model will claim to know, of which it learns nothing."""
    seen = {int(z) for k in np.unique(training) for z in data.numbers[k]}
    missing = [chemical_symbols[z] for z in config.model.elements if z not in seen]
    if missing:
        warnings.warn(
            f"no frame for training has {', '.join(missing)}: the model computes molecules with "
            "that, but learns nothing of it; give such frames, or leave it out of the elements of "
            "the model in a settings file",
            stacklevel=3,
        )


def _check_lists(config: TrainConfig, files: int) -> None:
    """Refuse settings that list more data files than there are."""
    if len(config.contacts) > files:
        raise InputError(
            f"contacts {list(config.contacts)} does not fit {files} data files: give at most one "
            "for each, true or false"
        )
    if len(config.repeats) > files:
        given = ", ".join(f"{times:g}" for times in config.repeats)
        raise InputError(
            f"repeats [{given}] does not fit {files} data files: give at most one number for each"
        )


def _repeated(data: Dataset, indices: np.ndarray, config: TrainConfig) -> np.ndarray:
    """The frames as often as the settings want those of their file."""
    times = np.ones(len(data.level))
    times[: len(config.repeats)] = config.repeats
    generator = np.random.default_rng(config.split_seed)
    taken = []
    for source, often in enumerate(times):
        frames = indices[data.source[indices] == source]
        whole = int(often)
        drawn = generator.permutation(len(frames))[: round((often - whole) * len(frames))]
        counts = np.full(len(frames), whole)
        counts[drawn] += 1
        taken.append(np.repeat(frames, counts))
    return np.concatenate(taken)
