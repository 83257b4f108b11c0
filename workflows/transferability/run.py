"""Runs tests with methods, and keeps every result that is complete."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from ase_mlseqm.errors import InputError
from ase_mlseqm.files.broken import plain_reason
from ase_mlseqm.summary import jsonable, versions
from ase_mlseqm.training.dataset import Skipped
from ase_mlseqm.wholefile import write_whole

from .base import Advance, Data, Failure, Metric, Outcome, TransferTest, common
from .config import TransferabilityConfig
from .files import checksum
from .methods import Method
from .tables import write_rows

Start = Callable[[TransferTest, Method, int], Advance]
"""Called before a test runs with a method and the number of its steps."""


@dataclasses.dataclass(frozen=True)
class Section:
    """All about one test.

    Attributes
    ----------
    outcomes : dict
        :class:`Outcome` by method.
    files : dict
        SHA-256 by name.
    metrics : dict
        Metrics by method; of the cases that all methods share, where the test is paired.
    cases : int
        Number of these cases.
    figure : Path or None
    skipped : list of Skipped
        Broken records of the files, which no method was given.
    """

    test: TransferTest
    outcomes: dict[str, Outcome]
    files: dict[str, str]
    metrics: dict[str, list[Metric]]
    cases: int
    figure: Path | None
    skipped: list[Skipped]

    @property
    def failures(self) -> list[tuple[str, Failure]]:
        """All failures, each with its method."""
        return [(m, failure) for m, o in self.outcomes.items() for failure in o.failures]


def run_test(
    test: TransferTest,
    methods: Sequence[Method],
    files: Sequence[Path],
    config: TransferabilityConfig,
    out: Path,
    start: Start,
) -> Section:
    """One test with all methods; what an earlier run has kept is read.

    Raises
    ------
    InputError
        When a file cannot be used.
    """
    sums = {path.name: checksum(path) for path in files}
    data: Data | None = None
    skipped: list[Skipped] = []
    outcomes: dict[str, Outcome] = {}
    for method in methods:
        path = out / "results" / f"{test.name}_{_slug(method.name)}.json"
        key = _fingerprint(test, method, sums, config)
        kept = _kept(path, key)
        if kept is not None:
            outcome, skipped = kept
        else:
            data = test.load(files, config) if data is None else data
            began = time.perf_counter()
            skipped = list(data.skipped)
            outcome = test.compute(method, data, config, start(test, method, len(data)))
            outcome.keep_worst(config.worst)
            outcome.seconds = time.perf_counter() - began
            path.parent.mkdir(parents=True, exist_ok=True)
            about = {"test": test.name, "method": method.name, "versions": versions()}
            lost = [dataclasses.asdict(record) for record in skipped]
            record = about | {"fingerprint": key, "files": sums, "skipped": lost}
            record |= {"outcome": outcome.to_dict()}
            write_whole(path, json.dumps(jsonable(record)).encode())
        outcomes[method.name] = outcome
    return _section(test, outcomes, sums, config, out, skipped)


def _section(
    test: TransferTest,
    outcomes: dict[str, Outcome],
    sums: dict[str, str],
    config: TransferabilityConfig,
    out: Path,
    skipped: list[Skipped],
) -> Section:
    everything = {m: o.rows for m, o in outcomes.items()}
    rows = common(outcomes) if test.paired else everything
    drawn = everything if test.pictures_of_all else rows
    cases = {row["case"] for found in rows.values() for row in found}
    figure = out / f"{test.name}.png"
    done = any(drawn.values()) and test.draw(drawn, figure, config)
    if not done:
        figure.unlink(missing_ok=True)  # that of an earlier run shows other numbers than the table
    write_rows(out / f"{test.name}.csv", test, outcomes)
    return Section(
        test,
        outcomes,
        sums,
        {method: test.metrics(found, config) for method, found in rows.items()},
        len(cases),
        figure if done else None,
        skipped,
    )


def choose_tests(
    tests: Sequence[TransferTest], found: dict[str, list[Path]], names: Sequence[str]
) -> list[TransferTest]:
    """Those that were asked for, or all that have data.

    Raises
    ------
    InputError
        When one that was asked for does not exist or has no data.
    """
    known = {test.name: test for test in tests}
    for name in names:
        if name not in known:
            raise InputError(f"unknown test {name!r}: choose from {', '.join(known)}")
        if known[name].needs_files and not found[name]:
            wanted = " or ".join(known[name].patterns)
            raise InputError(f"{name}: the data folder has no {wanted}")
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [test for test in tests if found[test.name] or not test.needs_files]


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _fingerprint(
    test: TransferTest, method: Method, sums: dict[str, str], config: TransferabilityConfig
) -> str:
    settings = [(name, getattr(config, name)) for name in ("worst", *test.settings)]
    words = [test.name, method.identity, sorted(sums.items()), settings]
    return hashlib.sha256(repr(words).encode()).hexdigest()


def _kept(path: Path, key: str) -> tuple[Outcome, list[Skipped]] | None:
    """The results in a file, if they are those of this key; None where there are none.

    Raises
    ------
    InputError
        When a file is there that cannot be opened: its results are not computed once more.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["fingerprint"] != key:
            return None
        return Outcome.from_dict(record["outcome"]), [Skipped(**s) for s in record["skipped"]]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): make it readable, or move it"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(
            f"{path} holds no results that can be used ({plain_reason(error)}): they are computed, "
            "and take its place",
            stacklevel=3,
        )
        return None
