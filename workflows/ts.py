"""Transition states: a saddle point of first order, its modes, and what it connects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.errors import InputError

from .activation import activation
from .computed import largest_force
from .foreign import require_calculator
from .harmonic import harmonic
from .irc import irc
from .many import Many
from .several import Failure, forget, structure
from .side_by_side import each
from .states import stated
from .ts_checkpoint import Checkpoint
from .ts_config import IMAGINARY, Minimum, TSConfig, TSResult
from .ts_ends import assigned
from .ts_minima import ends_with_energies, minima_of
from .ts_refine import chosen_refiner, refine
from .vibrations import VibrationsResult

__all__ = ["TSConfig", "TSResult", "ts"]


@overload
def ts(
    guess: Atoms,
    calc: BaseCalculator,
    config: TSConfig | None = None,
    *,
    reactant: Atoms | None = None,
    product: Atoms | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[str], None] | None = None,
) -> TSResult: ...


@overload
def ts(
    guess: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: TSConfig | None = None,
    *,
    reactant: Sequence[Atoms | None] | None = None,
    product: Sequence[Atoms | None] | None = None,
    checkpoint: Sequence[str | Path] | None = None,
) -> list[TSResult | Failure]: ...


def ts(
    guess: Any,
    calc: BaseCalculator,
    config: TSConfig | None = None,
    *,
    reactant: Any = None,
    product: Any = None,
    checkpoint: Any = None,
    callback: Callable[[str], None] | None = None,
) -> TSResult | list[TSResult | Failure]:
    """Refine a transition state, verify it, find what it connects, and the barriers to it.

    Parameters
    ----------
    guess : ase.Atoms, or a list of them
        Near the transition state, such as the top of a path; not changed.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator.  With :class:`~ase_mlseqm.MLSEQM` those of a list go on side by side,
        and what they ask for next is one batch; any other calculator takes them in turn.
    config : TSConfig, optional
    reactant, product : ase.Atoms, optional
        Minima that it should connect, their atoms in the same order.  Without the reaction
        coordinate (``irc=False``) the barriers are those from them.  Of a list: one for each, or
        None.
    checkpoint : str or Path, optional
        JSON file that gets every step; of a list one for each.  Where it has a transition state
        from the same guess, made with the same calculator and settings, the run goes on from there:
        one that was killed where it was, one whose refinement was given up with more ``max_steps``,
        and of one that was finished nothing is computed again.
    callback : callable, optional
        Called with a sentence on what is being done; of one guess only.

    Returns
    -------
    TSResult, or a list
        In the order of the list; an exception, of those below, for a guess that came to nothing.
        The others are not affected.

    Raises
    ------
    InputError
        When Sella is asked for and not installed, or the atoms of the ends differ; for structures
        with constraints or a guess with a periodic cell; when lists are of different lengths or
        have a callback.
    ase.calculators.calculator.CalculatorError
        When the guess or a displaced structure cannot be computed, or the refinement breaks down.
    """
    require_calculator(calc)
    if isinstance(guess, list | tuple):
        if callback is not None:
            raise InputError("a callback is for one guess: call ts in side_by_side")

        def one(start: Atoms, own: BaseCalculator, **row: Any) -> TSResult:
            return ts(start, own, config, **row)

        return each(one, guess, calc, reactant=reactant, product=product, checkpoint=checkpoint)
    config, say = config or TSConfig(), callback or (lambda sentence: None)
    guess, both = _usable(guess, reactant, product, calc)
    # with the reaction coordinate the minima are those at its ends
    given = [] if config.irc else both
    refiner = chosen_refiner(config)
    file = None if checkpoint is None else Path(checkpoint)
    kept = Checkpoint(file, guess, given, calc, config, refiner)
    forget(calc)
    saddle, top, problems = _saddle(guess, kept, calc, config, refiner, say)
    imaginary, ends = _imaginary(top), _Ends()
    if config.irc and imaginary:
        ends = _followed(saddle, both, kept, calc, config, say)
    elif given:
        ends.minima, _ = minima_of(given, [[], []], kept, calc, config, say)
    kept.tidy()
    names = _names(config, ends.connects)
    problems += ends.problems
    problems += [
        f"the {name} is not relaxed to a minimum"
        for name, minimum in zip(names, ends.minima, strict=False)
        if not minimum.converged
    ]
    barriers = None
    if ends.minima and imaginary == 1:
        bottoms = [minimum.vibrations for minimum in ends.minima]
        conditions = config.temperature, config.pressure
        barriers = activation(top, bottoms, *conditions, names, config.symmetry_numbers)
    steps = kept.known.steps
    verdict = "; ".join(problems) or f"refined in {steps} steps, one imaginary mode"
    return TSResult(
        atoms=saddle,
        converged=not problems,
        message="; ".join([verdict, *ends.remarks]),
        steps=steps,
        vibrations=top,
        minima=ends.minima,
        connects=ends.connects,
        activation=barriers,
        config=config,
        remarks=tuple(ends.remarks),
    )


def _usable(
    guess: Any, reactant: Any, product: Any, calc: BaseCalculator
) -> tuple[Atoms, list[Atoms]]:
    """Guess and, where both were given, the ends, with charge and multiplicity in ``info``.

    Raises
    ------
    InputError
        When they are not those of one molecule without constraints.
    """
    guess, *ends = (
        atoms if atoms is None else structure(atoms) for atoms in (guess, reactant, product)
    )
    for end in ends:
        if end is not None and not np.array_equal(end.numbers, guess.numbers):
            raise InputError("the ends do not have the atoms of the guess in the same order")
    for name, atoms in zip(("guess", "reactant", "product"), (guess, *ends), strict=True):
        if atoms is not None and atoms.constraints:
            raise InputError(
                "constraints do not hold along the reaction coordinate: remove them from the "
                f"{name}"
            )
    if guess.pbc.any():
        raise InputError(
            "a transition state is that of a molecule: switch periodicity off (pbc=False, --no-pbc)"
        )
    if len(guess) < 3:
        raise InputError(f"{len(guess)} atoms have no transition state: give three or more")
    guess = stated(guess, calc)
    both = [stated(end, calc) for end in ends if end is not None]
    return guess, both if len(both) == 2 else []


def _saddle(
    guess: Atoms,
    kept: Checkpoint,
    calc: BaseCalculator,
    config: TSConfig,
    refiner: str,
    say: Callable[[str], None],
) -> tuple[Atoms, VibrationsResult, list[str]]:
    """The refined structure, its vibrations, and why it is no transition state."""
    known, problems = kept.known, []
    if known.saddle is None:
        say(f"refinement with {refiner}")
        known.saddle = refine(guess, calc, config, refiner, kept)
        kept.write(now=True)
    largest = largest_force(known.saddle)
    if largest > config.fmax:
        problems.append(
            f"not refined in {known.steps} steps: largest force {largest:.3g} eV/Angstrom, asked "
            f"for {config.fmax:g}"
        )
    if known.top is None:
        say("Hessian")
        known.top = harmonic(known.saddle, calc, cache=kept.hessians)
        kept.write(now=True)
    count = _imaginary(known.top)
    if count != 1:
        problems.append(f"{count} imaginary modes instead of one")
    return known.saddle, known.top, problems


def _imaginary(top: VibrationsResult) -> int:
    return int((top.frequencies < IMAGINARY).sum())


@dataclasses.dataclass
class _Ends:
    """The minima on both sides, whether they are those that were given (see :class:`TSResult`),
    what is odd about them, and what is wrong with them."""

    minima: list[Minimum] = dataclasses.field(default_factory=list)
    connects: bool | None = None
    remarks: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)


def _followed(
    saddle: Atoms,
    both: list[Atoms],
    kept: Checkpoint,
    calc: BaseCalculator,
    config: TSConfig,
    say: Callable[[str], None],
) -> _Ends:
    """What the reaction coordinate leads to, compared with ``both`` ends where there are any."""
    known, found = kept.known, _Ends()
    if not known.followed:
        _follow(kept, calc, config, say)
    starts = [(path or [saddle])[-1] for path in known.sides]
    found.minima, found.remarks = minima_of(starts, known.sides, kept, calc, config, say, both)
    if both:
        found.minima, found.connects, why = assigned(
            found.minima, *ends_with_energies(both, kept, calc, config)
        )
        found.remarks += why
        if not found.connects:
            found.problems.append("it does not connect the reactant with the product")
    found.problems += [
        f"the reaction coordinate was given up after {len(minimum.path)} steps on the side of the "
        f"{name} (irc_steps)"
        for name, minimum in zip(_names(config, found.connects), found.minima, strict=True)
        if len(minimum.path) >= config.irc_steps
    ]
    return found


def _names(config: TSConfig, connects: bool | None) -> tuple[str, str]:
    """What the minima are called."""
    if config.irc and not connects:
        return "first minimum", "second minimum"
    return "reactant", "product"


def _follow(
    kept: Checkpoint, calc: BaseCalculator, config: TSConfig, say: Callable[[str], None]
) -> None:
    """The reaction coordinate on both sides of the saddle point."""
    known = kept.known
    assert known.saddle is not None and known.top is not None

    def step(number: int, paths: list[list[Atoms]]) -> None:
        # a side of which an earlier run has left more than the other is not yet as far again
        known.sides = [max(pair, key=len) for pair in zip(known.sides, paths, strict=True)]
        kept.write()
        say(f"reaction coordinate, step {number}")

    known.sides = irc(
        known.saddle,
        known.top.modes[0],
        known.top.hessian,
        Many(calc),
        step=config.irc_step,
        max_steps=config.irc_steps,
        fmax=10 * config.ends_fmax,
        known=known.sides,
        callback=step,
    )
    known.followed = True
    kept.write(now=True)
