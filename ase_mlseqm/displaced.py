"""Forces and dipoles of displaced molecules: many share a batch, and start from known densities."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .batch import Molecule
from .differences import Move
from .engine import Engine
from .results import SinglePoint

TIGHT = 1e-9
"""eV; SCF tolerance of displaced calculations, whose differences are divided by a small step."""
FIRST = 5e5
"""Elements of the densities of the molecules that are displaced first, which take about a second on
one core: then it is known how fast that is."""
PART_SECONDS = 5.0
"""About as long take those that are displaced together; an interruption loses these."""
HELD = 4e7
"""Elements of the densities of displaced molecules that are in memory at once; 320 MB."""


class NotConvergedError(RuntimeError):
    """A displaced SCF did not converge; the message says which."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Results of a molecule of A atoms with one of them displaced forward and backward.

    Attributes
    ----------
    forces : (2, A, 3) array
        eV/Angstrom.
    dipoles : (2, 3) array
        e Angstrom; that of an ion is about its centre of mass.
    """

    forces: np.ndarray
    dipoles: np.ndarray


def displaced_pairs(
    engine: Engine,
    molecules: Sequence[Molecule],
    moves: Sequence[Sequence[Move]],
    *,
    unrestricted: bool | None = None,
    guesses: Sequence[np.ndarray | None] | None = None,
    field: tuple[float, float, float] | None = None,
) -> Iterator[list[tuple[int, int, Pair | NotConvergedError]]]:
    """Forces and dipoles of molecules displaced forward and backward by moves of their own.

    The displaced molecules of all share batches: those displaced forward are one call of the
    engine, in which each starts from the density P of its undisplaced one.  Those displaced
    backward are another: with 2 P - P(forward) they start closer by an order of the displacement.
    What takes longer than about :data:`PART_SECONDS`, or needs more memory than :data:`HELD`, is
    divided into more such pairs of calls.  The SCF is tightened to 1e-9 eV.

    Parameters
    ----------
    guesses : sequence of (S, N, N) arrays or None, optional
        Densities that the SCF of the undisplaced molecules starts from.

    Yields
    ------
    list
        What a pair of calls has found: place of the molecule, place in its moves, results or an
        exception.  A molecule with an exception is not displaced further.
    """
    tight = tightened(engine)
    settings: dict[str, Any] = {"unrestricted": unrestricted, "field": field}
    chosen = [k for k, some in enumerate(moves) if some]
    if not chosen:
        return
    starts = [guesses[k] for k in chosen] if guesses is not None else None
    undisplaced = [molecules[k] for k in chosen]
    points = tight.run(undisplaced, ("energy", "density"), guesses=starts, **settings)
    middle: dict[int, Any] = dict(zip(chosen, points, strict=True))

    def side(
        some: Sequence[tuple[int, int]], sign: float, starts: list[np.ndarray], *more: str
    ) -> list[Any]:
        if not some:
            return []
        moved = [_displaced(molecules[k], moves[k][place], sign) for k, place in some]
        wanted = ("energy", "forces", "dipole", *more)
        return tight.run(moved, wanted, guesses=starts, **settings)

    failed = {k for k in chosen if not middle[k].converged}
    if failed:
        yield [(k, 0, _failure(middle[k], "the undisplaced molecule")) for k in sorted(failed)]
    every = [(k, place) for k in chosen if k not in failed for place in range(len(moves[k]))]
    sizes = [np.size(middle[k].density) for k, _ in every]
    for part in parts(every, sizes, FIRST, HELD, PART_SECONDS):
        some = [(k, place) for k, place in part if k not in failed]
        ahead = side(some, 1.0, [middle[k].density for k, _ in some], "density")
        # what has failed cannot be mirrored
        both = [n for n, point in enumerate(ahead) if point.converged]
        mirrored = [2.0 * middle[some[n][0]].density - ahead[n].density for n in both]
        behind = dict(zip(both, side([some[n] for n in both], -1.0, mirrored), strict=True))
        out: list[tuple[int, int, Pair | NotConvergedError]] = []
        for n, (k, place) in enumerate(some):
            found = _pair(ahead[n], behind.get(n), moves[k][place])
            out.append((k, place, found))
            if isinstance(found, NotConvergedError):
                failed.add(k)
        yield out


def _pair(ahead: SinglePoint, behind: SinglePoint | None, move: Move) -> Pair | NotConvergedError:
    atom, vector = move
    for point, word in ((ahead, "forward"), (behind, "backward")):
        if point is not None and not point.converged:
            return _failure(point, f"atom {atom} displaced {word} by {vector} Angstrom")
    assert behind is not None
    forces, dipoles = (
        np.array([getattr(ahead, name), getattr(behind, name)]) for name in ("forces", "dipole")
    )
    return Pair(forces, dipoles)


def _failure(point: SinglePoint, what: str) -> NotConvergedError:
    return NotConvergedError(f"{what}: {point.message}")


def _displaced(molecule: Molecule, move: Move, sign: float) -> Molecule:
    positions = molecule.positions.copy()
    positions[move[0]] += sign * np.array(move[1])
    return dataclasses.replace(molecule, positions=positions)


def tightened(engine: Engine) -> Engine:
    """The engine with the SCF of displaced molecules."""
    scf = dataclasses.replace(engine.scf, tolerance=min(TIGHT, engine.scf.tolerance))
    return engine.with_scf(scf)


def parts(
    items: Sequence[Any], sizes: Sequence[float], first: float, most: float, seconds: float
) -> Iterator[list[Any]]:
    """The items in their order, in lists whose sizes add up to a bound or less, or of one item.

    The bound is ``first``, and twice as large after every list that took less than half of
    ``seconds`` until the next was asked for, but never above ``most``.
    """
    bound, start = min(first, most), 0
    while start < len(items):
        end, total = start + 1, sizes[start]
        while end < len(items) and total + sizes[end] <= bound:
            total += sizes[end]
            end += 1
        begin = time.monotonic()
        yield list(items[start:end])
        if time.monotonic() - begin < 0.5 * seconds:
            bound = min(2 * bound, most)
        start = end
