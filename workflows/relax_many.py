"""Relaxation of many molecules at once: every step is one batch.

Each molecule has its own optimiser of ASE, with its own trust radius, and leaves the batch when it
is done, so the steps are those it would take alone.  torch-sim, which relaxes batches on a GPU,
needs Python 3.12; on a CPU the optimisers cost a few percent of the SCF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.errors import InputError

from .constraints import impose
from .foreign import require_calculator
from .interrupted import Interrupted
from .many import Many
from .relax import RelaxConfig, RelaxResult, _History
from .relax_checkpoint import Checkpoint, restore
from .relax_lower import has_lower
from .several import Failure, attempt, error_of, structure

Progress = Callable[[int, RelaxResult], None]
"""Called with the place of a molecule in the list and its result when it is done."""
ONE_FORCE_A_STEP = ("BFGS", "LBFGS", "FIRE")


class _Relaxation:
    """One molecule on its way."""

    def __init__(self, atoms: Atoms, calc: BaseCalculator, config: RelaxConfig) -> None:
        self.atoms, self.config = atoms.copy(), config
        impose(self.atoms)
        self.history = _History(self.atoms, calc)
        self.optimizer = None

    def step(self) -> None:
        """Move the atoms."""
        if self.optimizer is None:
            kind = getattr(optimize, self.config.optimizer)
            self.optimizer = kind(self.atoms, logfile=None, maxstep=self.config.max_step_length)
        self.optimizer.step()


def relax_many(
    systems: Sequence[Atoms],
    calc: BaseCalculator,
    config: RelaxConfig | None = None,
    *,
    done: Progress | None = None,
    step: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    keep_checkpoint: bool = False,
    many: Many | None = None,
) -> list[RelaxResult | Failure]:
    """Relax the positions of many molecules.

    Parameters
    ----------
    systems : sequence of ase.Atoms
        Starts; not changed.  Constraints are respected.
    calc : ase.calculators.calculator.BaseCalculator
        With :class:`~ase_mlseqm.MLSEQM` all molecules of a step are one batch.
    config : RelaxConfig, optional
        The optimizer is one of BFGS, LBFGS and FIRE.
    done : callable, optional
        Called with (index, result) when a molecule is done.
    step : callable, optional
        Called with (step, molecules still in the batch) after every step.
    checkpoint : str or Path, optional
        File that gets the structures every few seconds, and is removed at the end.  A run that was
        cut off goes on from it.
    keep_checkpoint : bool
        Whether the file stays at the end: whoever still has to write the results removes it then.
        A second run with it, begun at the same time, ends with an InputError.
    many : Many, optional
        What computes them with ``calc``; has their last densities afterwards.

    Returns
    -------
    list
        In the order of ``systems``; an exception for a molecule whose first structure cannot be
        computed.  The others are not affected.

    Raises
    ------
    InterruptedMany
        On Ctrl-C; ``results`` holds what was done until then.
    """
    config = config or RelaxConfig()
    if config.optimizer not in ONE_FORCE_A_STEP:
        raise InputError(
            f"{config.optimizer} relaxes one molecule at a time: choose one of "
            f"{', '.join(ONE_FORCE_A_STEP)} for many"
        )
    require_calculator(calc)
    starts = attempt(structure, systems)
    begun = attempt(lambda atoms: _Relaxation(atoms, calc, config), starts)
    results: list[RelaxResult | Failure | None] = [
        work if isinstance(work, Exception) else None for work in begun
    ]
    active = [k for k, result in enumerate(results) if result is None]
    works = {k: begun[k] for k in active}
    path = None if checkpoint is None else Path(checkpoint)
    many = many or Many(calc)
    # beside a file that stays are those of results, which a second run would write, too
    kept = Checkpoint(path, [starts[k] for k in active], calc, config, one_writer=keep_checkpoint)
    for place, frame in kept.read().items():
        restore(works[active[place]].history, frame)

    def finish(k: int, result: RelaxResult | Failure) -> None:
        results[k] = result
        if done is not None and isinstance(result, RelaxResult):
            done(k, result)

    def computed(places: list[int], anew: bool = False) -> list[int]:
        """Compute structures; those that could be, the others are finished."""
        errors = many.attempt([works[k].atoms for k in places], places)
        return [
            k
            for k, error in zip(places, errors, strict=True)
            if good(k, error or error_of(works[k].history, anew))
        ]

    def good(k: int, error: Failure | None) -> bool:
        """Whether there is no error; a molecule with one is finished."""
        if error is not None:
            finish(k, _stopped(works[k], error))
        return error is None

    def still(places: list[int]) -> list[int]:
        """Those that are not done; the others are finished, but for those that have a lower state,
        which are computed anew."""
        outcomes = {k: works[k].history.outcome(config) for k in places}
        ended = {k: found for k, found in outcomes.items() if found is not None}
        converged = {k: found for k, found in ended.items() if found.converged}
        lower = has_lower([found.atoms for found in converged.values()], calc)
        again = [k for k, below in zip(converged, lower, strict=True) if below]
        for k, found in ended.items():
            if k not in again:
                finish(k, found)
        for k in again:
            many.forget(k)
            works[k].optimizer = None
        going = [k for k in places if k not in ended]
        return going + (still(computed(again, anew=True)) if again else [])

    try:
        active = still(active)
        for number in range(config.max_steps + 1):
            if not active:
                break
            active = sorted(still(computed(active)))
            kept.write([work.history for work in works.values()])
            if step is not None:
                step(number, len(active))
            active = [k for k in active if good(k, error_of(works[k].step))]
        for k in active:  # constraints may leave a step without effect
            finish(k, works[k].history.given_up(config))
    except KeyboardInterrupt:
        for k, result in enumerate(results):
            if result is None and works[k].history.last is not None:
                results[k] = works[k].history.interrupted(config)
        raise InterruptedMany(results) from None
    if keep_checkpoint:
        kept.write([work.history for work in works.values()], at_once=True)
    else:
        kept.remove()
    return results  # type: ignore[return-value]


class InterruptedMany(Interrupted):
    """Ctrl-C; ``results`` as :func:`relax_many` returns them, None where nothing was computed."""

    @property
    def results(self) -> list[RelaxResult | Failure | None]:
        """The same as ``result``."""
        return self.result


def _stopped(work: _Relaxation, error: Failure) -> RelaxResult | Failure:
    return error if work.history.last is None else work.history.stopped(work.config, error)
