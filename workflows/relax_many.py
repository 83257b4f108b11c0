"""Relaxation of many molecules at once: every step is one batch.

Each molecule has its own optimiser of ASE, with its own trust radius, and leaves the batch when it
is done, so the steps are those it would take alone.  torch-sim, which relaxes batches on a GPU,
needs Python 3.12; on a CPU the optimisers cost a few percent of the SCF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.optimize.optimize import Optimizer

from ase_mlseqm.errors import InputError

from .constraints import impose
from .foreign import require_calculator
from .interrupted import Interrupted
from .many import Many
from .relax_checkpoint import Checkpoint, restore
from .relax_config import RelaxConfig, RelaxResult
from .relax_history import History
from .relax_lower import has_lower
from .several import Failure, attempt, error_of, structure

Progress = Callable[[int, RelaxResult], None]
"""Called with the place of a molecule in the list and its result when it is done."""
ONE_FORCE_A_STEP = ("BFGS", "LBFGS", "FIRE")


class _Batch:
    """Molecules on their way, by their places in the list.

    Attributes
    ----------
    histories : dict of History
    results : dict
        Of those that are done.
    """

    def __init__(self, histories: dict[int, History], many: Many, done: Progress | None) -> None:
        self.histories, self.results = histories, {}
        self._many, self._done = many, done
        self._optimizers: dict[int, Optimizer] = {}

    def finish(self, k: int, result: RelaxResult | Failure) -> None:
        """This is how it ended."""
        self.results[k] = result
        if self._done is not None and isinstance(result, RelaxResult):
            self._done(k, result)

    def computed(self, places: list[int], anew: bool = False) -> list[int]:
        """Compute structures; those that could be, the others are finished."""
        errors = self._many.attempt([self.histories[k].atoms for k in places], places)
        return [
            k
            for k, error in zip(places, errors, strict=True)
            if self._good(k, error or error_of(self.histories[k], anew))
        ]

    def moved(self, places: list[int]) -> list[int]:
        """Take a step; those that could be moved, the others are finished."""
        return [k for k in places if self._good(k, error_of(self._step, k))]

    def _step(self, k: int) -> None:
        if k not in self._optimizers:
            self._optimizers[k] = self.histories[k].optimizer()
        self._optimizers[k].step()

    def _good(self, k: int, error: Failure | None) -> bool:
        """Whether there is no error; a molecule with one is finished."""
        if error is not None:
            history = self.histories[k]
            self.finish(k, error if history.last is None else history.stopped(error))
        return error is None

    def still(self, places: list[int]) -> list[int]:
        """Those that are not done; the others are finished, but for those that have a lower state,
        which are computed anew."""
        outcomes = {k: self.histories[k].outcome() for k in places}
        ended = {k: found for k, found in outcomes.items() if found is not None}
        converged = {k: found for k, found in ended.items() if found.converged}
        lower = has_lower([found.atoms for found in converged.values()], self._many.calc)
        again = [k for k, below in zip(converged, lower, strict=True) if below]
        for k, found in ended.items():
            if k not in again:
                self.finish(k, found)
        for k in again:
            self._many.forget(k)
            self._optimizers.pop(k, None)
        going = [k for k in places if k not in ended]
        return going + (self.still(self.computed(again, anew=True)) if again else [])


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

    def begun(atoms: Atoms) -> History:
        work = atoms.copy()
        impose(work)
        return History(work, calc, config)

    starts = attempt(structure, systems)
    begins = attempt(begun, starts)
    good = {k: one for k, one in enumerate(begins) if isinstance(one, History)}
    batch = _Batch(good, many or Many(calc), done)
    path = None if checkpoint is None else Path(checkpoint)
    # beside a file that stays are those of results, which a second run would write, too
    kept = Checkpoint(path, [starts[k] for k in good], calc, config, one_writer=keep_checkpoint)
    histories = list(good.values())
    for place, frame in kept.read().items():
        restore(histories[place], frame)

    def results() -> list[Any]:
        return [one if k not in good else batch.results.get(k) for k, one in enumerate(begins)]

    try:
        active = batch.still(list(good))
        for number in range(config.max_steps + 1):
            if not active:
                break
            active = sorted(batch.still(batch.computed(active)))
            kept.write(histories)
            if step is not None:
                step(number, len(active))
            active = batch.moved(active)
        for k in active:  # constraints may leave a step without effect
            batch.finish(k, good[k].given_up())
    except KeyboardInterrupt:
        for k, history in good.items():
            if k not in batch.results and history.last is not None:
                batch.results[k] = history.interrupted()
        raise InterruptedMany(results()) from None
    if keep_checkpoint:
        kept.write(histories, at_once=True)
    else:
        kept.remove()
    return results()


class InterruptedMany(Interrupted):
    """Ctrl-C; ``results`` as :func:`relax_many` returns them, None where nothing was computed."""

    @property
    def results(self) -> list[RelaxResult | Failure | None]:
        """The same as ``result``."""
        return self.result
