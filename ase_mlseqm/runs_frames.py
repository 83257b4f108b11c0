"""What the commands share that compute frame after frame and go on where they stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

from ase.calculators.calculator import CalculationFailed, CalculatorSetupError
from rich.table import Table

from .calculator import MLSEQM
from .errors import InputError
from .frames import Frame, output_folder, output_stem, output_stems, with_results, write_frames
from .report import MAX_COLUMNS, Outcome, console
from .runs import Run, complain, progress_bar
from .summary import versions


@dataclasses.dataclass(frozen=True)
class Workflow:
    """What is computed for every frame, and kept in NAME_suffix.json and NAME_suffix.extxyz.

    Attributes
    ----------
    label : str
        Of the progress bar.
    suffix : str
        End of the names of both files.
    compute : callable
        Called with (atoms, calculator, config, relax_callback=...).
    result : type
        What it returns; has ``to_dict``, ``from_dict``, ``atoms``, and ``max_force`` (eV/Angstrom).
    config : dataclass
        All settings that the result depends on, ``relax`` and ``fmax`` among them.
    units : dict
        Of the numbers in the JSON file.
    """

    label: str
    suffix: str
    compute: Callable[..., Any]
    result: type[Any]
    config: Any
    units: dict[str, str]


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
    stems = output_stems(frame.file for frame in frames)
    notes: list[str] = []
    tables: list[Table] = []
    with progress_bar(len(frames), workflow.label) as advance:
        for frame in frames:
            stem = output_stem(frame, stems)
            calc.reset()  # the result must not depend on the molecule before
            try:
                result = _kept_or_new(run, calc, frame, stem, workflow, advance)
                # not that of the result: what was read from a file has lost the frame's notes
                work = frame.atoms.copy()
                work.positions = result.atoms.positions
                work.set_masses(result.atoms.get_masses())
                calc.get_property("energy", work)
                run.summary.lap("compute")
                account = write(frame, stem, result)
            except (CalculatorSetupError, InputError) as error:
                run.problems.append(f"{frame.name}: {error}")
                continue
            except CalculationFailed as error:
                failed = getattr(error, "singlepoint", None)
                run.outcomes.append(Outcome(frame, failed, False, str(error)))
                continue
            except KeyboardInterrupt:
                run.interrupted = True
                break
            finally:
                advance()
            point = calc.singlepoint
            assert point is not None
            path = run.out / f"{stem}_{workflow.suffix}.extxyz"
            write_frames(path, [with_results(work, point)])
            run.wrote(path)
            converged = result.max_force <= workflow.config.fmax or not workflow.config.relax
            message = "; ".join(account.messages)
            run.outcomes.append(Outcome(frame, point, converged, message, details=account.details))
            if converged:
                notes += [f"{frame.name}: {message}" for message in account.messages]
            tables.append(account.table)
            run.summary.lap("write")
    if not run.json and len(frames) <= MAX_COLUMNS:
        for table in tables:
            console().print(table)
    for note in notes:
        complain(note)
    return run.finish()


def _kept_or_new(
    run: Run, calc: MLSEQM, frame: Frame, stem: str, workflow: Workflow, advance: Any
) -> Any:
    """The result in the file of a frame, or a new one, which is written there."""
    path = run.out / f"{stem}_{workflow.suffix}.json"
    key = _fingerprint(run, frame, workflow.config)
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["fingerprint"] == key:
            run.wrote(path)
            return workflow.result.from_dict(kept["result"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or none that can be used

    def step(number: int, energy: float, fmax: float) -> None:
        advance(0, f"{frame.name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    result = workflow.compute(frame.atoms, calc, workflow.config, relax_callback=step)
    run.write_json(path, workflow.units, fingerprint=key, result=result.to_dict())
    return result


def _fingerprint(run: Run, frame: Frame, config: Any) -> str:
    """What a result depends on, as one word."""
    atoms = frame.atoms
    words = [
        [atoms.numbers.tolist(), atoms.positions.tolist()],
        [atoms.cell.tolist(), atoms.pbc.tolist()],
        atoms.get_masses().tolist(),
        atoms.get_initial_charges().tolist(),
        atoms.get_initial_magnetic_moments().tolist(),
        [str(atoms.info.get(name)) for name in ("charge", "multiplicity", "spin")],
        [str(constraint.todict()) for constraint in atoms.constraints],
        dataclasses.asdict(run.options),
        run.summary.model,
        dataclasses.asdict(config),
        versions()["ase-mlseqm"],
    ]
    return hashlib.sha256(repr(words).encode()).hexdigest()
