"""What ``mlseqm sp`` does: read, compute, write, report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..files.frames import frame_stems, output_folder, place, with_results, write_frames
from ..results import SinglePoint
from .report import Outcome
from .run import Run, progress_bar


def single_points(run: Run, specs: list[str], properties: Sequence[str]) -> int:
    """Evaluate all frames in one call and write them."""
    run.goes_on = False
    good, refused = run.checked(run.read(specs))
    run.problems += refused
    if not good:
        return run.finish()
    frames = [frame for frame, _ in good]
    output_folder(run.out)
    run.note_scf()
    results: dict[int, SinglePoint] = {}
    with progress_bar(len(frames), "single points") as advance:

        def done(index: int, point: SinglePoint) -> None:  # called from several threads
            results[index] = point
            advance()

        try:
            run.points([molecule for _, molecule in good], properties, callback=done)
        except KeyboardInterrupt:
            run.interrupted = True
    run.summary.lap("compute")
    by_file: dict[str, list[Any]] = {}
    for index, point in sorted(results.items()):
        frame = frames[index]
        run.outcomes.append(Outcome(frame, point, point.converged, point.message))
        by_file.setdefault(frame.file, []).append(with_results(frame.atoms, point, **place(frame)))
    stems = frame_stems(frames)
    for file, atoms in by_file.items():
        path = run.out / f"{stems[file]}_sp.extxyz"
        with run.may_fail():
            write_frames(path, atoms)
            run.wrote(path)
    run.summary.lap("write")
    return run.finish()
