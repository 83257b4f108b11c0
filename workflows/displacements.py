"""Forces and dipoles of displaced structures, with any ASE calculator; a journal keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    PropertyNotImplementedError,
    SCFError,
)

from ase_mlseqm import MLSEQM, __version__
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.calculator import batched
from ase_mlseqm.differences import Move
from ase_mlseqm.engines import engine_for

from .fingerprint import fingerprint
from .foreign import foreign_errors
from .journal import Entry, Journal

Progress = Callable[[int, int], None]

BATCHED_STEP = 1e-3
FOREIGN_STEP = 1e-2
"""Angstrom; a calculator of unknown precision needs a larger displacement."""

Found = tuple[int, int, Entry | CalculatorError]
"""Place of a structure, number of a displacement of it, and its forces and dipole."""


@dataclasses.dataclass(frozen=True)
class Displaced:
    """A structure of A atoms displaced forward and backward by every one of M moves.

    Attributes
    ----------
    forces : (M, 2, A, 3) array
        eV/Angstrom.
    dipoles : (M, 2, 3) array or None
        e Angstrom; None where the calculator has none.  With MLSEQM that of an ion is about its
        centre of mass.
    """

    forces: np.ndarray
    dipoles: np.ndarray | None


def default_step(calc: BaseCalculator) -> float:
    """Displacement for derivatives, Angstrom."""
    return BATCHED_STEP if batched(calc) else FOREIGN_STEP


def displaced(
    structures: Sequence[Atoms],
    calc: BaseCalculator,
    moves: Sequence[Sequence[Move]],
    journal: Journal,
    densities: Sequence[np.ndarray | None],
    callback: Progress | None = None,
) -> list[Displaced | CalculatorError]:
    """Results of displaced structures; constraints do not count.

    With :class:`ase_mlseqm.MLSEQM` those of all structures share batches
    (:func:`ase_mlseqm.displaced.displaced_pairs`); another calculator takes them in turn.

    Parameters
    ----------
    moves : sequence of lists of moves
        Those of every structure.
    journal : Journal
        What it has is not computed again; it gets everything else as it is computed.
    densities : sequence of (S, N, N) arrays or None
        Where the SCF of each undisplaced structure starts, with MLSEQM.
    callback : callable, optional
        Called with (done, all) displaced calculations.

    Returns
    -------
    list
        An exception for a structure that cannot be displaced.
    """
    keys = [_key(calc, *row) for row in zip(structures, moves, strict=True)]
    known = [journal.known(key) for key in keys]
    done, every = sum(map(len, known)), 2 * sum(map(len, moves))
    failed: dict[int, CalculatorError] = {}
    found = (
        _in_batches(structures, calc, moves, known, densities)
        if batched(calc)
        else _in_turn(structures, calc, moves, known)
    )
    for k, number, entry in found:
        if isinstance(entry, CalculatorError):
            failed.setdefault(k, entry)
            continue
        journal.keep(keys[k], number, entry)
        done += 1
        if callback is not None:
            callback(done, every)
    return [
        failed[k] if k in failed else _gathered(rows, len(moves[k]), len(atoms))
        for k, (atoms, rows) in enumerate(zip(structures, known, strict=True))
    ]


def _key(calc: BaseCalculator, atoms: Atoms, moves: Sequence[Move]) -> str:
    # the differences of rounded positions would be those of another structure
    words = (moves, atoms.positions.tolist(), repr(atoms.info), __version__)
    return fingerprint(calc, [atoms], *words)


def _in_batches(
    structures: Sequence[Atoms],
    calc: MLSEQM,
    moves: Sequence[Sequence[Move]],
    known: Sequence[dict[Any, Entry]],
    densities: Sequence[np.ndarray | None],
) -> Iterator[Found]:
    from ase_mlseqm.displaced import NotConvergedError, displaced_pairs  # torch comes with it

    given = calc.parameters
    molecules = [
        molecule_from_atoms(atoms, given["charge"], given["multiplicity"]) for atoms in structures
    ]
    missing = [
        [place for place in range(len(some)) if not {2 * place, 2 * place + 1} <= rows.keys()]
        for some, rows in zip(moves, known, strict=True)
    ]
    left = [[moves[k][place] for place in places] for k, places in enumerate(missing)]
    settings = {name: given[name] for name in ("unrestricted", "field")}
    for part in displaced_pairs(engine_for(given), molecules, left, guesses=densities, **settings):
        for k, n, pair in part:
            if isinstance(pair, NotConvergedError):
                yield k, 0, SCFError(f"{structures[k].get_chemical_formula()}: {pair}")
                continue
            for side in (0, 1):
                entry = {"forces": pair.forces[side], "dipole": pair.dipoles[side]}
                yield k, 2 * missing[k][n] + side, entry


def _in_turn(
    structures: Sequence[Atoms],
    calc: BaseCalculator,
    moves: Sequence[Sequence[Move]],
    known: Sequence[dict[Any, Entry]],
) -> Iterator[Found]:
    for k, atoms in enumerate(structures):
        work = atoms.copy()
        work.set_constraint()
        work.calc = calc
        for number in range(2 * len(moves[k])):
            if number in known[k]:
                continue
            atom, vector = moves[k][number // 2]
            work.positions = atoms.positions
            work.positions[atom] += np.array(vector) * (1.0, -1.0)[number % 2]
            try:
                with foreign_errors():
                    entry = {"forces": work.get_forces()} | _dipole(work)
                if not np.isfinite(entry["forces"]).all():
                    raise CalculatorError("forces are not finite numbers")
            except CalculatorError as error:
                yield k, number, error
                break
            yield k, number, entry


def _dipole(atoms: Atoms) -> Entry:
    if "dipole" not in atoms.calc.implemented_properties:
        return {}
    try:
        return {"dipole": atoms.get_dipole_moment()}
    except (PropertyNotImplementedError, KeyError):  # those of a wrapper that claims everything
        return {}


def _gathered(rows: dict[Any, Entry], n_moves: int, n_atoms: int) -> Displaced:
    entries = [rows[number] for number in range(2 * n_moves)]
    forces = np.array([entry["forces"] for entry in entries]).reshape(-1, 2, n_atoms, 3)
    if not all("dipole" in entry for entry in entries):
        return Displaced(forces, None)
    return Displaced(forces, np.array([entry["dipole"] for entry in entries]).reshape(-1, 2, 3))
