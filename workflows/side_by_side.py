"""Functions that use a calculator, many at the same time: what they ask for shares batches.

A search for a path or a saddle point asks for one small batch after another, and what it asks for
next depends on what it got.  Many searches side by side ask for as many such batches at once, and
together these are one large batch, which costs far less than they do one by one.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.asking import Request, asking
from ase_mlseqm.calculator import batched
from ase_mlseqm.errors import InputError

from .several import Failure

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 32
"""Functions that run at the same time."""


class _Stopped(KeyboardInterrupt):
    """Ends a function of which nobody wants the result any more, as Ctrl-C does one alone."""


class _Runner:
    """A function in a thread that runs only while the main one waits for it, as a coroutine does.

    Nothing ever runs at the same time, so functions need not be safe for threads, and which of
    them share a batch does not depend on how fast they are.
    """

    def __init__(self, number: int, function: Callable[[], Any]) -> None:
        self.number = number
        self.request: Request | None = None
        self.outcome: Any = None
        self._function = function
        self._stopped = False
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Go on to the next request, which is None when the function has ended."""
        self.request = None
        self._go.release()
        self._paused.acquire()

    def stop(self) -> None:
        """End the function at its present or next request."""
        self._stopped = True
        self._go.release()
        self._thread.join()

    def _run(self) -> None:
        import torch

        self._go.acquire()
        torch.set_num_threads(1)  # every thread would have a pool of its own
        try:
            if not self._stopped:
                with asking(self._ask):
                    self.outcome = self._function()
        except _Stopped:
            pass
        except BaseException as error:
            self.outcome = error
        finally:
            self._paused.release()

    def _ask(self, request: Request) -> Any:
        if self._stopped:  # it computes while it is being stopped
            raise _Stopped
        self.request = request
        self._paused.release()
        self._go.acquire()
        if self._stopped:
            raise _Stopped
        return request.answer()


def side_by_side(
    work: Callable[[T, BaseCalculator], R],
    items: Sequence[T],
    calc: BaseCalculator,
    at_once: int = AT_ONCE,
) -> Iterator[tuple[int, R | Exception]]:
    """Results of a function of many items, each with its place, in the order in which they end.

    Parameters
    ----------
    work : callable
        Called with an item and a calculator that it has for itself, of the keywords of ``calc``.
        Any code that computes with it: workflows of this package, optimisers of ASE, Sella.
    items : sequence
        Such as pairs of end points, or guesses of transition states.
    calc : ase.calculators.calculator.BaseCalculator
        With :class:`~ase_mlseqm.MLSEQM` what all functions ask for next is one batch; with any
        other calculator the items are done one after the other.
    at_once : int
        Functions that run at the same time; each keeps its state in memory.

    Yields
    ------
    tuple
        Place of the item, and what the function returned or raised.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from ase.optimize import BFGS
    >>> from ase_mlseqm import MLSEQM
    >>> def relaxed(atoms, calc):
    ...     atoms.calc = calc
    ...     BFGS(atoms, logfile=None).run(fmax=0.01)
    ...     return atoms.get_potential_energy()
    >>> water, ammonia = molecule("H2O"), molecule("NH3")
    >>> dict(side_by_side(relaxed, [water, ammonia], MLSEQM(method="PM3")))[0]
    -324.9...
    """
    if at_once < 1:
        raise InputError(f"at_once is {at_once}: give a number of functions")
    if not batched(calc):
        yield from _in_turn(work, items, calc)
        return
    waiting = deque(enumerate(items))
    runners: list[_Runner] = []
    try:
        while waiting or runners:
            while waiting and len(runners) < at_once:
                number, item = waiting.popleft()
                own = MLSEQM(**calc.parameters)
                runners.append(_Runner(number, functools.partial(work, item, own)))
                runners[-1].resume()
            ended = [runner for runner in runners if runner.request is None]
            runners = [runner for runner in runners if runner.request is not None]
            for runner in ended:
                if isinstance(runner.outcome, BaseException) and not isinstance(
                    runner.outcome, Exception
                ):
                    raise runner.outcome  # such as SystemExit
                yield runner.number, runner.outcome
            if waiting and len(runners) < at_once:
                continue  # what starts now shares the next batch
            Request.meet([runner.request for runner in runners if runner.request is not None])
            for runner in runners:
                runner.resume()
    finally:
        for runner in runners:
            runner.stop()


def listed(results: Iterable[tuple[int, R | Exception]]) -> list[R | Failure]:
    """The results in the order of the items.

    What is no fault of an item, as a file that cannot be written, is raised as soon as it happens
    and ends the others as Ctrl-C does: it would be bad news after hours.
    """
    found: dict[int, Any] = {}
    for number, result in results:
        if isinstance(result, Exception) and not isinstance(result, Failure):
            raise result
        found[number] = result
    return [found[number] for number in sorted(found)]


def each(
    work: Callable[..., R],
    items: Sequence[Any],
    calc: BaseCalculator,
    **columns: Sequence[Any] | None,
) -> list[R | Failure]:
    """Results of a workflow of one item for all of a list, in its order.

    Parameters
    ----------
    work : callable
        Called with an item, its calculator and, as keywords, what the columns have for it.
    items : sequence
    calc : ase.calculators.calculator.BaseCalculator
        As for :func:`side_by_side`.
    **columns
        Lists with something for every item; None where there is nothing.

    Returns
    -------
    list
        An exception in the place of an item that could not be computed.

    Raises
    ------
    InputError
        When a column is not as long as the list.
    """
    given = {name: column for name, column in columns.items() if column is not None}
    for name, column in given.items():
        if not isinstance(column, list | tuple) or len(column) != len(items):
            raise InputError(f"{name}: give a list of {len(items)}, one for each")

    def one(place: int, own: BaseCalculator) -> R:
        row = {name: column[place] for name, column in given.items()}
        return work(items[place], own, **row)

    return listed(side_by_side(one, range(len(items)), calc))


def _in_turn(
    work: Callable[[T, BaseCalculator], R], items: Sequence[T], calc: BaseCalculator
) -> Iterator[tuple[int, R | Exception]]:
    for number, item in enumerate(items):
        try:
            found: R | Exception = work(item, calc)
        except Exception as error:
            found = error
        yield number, found
