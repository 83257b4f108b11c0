"""What ``mlseqm relax`` does: one molecule with its trajectory, or many at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import CalculationFailed, CalculatorError, CalculatorSetupError

from ..atoms import charge_and_multiplicity
from ..calculator import MLSEQM
from ..errors import InputError
from ..files.frames import (
    Frame,
    frame_stems,
    output_folder,
    output_stem,
    place,
    with_results,
    write_frames,
)
from ..options import base_settings
from ..results import SinglePoint
from ..workflows.interrupted import Interrupted
from ..workflows.many import Many
from ..workflows.relax_config import RelaxConfig, RelaxResult
from ..workflows.relax_figures import plot_convergence, plot_convergences
from ..workflows.relax_in_turn import InTurn
from ..workflows.relax_many import ONE_FORCE_A_STEP, InterruptedMany, relax_many
from .report import Outcome
from .run import Run, progress_bar

if TYPE_CHECKING:
    from ..cli.points import RelaxOptions

UNFINISHED = "relax_unfinished.extxyz"
"""End of the name of the file from which a run that was cut off goes on."""
SAME_STATE = 1e-3
"""eV; energies of one structure that differ by more are those of different solutions of the SCF."""
MOST_FIGURES = 20
"""Where there are more relaxations, one figure shows them all."""


def relaxations(run: Run, specs: list[str], settings: RelaxOptions) -> int:
    """Relax all frames: several as one batch, unless every step is to be kept."""
    config = base_settings(settings, RelaxConfig)
    calc = MLSEQM(**run.keywords)
    run.note_scf()
    read = run.read(specs)
    if settings.trajectory:
        stems = frame_stems(read)
        run.keep_inputs(stems, {f"{output_stem(f, stems)}.traj": f.file for f in read})
    frames = [frame for frame in read if _possible(run, frame)]
    if not frames:
        return run.finish()
    output_folder(run.out)
    if len(frames) > 1 and not settings.trajectory and config.optimizer in ONE_FORCE_A_STEP:
        _all_at_once(run, calc, frames, config, settings.figure)
    else:
        _one_by_one(run, calc, frames, config, settings.trajectory, settings.figure)
    return run.finish()


def _possible(run: Run, frame: Frame) -> bool:
    """Whether charge and multiplicity can be read; where they cannot, a sentence says why."""
    try:
        charge_and_multiplicity(frame.atoms, run.options.charge, run.options.multiplicity)
    except InputError as error:
        run.problems.append(f"{frame.name}: {error}")
        return False
    return True


def _one_by_one(
    run: Run,
    calc: MLSEQM,
    frames: list[Frame],
    config: RelaxConfig,
    trajectory: bool,
    figure: bool,
) -> None:
    """Every structure is written when it is done."""
    stems = frame_stems(frames)
    started: set[str] = set()
    relaxed: list[tuple[Frame, RelaxResult]] = []
    unfinished = _unfinished(run, frames, stems)
    turns = InTurn([frame.atoms for frame in frames], calc, config, unfinished)
    with progress_bar(len(frames), "relaxations") as advance:
        for k, frame in enumerate(frames):
            traj = run.out / f"{output_stem(frame, stems)}.traj" if trajectory else None
            calc.reset()  # the result must not depend on the molecule before
            try:
                relax = partial(turns.relax, k, trajectory=traj)
                point, result = _relax(run, calc, frame, relax, advance)
            except (CalculatorSetupError, InputError) as error:
                run.problems.append(f"{frame.name}: {error}")
                continue
            except KeyboardInterrupt:  # before the first energy: there is nothing to keep
                run.interrupted = True
                break
            run.summary.lap("compute")
            advance()
            if traj is not None and result is not None:
                run.wrote(traj)
            _write_relaxed(run, frame, point, result, stems[frame.file], started)
            if result is not None:
                relaxed.append((frame, result))
            run.summary.lap("write")
            if run.interrupted:
                break
    for lost in turns.lost:
        with run.may_fail():
            raise lost
    _draw(run, relaxed if figure else [], stems, frames)
    if not run.interrupted:
        turns.finish()


def _all_at_once(
    run: Run, calc: MLSEQM, frames: list[Frame], config: RelaxConfig, figure: bool
) -> None:
    """Every step is one batch; the structures are written in the order of the input."""
    stems = frame_stems(frames)
    many, unfinished = Many(calc), _unfinished(run, frames, stems)
    with progress_bar(len(frames), "relaxations") as advance:
        found: list[RelaxResult | CalculatorError | InputError | None]
        try:
            found = list(
                relax_many(
                    [frame.atoms for frame in frames],
                    calc,
                    config,
                    done=lambda *_: advance(),
                    step=lambda number, active: advance(0, f"step {number}: {active} to go"),
                    checkpoint=unfinished,
                    keep_checkpoint=True,
                    many=many,
                )
            )
        except InterruptedMany as stop:
            run.interrupted = True
            found = stop.results
    run.summary.lap("compute")
    chosen, densities = [], []
    for k, (frame, result) in enumerate(zip(frames, found, strict=True)):
        if isinstance(result, CalculatorSetupError | InputError):
            run.problems.append(f"{frame.name}: {result}")
        elif result is not None:
            last = frame.atoms if isinstance(result, CalculatorError) else result.atoms
            chosen.append((frame, last, result))
            densities.append(many.density(k, last.positions))
    molecules = [run.molecule(_of_frame(atoms, frame)) for frame, atoms, _ in chosen]
    points = run.points(molecules, guesses=densities)
    run.summary.lap("properties")
    started: set[str] = set()
    relaxed: list[tuple[Frame, RelaxResult]] = []
    for (frame, _, result), point in zip(chosen, points, strict=True):
        if isinstance(result, CalculatorError):
            run.outcomes.append(Outcome(frame, point, False, str(result), steps=0))
            _write_relaxed(run, frame, point, None, stems[frame.file], started)
            continue
        run.outcomes.append(_outcome(frame, point, result))
        _write_relaxed(run, frame, point, result, stems[frame.file], started)
        relaxed.append((frame, result))
    if not run.interrupted:
        unfinished.unlink(missing_ok=True)
    _draw(run, relaxed if figure else [], stems, frames)
    run.summary.lap("write")


def _unfinished(run: Run, frames: list[Frame], stems: dict[str, str]) -> Path:
    """Where the run keeps its last structures; runs of other files may share the folder."""
    return run.out / f"{stems[frames[0].file]}_{UNFINISHED}"


def _of_frame(atoms: Atoms, frame: Frame) -> Atoms:
    """The atoms with charge and spin as the input states them."""
    copy = atoms.copy()
    copy.info = dict(frame.atoms.info)
    return copy


def _draw(
    run: Run,
    relaxed: list[tuple[Frame, RelaxResult]],
    stems: dict[str, str],
    frames: list[Frame],
) -> None:
    """One figure for each, or one for all where there are many; none of an earlier run stays."""
    for frame in frames:
        (run.out / f"{output_stem(frame, stems)}_convergence.png").unlink(missing_ok=True)
    if len(relaxed) > MOST_FIGURES:
        results, name = [result for _, result in relaxed], "mlseqm_relax_convergence.png"
        run.draw(plot_convergences, results, name, f"{len(relaxed)} structures")
        return
    for frame, result in relaxed:
        name = f"{output_stem(frame, stems)}_convergence.png"
        run.draw(plot_convergence, result, name, frame.name)


def _relax(
    run: Run, calc: MLSEQM, frame: Frame, relax: Callable[..., RelaxResult], advance: Any
) -> tuple[SinglePoint | None, RelaxResult | None]:
    """Relax one frame and record its outcome; the last result and that of the relaxation."""
    point: SinglePoint | None = None

    def step(number: int, energy: float, fmax: float) -> None:
        nonlocal point
        point = calc.unfinished
        advance(0, f"{frame.name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    try:
        try:
            result = relax(callback=step)
        except Interrupted as stop:
            run.interrupted = True
            result = stop.result
        atoms = _of_frame(result.atoms, frame)
        if point is None:  # an earlier run was here already
            calc.calculate(atoms)
            point = calc.unfinished
    except CalculationFailed as error:
        failed = getattr(error, "singlepoint", None)
        run.outcomes.append(Outcome(frame, failed, False, str(error), steps=0))
        return failed, None
    if point is not None:
        point = calc.completed(point, atoms)
    run.outcomes.append(_outcome(frame, point, result))
    return point, result


def _outcome(frame: Frame, point: SinglePoint | None, result: RelaxResult) -> Outcome:
    details = {"relaxation": result.to_dict()}
    message = result.message
    if point is not None and not _same_state(point, result):
        message = f"the SCF of the relaxed structure did not end in its state ({point.message})"
    good = result.converged and message is result.message
    return Outcome(frame, point, good, message, result.steps, details)


def _same_state(point: SinglePoint, result: RelaxResult) -> bool:
    """Whether the properties are those of the state that was relaxed."""
    relaxed = result.atoms.get_potential_energy(apply_constraint=False)
    return point.converged and abs(point.energy - relaxed) < SAME_STATE


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
        "relaxed": result is not None and run.outcomes[-1].converged,
        "steps": 0 if result is None else result.steps,
        **place(frame),
    }
    path = run.out / f"{stem}_relaxed.extxyz"
    write_frames(path, [with_results(atoms, point, **info)], append=frame.file in started)
    started.add(frame.file)
    run.wrote(path)
