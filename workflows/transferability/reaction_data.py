"""What the test of reactions reads, and which of it is searched for stationary points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Skipped

from .config import TransferabilityConfig
from .read_rdb7 import Difference, member, read_rdb7
from .stationary import Reaction

REFINED, PATH = "refined", "path"
"""Kinds of searches."""


@dataclasses.dataclass(frozen=True)
class Reactions:
    """Structures, and the energy differences between them.

    Attributes
    ----------
    structures : dict
        :class:`ase.Atoms` by name.
    searches : dict
        Names of the reactions that are refined, and of those between whose ends there is a path.
    skipped : list of Skipped
        Broken records.
    """

    structures: dict[str, Atoms]
    differences: list[Difference]
    searches: dict[str, list[str]]
    skipped: list[Skipped]

    def __len__(self) -> int:
        searches = sum(len(names) for names in self.searches.values())
        return len(self.single) + len(self.differences) + searches

    @property
    def single(self) -> dict[str, Atoms]:
        """The structures of the single points."""
        used = {name for d in self.differences for name in (d.first, d.last)}
        return {name: atoms for name, atoms in self.structures.items() if name in used}

    def reaction(self, name: str) -> Reaction:
        """All structures of a reaction."""
        reactant, top, product = (self.structures.get(member(name, s)) for s in ("r", "ts", "p"))
        assert reactant is not None and top is not None
        return Reaction(name, reactant, top, product)


def load_reactions(files: Sequence[Path], config: TransferabilityConfig) -> Reactions:
    """All reactions of folders in the layout of RDB7, or some of them where there are too many.

    Raises
    ------
    InputError
        When a folder is of another kind, nothing in it can be used, or two have the same reaction.
    """
    structures: dict[str, Atoms] = {}
    differences: list[Difference] = []
    skipped: list[Skipped] = []
    for folder in files:
        if not (folder / "data.csv").is_file():
            raise InputError(f"{folder.name}: there is no data.csv in it")
        found = read_rdb7(folder)
        twice = structures.keys() & found.structures.keys()
        if twice:
            raise InputError(
                f"{min(twice).partition('/')[0]} is in {folder.name} and in another folder of "
                "reactions: number them differently, or test one folder at a time"
            )
        structures |= found.structures
        differences += found.differences
        skipped += found.skipped
    names = sorted({d.reaction for d in differences})
    if config.max_reactions and len(names) > config.max_reactions:
        rng = np.random.default_rng(config.seed)
        names = rng.choice(names, config.max_reactions, replace=False).tolist()
    chosen = [d for d in differences if d.reaction in set(names)]
    return Reactions(structures, chosen, searches(chosen, structures, config), skipped)


def searches(
    differences: Sequence[Difference],
    structures: dict[str, Atoms],
    config: TransferabilityConfig,
) -> dict[str, list[str]]:
    """Random reactions with a barrier; those with paths are among the refined ones, as far as these
    reach and have a product."""
    names = sorted({d.reaction for d in differences if d.quantity == "barrier"})
    rng = np.random.default_rng([config.seed, len(names)])
    drawn = [names[k] for k in rng.permutation(len(names))]
    ends = [name for name in drawn if member(name, "p") in structures]
    return {REFINED: drawn[: config.max_refined], PATH: ends[: config.max_paths]}
