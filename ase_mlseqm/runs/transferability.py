"""What ``mlseqm transferability`` does: find data, run the tests, write the report."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..errors import InputError
from ..evaluation_log import EvaluationLog
from ..files.frames import output_folder
from ..summary import RunSummary, jsonable, versions
from ..wholefile import write_whole
from ..workflows.transferability.config import TransferabilityConfig
from ..workflows.transferability.files import find_files
from ..workflows.transferability.logged import log_rows
from ..workflows.transferability.registry import TESTS, methods
from ..workflows.transferability.report import About, report
from ..workflows.transferability.run import Section, choose_tests, run_test
from ..workflows.transferability.tables import write_failures, write_skipped, write_summary
from .report import console
from .run import complain, progress_bar

SHOWN = 10
"""Broken records of a test on the screen."""


def transferability_run(
    config: TransferabilityConfig,
    data: str | Path,
    out: str | Path,
    json_: bool = False,
    log: str | Path | None = None,
) -> int:
    """Run all tests; the exit code is 1 when something could not be computed, or was broken.

    Parameters
    ----------
    log : Path, optional
        CSV file to which every evaluation is appended.

    Raises
    ------
    InputError
        When the settings, the data or the log cannot be used.
    """
    data, out = Path(data), Path(out)
    found = find_files(data, TESTS)
    tests = choose_tests(TESTS, found, config.tests)
    if not tests:
        raise InputError(f"{data}: there is no file for any test; see the documentation for names")
    chosen = methods(config)
    records = None if log is None else EvaluationLog(Path(log))
    output_folder(out)
    summary = RunSummary(dataclasses.asdict(config))
    sections: list[Section] = []
    problems: list[str] = []
    interrupted = False
    for test in tests:
        able = [method for method in chosen if test.measures(method)]
        if not able:
            if config.tests:
                problems.append(f"{test.name}: none of these methods has what it is about")
            continue
        with contextlib.ExitStack() as stack:

            def start(test: Any, method: Any, total: int, stack: Any = stack) -> Any:
                stack.close()  # the bar of the method before
                return stack.enter_context(progress_bar(total, f"{test.name} {method.name}"))

            try:
                sections.append(run_test(test, able, found[test.name], config, out, start))
                if records is not None:
                    for row in log_rows(sections[-1], chosen):
                        records.append(row)
            except InputError as error:
                problems.append(f"{test.name}: {error}")
            except KeyboardInterrupt:
                interrupted = True
                break
        summary.lap(test.name)
    names = [method.name for method in chosen]
    models = {method.name: method.checksum for method in chosen if method.checksum}
    summary.results = {"models": models}
    if sections:  # otherwise the report of an earlier run stays
        _write(sections, names, config, out, summary, problems, interrupted)
        _show(sections, names, summary, json_)
    for problem in problems:
        complain(problem)
    if interrupted:
        complain(f"interrupted; {len(sections)} tests are in the report, a rerun goes on")
        return 130
    if problems:
        return 2
    lost = any(s.skipped or any(o.failures for o in s.outcomes.values()) for s in sections)
    return 1 if lost else 0


def _write(
    sections: Sequence[Section],
    names: list[str],
    config: TransferabilityConfig,
    out: Path,
    summary: RunSummary,
    problems: list[str],
    interrupted: bool,
) -> None:
    """The report, the tables and the summary of the run."""
    facts = {
        "methods": ", ".join(names),
        "computed": summary.started,
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    write_summary(out / "summary.csv", sections)
    write_failures(out / "failures.csv", sections)
    write_skipped(out / "skipped.csv", sections)
    page = out / "transferability.html"
    write_whole(page, report(sections, About(names, facts)).encode())
    files = [page, *(out / name for name in ("summary.csv", "failures.csv", "skipped.csv"))]
    for section in sections:
        files.append(out / f"{section.test.name}.csv")
        if section.figure is not None:
            files.append(section.figure)
    summary.files = [str(path) for path in files]
    summary.results |= jsonable(
        {section.test.name: dict(_results(section)) for section in sections}
        | {"refused": problems, "interrupted": interrupted}
    )
    summary.lap("report")
    summary.write(out / "mlseqm_transferability.json")


def _results(section: Section) -> Iterator[tuple[str, Any]]:
    """Metrics and numbers of failures of every method."""
    for method, metrics in section.metrics.items():
        yield (
            method,
            {
                "failures": len(section.outcomes[method].failures),
                "metrics": {m.name: {"unit": m.unit} | m.interval._asdict() for m in metrics},
            },
        )
    yield "cases", section.cases
    yield "files", section.files
    yield "skipped", [dataclasses.asdict(record) for record in section.skipped]


def _show(sections: Sequence[Section], names: list[str], summary: RunSummary, json_: bool) -> None:
    """The report on the screen."""
    if json_:
        summary.print()
        return
    output = console()
    for section in sections:
        table = Table(
            title=escape(f"{section.test.title} ({section.cases} cases)"), title_justify="left"
        )
        table.add_column("metric")
        own = [name for name in names if name in section.outcomes]
        for name in own:
            table.add_column(escape(name), justify="right")
        for group in zip(*(section.metrics[name] for name in own), strict=True):
            first = group[0]
            label = f"{first.name} ({first.unit})" if first.unit else first.name
            numbers = [m.interval.value for m in group]
            if any(math.isfinite(x) for x in numbers):
                shown = (f"{x:.{first.digits}f}" if math.isfinite(x) else "–" for x in numbers)
                table.add_row(label, *shown)
        table.add_row("failures", *(str(len(section.outcomes[n].failures)) for n in own))
        output.print(table)
        _show_skipped(section)
    seconds = sum(summary.timings.values())
    written = f"{len(summary.files)} files, among them {summary.files[0]}"
    output.print(f"{seconds:.1f} s. Wrote {written}", markup=False)


def _show_skipped(section: Section) -> None:
    """The broken records of the data of a test, on the screen."""
    output = console()
    lost = section.skipped
    if not lost:
        return
    more = f", the first {SHOWN} (skipped.csv has all)" if len(lost) > SHOWN else ""
    output.print(f"Broken records, left out: {len(lost)}{more}", markup=False)
    for record in lost[:SHOWN]:
        text = f"  {record.file}: {record.record}: {record.reason}"
        output.print(text, markup=False, highlight=False, soft_wrap=True)
