"""What a model has seen: the files of its trainings, and what was kept from them."""

from __future__ import annotations

import warnings
from typing import Any

from ..nn.weights import ModelFile
from .dataset import Dataset, free_name
from .split import WAYS


def files_behind(card: dict[str, Any]) -> dict[str, str]:
    """Checksums of all files that a model has been trained on, also of what it started from."""
    found = dict(card.get("earlier_files", {}))
    for name, digest in card.get("training", {}).get("files", {}).items():
        found[free_name(name, digest, found)] = digest
    return found


def splits_behind(card: dict[str, Any]) -> set[tuple[float, int, str]]:
    """All splits by which frames were kept from the training of a model: fraction, seed, and of
    what, which older cards do not say."""
    if "splits" in card:
        return {(fraction, seed, *(by or [WAYS[0]])) for fraction, seed, *by in card["splits"]}
    settings = card.get("settings", {})
    fraction, seed = settings.get("validation_fraction"), settings.get("split_seed")
    known = fraction is not None and seed is not None
    return {(fraction, seed, settings.get("split_by", WAYS[0]))} if known else set()


def warn_of_changes(network: ModelFile, data: Dataset) -> None:
    """Say which files were others when the network was trained on files of their names: what they
    have in common with these passes for new."""
    seen = files_behind(network.card)
    changed = [
        name
        for name, digest in data.checksums.items()
        if name in seen and digest not in seen.values()
    ]
    if changed:
        warnings.warn(
            f"{', '.join(changed)} changed since {network.model.name} was trained on files of that "
            "name: frames that it has seen count as new; give what was added in a file of its own",
            stacklevel=3,
        )
