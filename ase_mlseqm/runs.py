"""What ``mlseqm sp`` and ``mlseqm relax`` do: read, compute, write, report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import CalculationFailed, CalculatorSetupError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .calculator import MLSEQM, scf_settings
from .frames import (
    Frame,
    output_folder,
    output_stems,
    read_frames,
    with_results,
    write_frames,
)
from .options import CalculatorOptions
from .report import Outcome, console, results_table
from .results import SinglePoint
from .scf import SCFSettings
from .summary import ARGUMENTS, RunSummary

if TYPE_CHECKING:
    from .workflows.relax import RelaxConfig, RelaxResult

PREFIX = "mlseqm: "


@dataclasses.dataclass
class Run:
    """State of a run, and its end.

    Attributes
    ----------
    options : CalculatorOptions or LabelSettings
        What is computed.
    problems : list of str
        A sentence for everything that was refused.
    outcomes : list of Outcome
        What was computed, in the order of the input.
    """

    name: str
    options: Any
    out: Path
    json: bool
    summary: RunSummary
    problems: list[str] = dataclasses.field(default_factory=list)
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    interrupted: bool = False

    @property
    def level(self) -> str:
        """Name of the method or the model."""
        from .models import DEFAULT

        return self.options.method or self.options.model or DEFAULT

    def scf_settings(self) -> SCFSettings:
        """Settings of the SCF; the summary gets them with their defaults."""
        settings = scf_settings(self.options.tolerance, self.options.max_iterations)
        self.summary.settings |= dataclasses.asdict(settings)
        return settings

    def read(self, specs: list[str]) -> list[Frame]:
        """The frames of all files."""
        frames: list[Frame] = []
        for spec in specs:
            found, problem = read_frames(spec)
            frames += found
            if problem is not None:
                self.problems.append(problem)
        self.summary.lap("read")
        return frames

    def wrote(self, path: Path) -> None:
        """Remember an output file."""
        if str(path) not in self.summary.files:
            self.summary.files.append(str(path))

    def finish(self) -> int:
        """Write the summary, print the report, and return the exit code."""
        failed = [outcome for outcome in self.outcomes if not outcome.converged]
        self.summary.results = {
            "molecules": len(self.outcomes),
            "converged": len(self.outcomes) - len(failed),
            "unconverged": [outcome.frame.name for outcome in failed],
            "refused": self.problems,
            "interrupted": self.interrupted,
        }
        if self.outcomes:
            path = self.out / f"mlseqm_{self.name}.json"
            self.wrote(path)
            self.summary.write(path)
        if self.json:
            report = self.summary.to_dict()
            report["molecules"] = [outcome.to_dict() for outcome in self.outcomes]
            print(json.dumps(report, ensure_ascii=False, allow_nan=False))
        elif self.outcomes:
            output = console()
            output.print(results_table(self.outcomes, f"{self.level} {self.name}"))
            seconds = sum(self.summary.timings.values())
            files = self.summary.files
            written = ", ".join(files) if len(files) < 6 else f"{len(files)} files in {self.out}"
            output.print(f"{seconds:.1f} s. Wrote {written}", markup=False)
        for outcome in failed:
            complain(f"{outcome.frame.name}: {outcome.message}")
        for problem in self.problems:
            complain(problem)
        if self.interrupted:
            complain(f"interrupted; {len(self.outcomes)} molecules were computed and written")
            return 130
        if self.problems:
            return 2
        return 1 if failed else 0


def start(name: str, options: Any, out: Path, json_: bool, settings: Any) -> Run:
    """A new run of a command; ``settings`` is a mapping or a dataclass."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        settings = dataclasses.asdict(settings)
    summary = RunSummary(["mlseqm", *ARGUMENTS], dataclasses.asdict(options) | settings)
    if isinstance(options, CalculatorOptions) and options.method is None:
        from .models import DEFAULT, model_file

        chosen = options.model or DEFAULT
        summary.model = {"name": chosen, "sha256": model_file(chosen).sha256}
    return Run(name, options, out, json_, summary)


def complain(sentence: str) -> None:
    """One line on standard error."""
    print(f"{PREFIX}{' '.join(sentence.split())}", file=sys.stderr)


@contextlib.contextmanager
def progress_bar(total: int, label: str) -> Iterator[Any]:
    """A bar on standard error, where that is a terminal; yields advance(steps, text)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    screen = console(stderr=True)
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as progress:
        task = progress.add_task(label, total=total, text="")

        def advance(steps: int = 1, text: str = "") -> None:
            progress.update(task, advance=steps, text=text)

        yield advance


def single_points(run: Run, specs: list[str], properties: list[str]) -> int:
    """Evaluate all frames in one call and write them."""
    from .atoms import molecule_from_atoms
    from .engine import evaluate, find_device
    from .errors import InputError
    from .models import find_model
    from .validate import check

    options = run.options
    model = find_model(options.method, options.model)
    find_device(options.device)
    frames, molecules = [], []
    for frame in run.read(specs):
        try:
            molecule = molecule_from_atoms(frame.atoms, options.charge, options.multiplicity)
            molecules.append(check(molecule, model, options.unrestricted))
            frames.append(frame)
        except InputError as error:
            run.problems.append(f"{frame.name}: {error}")
    if not frames:
        return run.finish()
    output_folder(run.out)
    settings = run.scf_settings()
    results: dict[int, SinglePoint] = {}
    with progress_bar(len(frames), "single points") as advance:

        def done(index: int, point: SinglePoint) -> None:  # called from several threads
            results[index] = point
            advance()

        try:
            evaluate(
                molecules,
                options.method,
                properties,
                options.device,
                model=options.model,
                unrestricted=options.unrestricted,
                field=options.field,
                scf=settings,
                max_memory=options.max_memory,
                callback=done,
            )
        except KeyboardInterrupt:
            run.interrupted = True
    run.summary.lap("compute")
    by_file: dict[str, list[Any]] = {}
    for index, point in sorted(results.items()):
        frame = frames[index]
        run.outcomes.append(Outcome(frame, point, point.converged, point.message))
        by_file.setdefault(frame.file, []).append(with_results(frame.atoms, point))
    stems = output_stems(frame.file for frame in frames)
    for file, atoms in by_file.items():
        path = run.out / f"{stems[file]}_sp.extxyz"
        write_frames(path, atoms)
        run.wrote(path)
    run.summary.lap("write")
    return run.finish()


def relaxations(
    run: Run, specs: list[str], config: RelaxConfig, *, trajectory: bool, figure: bool
) -> int:
    """Relax all frames one after the other; every structure is written when it is done."""
    calc = MLSEQM(**dataclasses.asdict(run.options))
    run.scf_settings()
    frames = run.read(specs)
    if not frames:
        return run.finish()
    output_folder(run.out)
    stems = output_stems(frame.file for frame in frames)
    started: set[str] = set()
    with progress_bar(len(frames), "relaxations") as advance:
        for frame in frames:
            stem = stems[frame.file] + ("" if frame.alone else f"_{frame.index:04d}")
            traj = run.out / f"{stem}.traj" if trajectory else None
            calc.reset()  # the result must not depend on the molecule before
            try:
                point, result = _relax(run, calc, frame, config, traj, advance)
            except CalculatorSetupError as error:
                run.problems.append(f"{frame.name}: {error}")
                if traj is not None:
                    traj.unlink(missing_ok=True)
                continue
            except KeyboardInterrupt:  # before the first energy: there is nothing to keep
                run.interrupted = True
                break
            run.summary.lap("compute")
            advance()
            if traj is not None and result is not None:
                run.wrote(traj)
            _write_relaxed(run, frame, point, result, stems[frame.file], started)
            if figure and result is not None:
                from .workflows.figures import plot_convergence

                path = run.out / f"{stem}_convergence.png"
                plot_convergence(result, path, f"{frame.name}, {run.level}")
                run.wrote(path)
            run.summary.lap("write")
            if run.interrupted:
                break
    return run.finish()


def _relax(
    run: Run, calc: Any, frame: Frame, config: RelaxConfig, traj: Path | None, advance: Any
) -> tuple[SinglePoint | None, RelaxResult | None]:
    """Relax one frame and record its outcome; the last result and that of the relaxation."""
    from .workflows.relax import Interrupted, relax

    point: SinglePoint | None = None

    def step(number: int, energy: float, fmax: float) -> None:
        nonlocal point
        point = calc.singlepoint
        advance(0, f"{frame.name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    try:
        result = relax(frame.atoms, calc, config, trajectory=traj, callback=step)
    except Interrupted as stop:
        run.interrupted = True
        result = stop.result
    except CalculationFailed as error:
        failed = getattr(error, "singlepoint", None)
        run.outcomes.append(Outcome(frame, failed, False, str(error), steps=0))
        return failed, None
    run.outcomes.append(
        Outcome(frame, point, result.converged, result.message, result.steps, result.to_dict())
    )
    return point, result


def _write_relaxed(
    run: Run,
    frame: Frame,
    point: SinglePoint | None,
    result: RelaxResult | None,
    stem: str,
    started: set[str],
) -> None:
    """Append a structure to the file of its input file."""
    if point is None:
        return
    atoms = frame.atoms if result is None else result.atoms
    info = {
        "relaxed": result is not None and result.converged,
        "steps": 0 if result is None else result.steps,
    }
    path = run.out / f"{stem}_relaxed.extxyz"
    write_frames(path, [with_results(atoms, point, **info)], append=frame.file in started)
    started.add(frame.file)
    run.wrote(path)
