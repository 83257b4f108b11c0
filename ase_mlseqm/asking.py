"""Runs of engines that are asked for at the same time, answered as one."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported with the first engine, not with this module
    import numpy as np

    from .batch import Molecule
    from .engine import Engine
    from .results import Callback, SinglePoint
    from .scf import SCFSettings

_thread = threading.local()
"""Its ``ask`` is that of :func:`asking`, where there is one."""


@dataclasses.dataclass
class Request:
    """A run that an engine is asked for; the fields are the arguments of ``Engine.run``."""

    engine: Engine
    molecules: Sequence[Molecule]
    properties: Sequence[str]
    unrestricted: bool | None = None
    field: Sequence[float] | None = None
    guesses: Sequence[np.ndarray | None] | None = None
    _found: list[SinglePoint] | Exception | None = dataclasses.field(default=None, init=False)

    def answer(self) -> list[SinglePoint]:
        """The results of the run; raises what it raised."""
        if self._found is None:
            raise RuntimeError("this request has not been met")
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def starts(self) -> Sequence[np.ndarray | None]:
        """A guess, or None, for every molecule."""
        return self.guesses or [None] * len(self.molecules)

    def _alike(self) -> tuple[Any, ...]:
        """What runs that become one have in common."""
        engine = self.engine
        field = None if self.field is None else tuple(self.field)
        return (
            id(engine.model),
            str(engine.device),
            engine.scf,
            engine.max_memory,
            engine.dispersion,
            tuple(self.properties),
            self.unrestricted,
            field,
            # a batch starts from densities only if all its molecules have one
            all(guess is not None for guess in self.starts()),
        )

    @staticmethod
    def meet(requests: Iterable[Request]) -> None:
        """Answer all requests, those that are alike by one run of their engine."""
        groups: dict[tuple[Any, ...], list[Request]] = {}
        for request in requests:
            groups.setdefault(request._alike(), []).append(request)
        for group in groups.values():
            try:
                _run(group)
            except Exception:  # of one of them, which is to have it by itself
                for request in group:
                    try:
                        _run([request])
                    except Exception as error:
                        request._found = error


def _run(group: Sequence[Request]) -> None:
    first = group[0]
    points = iter(
        first.engine.run(
            [molecule for request in group for molecule in request.molecules],
            first.properties,
            unrestricted=first.unrestricted,
            field=first.field,
            guesses=[guess for request in group for guess in request.starts()],
        )
    )
    for request in group:
        request._found = [next(points) for _ in request.molecules]


Ask = Callable[[Request], "list[SinglePoint]"]


class AskingEngine:
    """An engine that does not run by itself but asks for it; otherwise the engine it is made of."""

    def __init__(self, engine: Engine, ask: Ask) -> None:
        self._engine = engine
        self._ask = ask

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def with_scf(self, scf: SCFSettings) -> AskingEngine:
        """The same with other settings of the SCF."""
        return AskingEngine(self._engine.with_scf(scf), self._ask)

    def run(
        self,
        molecules: Sequence[Molecule],
        properties: Sequence[str] = ("energy", "forces"),
        *,
        callback: Callback | None = None,
        **settings: Any,
    ) -> list[SinglePoint]:
        """What ``Engine.run`` does, with its arguments."""
        points = self._ask(Request(self._engine, molecules, properties, **settings))
        for index, point in enumerate(points):
            if callback is not None:
                callback(index, point)
        return points


@contextlib.contextmanager
def asking(ask: Ask) -> Iterator[None]:
    """In this thread, every run of the engine of a calculator is a question to ``ask``."""
    _thread.ask = ask
    try:
        yield
    finally:
        del _thread.ask


def asker() -> Ask | None:
    """That of :func:`asking` in this thread."""
    return getattr(_thread, "ask", None)
