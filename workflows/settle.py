"""Relaxations with which a workflow begins; a journal keeps those that are done."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import __version__

from .fingerprint import fingerprint
from .journal import Journal
from .relax_config import RelaxConfig, RelaxResult
from .relax_history import StepCallback
from .relax_in_turn import InTurn
from .relax_many import relax_many
from .several import attempt, together

RELAXED = "relaxed"
"""Name in the journal."""


def relaxation_file(journal: Path) -> Path:
    """File beside that of a journal: where relaxations are that are under way."""
    return journal.with_name(journal.name + ".relaxation")


def settled(
    structures: Sequence[Any],
    calc: BaseCalculator,
    config: RelaxConfig,
    journal: Journal,
    callback: StepCallback | None,
) -> tuple[list[Any], list[Any]]:
    """Relaxed structures, and of each a list with a sentence where that has not converged.

    Many relax as one batch, one by itself with a report of its steps.  A relaxation that was cut
    off goes on from :func:`relaxation_file`.
    """
    words = (dataclasses.asdict(config), __version__)
    keyed = attempt(lambda atoms: (atoms, fingerprint(calc, [atoms], *words)), structures)
    ends = together(lambda some: _relaxed(some, calc, config, journal, callback), keyed)
    return attempt(lambda end: end[0], ends), attempt(lambda end: end[1], ends)


def _relaxed(
    keyed: list[tuple[Atoms, str]],
    calc: BaseCalculator,
    config: RelaxConfig,
    journal: Journal,
    callback: StepCallback | None,
) -> list[Any]:
    left = [k for k, (_, key) in enumerate(keyed) if RELAXED not in journal.known(key)]
    some = [keyed[k][0] for k in left]
    file = None if journal.path is None else relaxation_file(journal.path)

    def keep(place: int, result: RelaxResult) -> None:
        doubts = [] if result.converged else [f"the relaxation {result.message}"]
        entry = {"positions": result.atoms.positions, "doubts": doubts}
        journal.keep(keyed[left[place]][1], RELAXED, entry)

    def alone(atoms: Atoms) -> RelaxResult:
        turn = InTurn([atoms], calc, config, file)
        result = turn.relax(0, callback=callback)
        keep(0, result)
        turn.finish()
        return result

    if len(some) > 1:
        ends = relax_many(some, calc, config, done=keep, checkpoint=file)
    else:
        ends = attempt(alone, some)
    failed = {k: end for k, end in zip(left, ends, strict=True) if isinstance(end, Exception)}

    def relaxed(start: Atoms, key: str) -> tuple[Atoms, list[str]]:
        entry = journal.known(key)[RELAXED]
        atoms = start.copy()
        atoms.positions = entry["positions"]
        return atoms, entry["doubts"]

    return [failed[k] if k in failed else relaxed(*pair) for k, pair in enumerate(keyed)]
