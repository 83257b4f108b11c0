"""What a test of transferability is, and what it hands over."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from ase import Atoms

from ase_mlseqm.training.dataset import Skipped

from .config import TransferabilityConfig
from .methods import Method
from .statistics import Interval

Row = dict[str, Any]
"""One line of a CSV file: ``case``, and the columns of its test."""
Advance = Callable[..., None]
"""Called with the steps that were made and a text."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Something that a method could not compute, and why."""

    case: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Case:
    """A structure that the report may show.

    Attributes
    ----------
    error : float
        What makes it a bad one, in ``unit``; ``what`` says of which quantity.
    positions : list
        (A, 3), Angstrom.
    values : list of float, optional
        Error of every atom, in ``unit``.
    """

    case: str
    what: str
    error: float
    unit: str
    numbers: list[int]
    positions: list[list[float]]
    values: list[float] | None = None

    @classmethod
    def of(
        cls,
        case: str,
        what: str,
        error: float,
        unit: str,
        atoms: Atoms,
        values: np.ndarray | None = None,
    ) -> Case:
        """A case from ASE's atoms."""
        shown = None if values is None else np.round(values, 4).tolist()
        positions = (atoms.positions - atoms.positions.mean(0)).round(4).tolist()
        return cls(case, what, float(error), unit, atoms.numbers.tolist(), positions, shown)


@dataclasses.dataclass
class Outcome:
    """What one test found with one method.

    Attributes
    ----------
    rows : list of Row
    failures : list of Failure
        Nothing of these is in ``rows``.
    worst : list of Case
        The worst first.
    seconds : float
        Wall-clock time.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    worst: list[Case] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def fail(self, case: str, reason: object) -> None:
        """Count a failure; the reason becomes one line."""
        self.failures.append(Failure(case, " ".join(str(reason).split())))

    def keep_worst(self, number: int) -> None:
        """Drop all but the worst cases, at most one of every molecule."""
        names = {row["case"]: row["molecule"] for row in self.rows if "molecule" in row}
        best: dict[str, Case] = {}
        for case in sorted(self.worst, key=lambda c: -abs(c.error)):
            best.setdefault(names.get(case.case, case.case), case)
        self.worst = list(best.values())[:number]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, of which :meth:`from_dict` makes the outcome again."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """From what :meth:`to_dict` gave; None becomes NaN again."""
        rows = [{k: np.nan if v is None else v for k, v in row.items()} for row in values["rows"]]
        failures = [Failure(**failure) for failure in values["failures"]]
        return cls(rows, failures, [Case(**case) for case in values["worst"]], values["seconds"])


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that sums up a test.

    Attributes
    ----------
    digits : int
        Behind the point.
    lower_is_better : bool or None
        None where neither is, such as for a count or a slope.
    """

    name: str
    unit: str
    interval: Interval
    digits: int = 2
    lower_is_better: bool | None = True


class Data(Protocol):
    """What a test reads; its length is the number of steps of :meth:`TransferTest.compute`."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """Broken records, of which nothing is used."""

    def __len__(self) -> int: ...


class TransferTest(abc.ABC):
    """One test of transferability.

    Attributes
    ----------
    name : str
        On the command line, in the manifest and in the names of files.
    title, question : str
        Of its section in the report; what it shows, in one sentence.
    patterns : tuple of str
        Names of the files that it reads, unless the manifest of the data says others.
    columns : dict
        Columns of its CSV, with what they hold and in which unit.
    settings : tuple of str
        Fields of the configuration that its results depend on.
    needs_files : bool
        False where it builds its structures itself.
    paired : bool
        Whether metrics and pictures use the cases that every method has completed, only.
    pictures_of_all : bool
        Whether pictures show all that a method has completed, nevertheless.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    patterns: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[dict[str, str]]
    settings: ClassVar[tuple[str, ...]] = ()
    needs_files: ClassVar[bool] = True
    paired: ClassVar[bool] = True
    pictures_of_all: ClassVar[bool] = False

    def measures(self, method: Method) -> bool:
        """Whether a method has what the test is about."""
        return True

    @abc.abstractmethod
    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Data:
        """The data, without broken records.

        Raises
        ------
        InputError
            When nothing is left, or a file cannot be used.
        """

    @abc.abstractmethod
    def compute(
        self, method: Method, data: Any, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """Everything about one method; failures are part of it."""

    @abc.abstractmethod
    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Numbers of one method."""

    @abc.abstractmethod
    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Draw the rows of all methods into a PNG; False where there is nothing to draw."""


def column(rows: Sequence[Row], name: str) -> np.ndarray:
    """A column of numbers, (R,)."""
    return np.array([row[name] for row in rows], dtype=float)


def grouped(rows: Sequence[Row], name: str) -> dict[Any, list[Row]]:
    """Rows by what they have in a column, in the order in which that comes."""
    out: dict[Any, list[Row]] = {}
    for row in rows:
        out.setdefault(row[name], []).append(row)
    return out


def common(outcomes: dict[str, Outcome]) -> dict[str, list[Row]]:
    """The rows of the cases that every method has completed, by method."""
    cases = [
        {row["case"] for row in o.rows} - {f.case for f in o.failures} for o in outcomes.values()
    ]
    shared = set.intersection(*cases) if cases else set()
    return {m: [r for r in o.rows if r["case"] in shared] for m, o in outcomes.items()}
