"""What ``mlseqm label`` does: a journal of finished labels, and the data set made from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..files.frames import Frame, output_folder
from ..runs.report import Outcome
from ..runs.run import Run, complain, progress_bar
from ..workflows.journal import Journal
from . import Label, LabelSettings, check_functional, label, prepare
from .files import EXTXYZ, HDF5, single_point, write_labels
from .scf import load_pyscf

if TYPE_CHECKING:
    from ..batch import Molecule

ENTRY = "label"
Job = tuple[Frame, str]
"""A frame, and the fingerprint of its label."""


def fingerprint(molecule: Molecule, settings: LabelSettings) -> str:
    """Hash of all that a converged label depends on: geometry, charge, spin, level of theory."""
    level = dataclasses.asdict(settings)
    for name in ("max_iterations", "charge", "multiplicity"):
        del level[name]
    if not settings.unrestricted:  # labels from before there was this choice stay known
        del level["unrestricted"]
    level |= {name: level[name].lower() for name in ("functional", "basis")}
    digest = hashlib.sha256(json.dumps(level, sort_keys=True).encode())
    digest.update(np.array([molecule.charge, molecule.multiplicity], "<i8").tobytes())
    digest.update(molecule.numbers.astype("<i8").tobytes())
    digest.update((molecule.positions.astype("<f8") + 0.0).tobytes())  # -0 is 0
    return digest.hexdigest()


class LabelJournal:
    """Finished labels by fingerprint; each is written as soon as it is computed.

    What a run that was killed left of its last line is ignored, with a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path)

    def __len__(self) -> int:
        return len(self._journal)

    def find(self, fingerprint: str) -> Label | None:
        """The label with this fingerprint, if it is known."""
        values = self._journal.known(fingerprint).get(ENTRY)
        if values is None:
            return None
        fields: dict[str, Any] = {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return Label(**fields)
        except TypeError:
            warnings.warn(
                f"{self.path} has a label that is not whole: it is computed again", stacklevel=2
            )
            return None

    def add(self, fingerprint: str, found: Label) -> None:
        """Write a label to the disk."""
        self._journal.keep(fingerprint, ENTRY, dataclasses.asdict(found))


def labels(run: Run, specs: list[str], out: Path) -> int:
    """Label the frames that the journal of ``out`` does not have; write all of them to ``out``."""
    settings: LabelSettings = run.options
    if out.suffix.lower() not in HDF5 + EXTXYZ:
        raise InputError(f"{out}: the name must end with {', '.join(HDF5 + EXTXYZ)}")
    check_functional(settings.functional)
    run.summary.settings |= {
        "level": settings.level,
        "program": f"PySCF {load_pyscf().__version__}",
    }
    path = out.with_name(f"{out.name}.journal")
    if out.exists() and not path.exists():
        raise InputError(
            f"{out} exists, but not {path.name}, which a run would go on from: remove it, or give "
            "--out another name"
        )
    jobs = _jobs(run, specs, out)
    if not jobs:
        return run.finish()
    output_folder(run.out)
    journal = LabelJournal(path)
    results = _computed(run, jobs, journal)
    run.summary.lap("compute")
    ends = [(frame, results[key]) for frame, key in jobs if key in results]
    run.outcomes += [
        Outcome(frame, single_point(end, settings), end.converged, end.message)
        for frame, end in ends
    ]
    done = [(frame.atoms, end) for frame, end in ends if end.converged]
    if done:
        write_labels(out, done, settings)
        run.wrote(out)
        others = len(journal) - len({key for _, key in jobs if journal.find(key) is not None})
        if others:
            complain(
                f"{out} has the structures of this command; {path.name} has {others} more label"
                f"{'s' * (others > 1)}, of other structures or levels: name all files in one "
                "command to have them together"
            )
    run.summary.lap("write")
    return run.finish()


def _jobs(run: Run, specs: list[str], out: Path) -> list[Job]:
    """The frames that can be labelled; the others are problems of the run."""
    jobs = []
    for frame in run.read(specs):
        if Path(frame.file).resolve() == out.resolve():
            raise InputError(f"{frame.file} is read and would be overwritten: give another --out")
        try:
            jobs.append((frame, fingerprint(prepare(frame.atoms, run.options), run.options)))
        except InputError as error:
            run.problems.append(f"{frame.name}: {error}")
    return jobs


def _computed(run: Run, jobs: list[Job], journal: LabelJournal) -> dict[str, Label]:
    """Labels by fingerprint: what the journal has, and what it lacks, which it gets."""
    results = {key: known for _, key in jobs if (known := journal.find(key)) is not None}
    with progress_bar(len(jobs), "labels") as advance:
        try:
            for frame, key in jobs:
                advance(0, frame.name)
                if key not in results:
                    try:
                        result = label(frame.atoms, run.options)
                    except InputError as error:
                        run.problems.append(f"{frame.name}: {error}")
                    else:
                        results[key] = result
                        if result.converged:
                            journal.add(key, result)
                advance()
        except KeyboardInterrupt:
            run.interrupted = True
    return results
