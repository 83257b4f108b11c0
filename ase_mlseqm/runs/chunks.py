"""Results of all frames of a run, computed in chunks; what an earlier run has kept is read."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import CalculationFailed, CalculatorSetupError

from .. import __version__
from ..calculator import MLSEQM
from ..errors import InputError
from ..files.broken import NotContinued, plain_reason
from ..files.frames import Frame, frame_stems, output_stem
from ..results import SinglePoint
from ..wholefile import write_whole
from ..workflows.fingerprint import fingerprint
from ..workflows.settle import relaxation_file
from .run import Run, complain

CHUNK_SECONDS = 20.0
"""As many frames again are computed together while the last ones took less than that."""
KEPT = 32
"""Frames of which earlier runs have the results, in one chunk; more where more are computed."""


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
        Called with (list of atoms, calculator, config, cache=..., callback=...,
        relax_callback=...), as :func:`~ase_mlseqm.workflows.vibrations.vibrations` is; returns a
        list of results, with an exception for what could not be computed.
    result : type
        Of the results; has ``to_dict``, ``from_dict``, ``atoms``, and ``max_force`` (eV/Angstrom).
    config : dataclass
        All settings that the result depends on, ``relax`` and ``fmax`` among them.
    units : dict
        Of the numbers in the JSON file.
    richer : tuple of dataclasses
        Settings of results that have all that is asked for, and more: they are used, too.
    made : tuple of str
        Ends of the names of files that any command makes of a result, which go when another result
        takes its place.
    """

    label: str
    suffix: str
    compute: Callable[..., Any]
    result: type[Any]
    config: Any
    units: dict[str, str]
    richer: tuple[Any, ...] = ()
    made: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Done:
    """A frame, the start of the names of its files, and what came of it.

    Attributes
    ----------
    result : object or Exception or None
        The result of the workflow, or why there is none; None before it is computed.
    atoms : ase.Atoms or None
        The structure of the result, with the notes of the frame.
    point : SinglePoint or None
        Everything about that structure.
    """

    frame: Frame
    stem: str
    result: Any
    atoms: Atoms | None = None
    point: SinglePoint | None = None


def in_chunks(
    run: Run, calc: MLSEQM, frames: list[Frame], workflow: Workflow, advance: Any
) -> Iterator[Done]:
    """Compute the first frame by itself, and then ever more together while that is fast."""
    stems = frame_stems(frames)
    # the first file says which run is to go on, however the frames were divided
    cache = run.out / f"{stems[frames[0].file]}_{workflow.suffix}_unfinished.jsonl"
    unfinished = (cache, relaxation_file(cache))
    # by an earlier run, perhaps of frames that are behind some that fail again
    left_behind = {path: path.read_bytes() for path in unfinished if path.exists()}
    count, refused = 1, False
    while frames:
        start = time.monotonic()
        chunk = _next(run, calc, frames, stems, workflow, count)
        frames = frames[len(chunk) :]
        anything_new = any(one.result is None for one in chunk)
        calc.reset()  # the result must not depend on the molecules before
        done = _with_points(run, calc, _computed(run, calc, chunk, workflow, cache, advance))
        refused |= any(isinstance(one.result, NotContinued) for one in done)
        _clear(unfinished, left_behind)
        run.summary.lap("compute")
        if anything_new:  # reading says nothing of how long it takes to compute
            fast = time.monotonic() - start < CHUNK_SECONDS
            count = 2 * count if fast else max(1, count // 2)
        yield from done
    if not refused:
        _clear(unfinished, {})


def _clear(paths: Iterable[Path], left_behind: dict[Path, bytes]) -> None:
    """Remove files that are no longer needed, or put back what they were."""
    for path in paths:
        if path in left_behind:
            write_whole(path, left_behind[path])
        else:
            path.unlink(missing_ok=True)


def _with_points(run: Run, calc: MLSEQM, found: list[Done]) -> list[Done]:
    """All properties of the structures of the results."""

    def located(done: Done) -> Done:
        if isinstance(done.result, Exception):
            return done
        # not that of the result: what was read from a file has lost the frame's notes
        atoms = done.frame.atoms.copy()
        atoms.positions = done.result.atoms.positions
        atoms.set_masses(done.result.atoms.get_masses())
        return dataclasses.replace(done, atoms=atoms)

    dones = [located(done) for done in found]
    structures = {k: done.atoms for k, done in enumerate(dones) if done.atoms is not None}
    if len(dones) == 1 and structures:  # the calculator has it, or a density to start from
        (alone,) = dones
        try:
            calc.get_property("energy", alone.atoms)
        except (CalculationFailed, CalculatorSetupError) as error:
            return [dataclasses.replace(alone, result=error)]
        return [dataclasses.replace(alone, point=calc.singlepoint)]
    points = run.points([run.molecule(atoms) for atoms in structures.values()])
    for k, point in zip(structures, points, strict=True):
        dones[k] = dataclasses.replace(dones[k], point=point)
    return dones


def _next(
    run: Run,
    calc: MLSEQM,
    frames: list[Frame],
    stems: dict[str, str],
    workflow: Workflow,
    count: int,
) -> list[Done]:
    """The next frames with the results in their files; ``count`` or fewer have none."""
    chunk: list[Done] = []
    new = 0
    for frame in frames[: max(count, KEPT)]:
        stem = output_stem(frame, stems)
        configs = (workflow.config, *workflow.richer)
        keys = [_fingerprint(calc, frame, config) for config in configs]
        result = _kept(run, run.out / f"{stem}_{workflow.suffix}.json", keys, workflow)
        chunk.append(Done(frame, stem, result))
        new += result is None
        if new == count:
            break
    return chunk


def _computed(
    run: Run, calc: MLSEQM, chunk: list[Done], workflow: Workflow, cache: Path, advance: Any
) -> list[Done]:
    """The same with new results where there were none, which are written to the files."""
    new = [k for k, done in enumerate(chunk) if done.result is None]
    if not new:
        return chunk
    name = chunk[new[0]].frame.name
    if len(new) > 1:
        advance(0, f"{name} and {len(new) - 1} more together")

    def step(number: int, energy: float, fmax: float) -> None:
        advance(0, f"{name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    def displaced(done: int, every: int) -> None:
        advance(0, f"{name}: {done} of {every} displacements")

    found = workflow.compute(
        [chunk[k].frame.atoms for k in new],
        calc,
        workflow.config,
        cache=cache,
        callback=displaced,
        relax_callback=step,
    )
    out = list(chunk)
    for k, result in zip(new, found, strict=True):
        out[k] = dataclasses.replace(chunk[k], result=result)
        if not isinstance(result, Exception):
            stem, key = chunk[k].stem, _fingerprint(calc, chunk[k].frame, workflow.config)
            path = run.out / f"{stem}_{workflow.suffix}.json"
            content = {"fingerprint": key, "result": result.to_dict()}
            if path.exists():  # otherwise these files may be anybody's
                _remove(run.out / f"{stem}{end}" for end in workflow.made)
            run.write_json(path.name, workflow.units, **content)
    return out


def _remove(paths: Iterable[Path]) -> None:
    """Remove files, and the animations in folders."""
    for path in paths:
        for file in path.glob("mode_*.extxyz") if path.is_dir() else [path]:
            file.unlink(missing_ok=True)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _kept(run: Run, path: Path, keys: Collection[str], workflow: Workflow) -> Any:
    """The result in a file with one of these keys; None if there is none that can be used, and an
    error where a file is there that cannot be read."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["fingerprint"] not in keys:
            return None
        result = workflow.result.from_dict(kept["result"])
    except FileNotFoundError:
        return None
    except OSError as error:
        return InputError(f"{path} cannot be read ({error.strerror}): make it readable, or move it")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        complain(
            f"warning: {path} holds no results that can be used ({plain_reason(error)}): they are "
            "computed, and take its place"
        )
        return None
    run.wrote(path)
    return result


def _fingerprint(calc: MLSEQM, frame: Frame, config: Any) -> str:
    """What a result depends on, as one word."""
    atoms, settings = frame.atoms, dataclasses.asdict(config)
    words = (atoms.positions.tolist(), atoms.get_masses().tolist(), settings, __version__)
    return fingerprint(calc, [atoms], *words)
