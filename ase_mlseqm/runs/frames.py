"""What the commands share that compute all frames and go on where they stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ase.calculators.calculator import CalculationFailed, CalculatorError, CalculatorSetupError
from rich.table import Table

from ..calculator import MLSEQM
from ..errors import InputError
from ..files.frames import Frame, output_folder, with_results, write_frames
from .chunks import Done, Workflow, in_chunks
from .report import MAX_COLUMNS, Outcome, console
from .run import Run, complain, progress_bar, some


@dataclasses.dataclass(frozen=True)
class Account:
    """What the report of a run says about one frame.

    Attributes
    ----------
    details : dict
        For JSON.
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    table : rich.table.Table
        For the screen.
    """

    details: dict[str, Any]
    messages: list[str]
    table: Table


Write = Callable[[Frame, str, Any], Account]
"""Writes the other files of a frame; called with it, the start of their names, and the result."""


def each_frame(run: Run, specs: list[str], workflow: Workflow, write: Write) -> int:
    """Compute every frame, or read what an earlier run has kept, and report."""
    calc = MLSEQM(**run.keywords)
    run.note_scf()
    frames = run.read(specs)
    if not frames:
        return run.finish()
    output_folder(run.out)
    notes: dict[str, list[str]] = {}  # names of the frames by what is said of them
    tables: list[Table] = []
    with progress_bar(len(frames), workflow.label) as advance:
        try:
            for done in in_chunks(run, calc, frames, workflow, advance):
                account = _report(run, done, workflow, write)
                advance()
                if account is not None:
                    for message in account.messages:
                        notes.setdefault(message, []).append(done.frame.name)
                    tables.append(account.table)
        except KeyboardInterrupt:
            run.interrupted = True
    if not run.json and len(frames) <= MAX_COLUMNS:
        for table in tables:
            console().print(table)
    for message, names in notes.items():
        complain(f"{some(names)}: {message}")
    return run.finish()


def _report(run: Run, done: Done, workflow: Workflow, write: Write) -> Account | None:
    """Write the files of a frame and note its outcome; the account of one that has converged."""
    frame, result, point = done.frame, done.result, done.point
    try:
        if isinstance(result, Exception):
            raise result
        assert point is not None and done.atoms is not None
        if not point.converged:
            raise CalculationFailed(f"{done.atoms.get_chemical_formula()}: {point.message}")
        account = write(frame, done.stem, result)
    except (CalculatorSetupError, InputError) as error:
        run.problems.append(f"{frame.name}: {error}")
        return None
    except CalculatorError as error:
        failed = point or getattr(error, "singlepoint", None)
        run.outcomes.append(Outcome(frame, failed, False, str(error)))
        return None
    path = run.out / f"{done.stem}_{workflow.suffix}.extxyz"
    with run.may_fail():
        write_frames(path, [with_results(done.atoms, point)])
        run.wrote(path)
    converged = result.max_force <= workflow.config.fmax or not workflow.config.relax
    message = "; ".join(account.messages)
    run.outcomes.append(Outcome(frame, point, converged, message, details=account.details))
    run.summary.lap("write")
    return account if converged else dataclasses.replace(account, messages=[])
