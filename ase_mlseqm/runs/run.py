"""What the commands share: the state of a run, its files, its report and its exit code."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..atoms import molecule_from_atoms
from ..engines import engine_for, scf_settings
from ..errors import InputError
from ..files.frames import Frame, frame_stems, output_stem, read_frames
from ..options import CalculatorOptions
from ..results import SinglePoint
from ..singlepoint import PROPERTIES
from ..summary import RunSummary, jsonable, versions
from ..wholefile import named_errors, write_whole
from .report import Outcome, console, results_table

if TYPE_CHECKING:
    from ase import Atoms

    from ..engine import Engine
    from ..molecule import Molecule

PREFIX = "mlseqm: "
MOST_NAMED = 5
"""Molecules in one warning."""
SHOWN = tuple(name for name in PROPERTIES if name not in ("density", "parameters"))
"""What is computed of structures unless properties are chosen."""
OUTPUTS = {"relax": ["relaxed"], "thermo": ["vib"], "md": ["md", "failed"]}
"""Ends of the names of the structures that a command writes, where it is not the command's own."""


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
    no_pbc: bool = False
    """Whether periodic structures are taken as free molecules."""
    goes_on: bool = True
    """Whether the same command goes on where it was interrupted."""

    @property
    def level(self) -> str:
        """Name of the method or the model."""
        from ..models import DEFAULT

        return self.options.method or self.options.model or DEFAULT

    @property
    def wants_uncertainty(self) -> bool:
        """Whether results are to have an uncertainty; unless said otherwise, where there is one."""
        from ..models import find_model, has_committee

        if self.options.uncertainty is None:
            return has_committee(find_model(self.options.method, self.options.model))
        return self.options.uncertainty

    @property
    def keywords(self) -> dict[str, Any]:
        """Of the calculator."""
        return dataclasses.asdict(self.options) | {"uncertainty": self.wants_uncertainty}

    @property
    def engine(self) -> Engine:
        """That of the calculator."""
        return engine_for(dataclasses.asdict(self.options))

    def note_scf(self) -> None:
        """Put the settings of the SCF with their defaults into the summary."""
        settings = scf_settings(self.options.tolerance, self.options.max_iterations)
        self.summary.settings |= dataclasses.asdict(settings)

    def read(self, specs: list[str]) -> list[Frame]:
        """The frames of all files; one that is named twice is taken once."""
        frames: dict[tuple[str, int], Frame] = {}
        for spec in specs:
            found, problem = read_frames(spec, self.no_pbc)
            frames |= {(frame.file, frame.index): frame for frame in found}
            if problem is not None:
                self.problems.append(problem)
        self.summary.lap("read")
        found = list(frames.values())
        stems = frame_stems(found)
        names = {stem: file for file, stem in stems.items()}
        names |= {output_stem(frame, stems): frame.file for frame in found}
        for end in OUTPUTS.get(self.name, [self.name]):
            ours = {f"{stem}_{end}.extxyz": file for stem, file in names.items()}
            self.keep_inputs(stems, ours)
        return found

    def keep_inputs(self, files: Iterable[str], outputs: Mapping[str, str]) -> None:
        """Refuse to write results of one file into another that is read, as with ``*.xyz``.

        Parameters
        ----------
        files : iterable of str
            Paths of what is read.
        outputs : mapping
            What the results are of, by the names of the files of the run that get them.

        Raises
        ------
        InputError
            When one of them is read.
        """
        written = {self.out.resolve() / name: source for name, source in outputs.items()}
        for file in files:
            path = Path(file)
            # a link is written through, and what it leads to may be one of ours
            for place in (path.parent.resolve() / path.name, path.resolve()):
                if place in written:
                    raise InputError(
                        f"{file} would be overwritten by the results of {written[place]}: give "
                        "another folder with --out"
                    )

    def molecule(self, atoms: Atoms) -> Molecule:
        """The molecule of atoms, with the charge and the multiplicity of the options."""
        return molecule_from_atoms(atoms, self.options.charge, self.options.multiplicity)

    def checked(self, frames: Sequence[Frame]) -> tuple[list[tuple[Frame, Molecule]], list[str]]:
        """The molecules of frames that can be computed, and a sentence on each of the others."""
        from ..validate import check

        model, good, refused = self.engine.model, [], []
        for frame in frames:
            try:
                molecule = check(self.molecule(frame.atoms), model, self.options.unrestricted)
                good.append((frame, molecule))
            except InputError as error:
                refused.append(f"{frame.name}: {error}")
        return good, refused

    def points(
        self, molecules: Sequence[Molecule], properties: Sequence[str] = SHOWN, **more: Any
    ) -> list[SinglePoint]:
        """Results of molecules, with their uncertainties where these are wanted; ``more`` are
        arguments of :meth:`~ase_mlseqm.engine.Engine.run`."""
        if self.wants_uncertainty:
            properties = (*properties, "uncertainty")
        options = self.options
        return self.engine.run(
            molecules, properties, unrestricted=options.unrestricted, field=options.field, **more
        )

    @contextlib.contextmanager
    def may_fail(self) -> Iterator[None]:
        """A file that cannot be written is a problem; all others, and the report, come anyway."""
        try:
            yield
        except OSError as error:
            name = error.filename or "output"
            self.problems.append(f"{name}: cannot be written ({error.strerror or error})")

    def wrote(self, path: Path) -> None:
        """Remember an output file."""
        if str(path) not in self.summary.files:
            self.summary.files.append(str(path))

    def write_json(self, name: str, units: dict[str, str], **content: Any) -> None:
        """Write results into the folder, with what they were computed with; whole or not at all."""
        about = {"method": self.level, "model": self.summary.model, "versions": versions()}
        record = jsonable(about | {"units": units} | content)
        path = self.out / name
        write_whole(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
        self.wrote(path)

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence]) -> None:
        """Write a table into the folder; one that cannot be written stops nothing else."""
        path = self.out / name
        with self.may_fail():
            with named_errors(path), path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(rows)
            self.wrote(path)

    def draw(
        self, plot: Callable[[Any, Path, str], None], result: Any, name: str, title: str
    ) -> None:
        """Draw a result into the folder; a picture that cannot be written stops nothing else."""
        path = self.out / name
        with self.may_fail():
            plot(result, path, f"{title}, {self.level}")
            self.wrote(path)

    def doubt(self, points: Iterable[tuple[str, SinglePoint | None]]) -> None:
        """Name those that the model is not sure of, and those of which a state is lower."""
        unsure, unstable = [], []
        for name, point in points:
            if point is not None and point.uncertain:
                size = point.uncertainty
                known = size is not None and math.isfinite(size)
                told = f"± {size:.2f} eV" if known else "a network has no solution"
                unsure.append(f"{name} ({told})")
            if point is not None and point.unstable:
                unstable.append(name)
        if unsure:
            complain(
                f"warning: unlike what {self.level} was trained on: {some(unsure)}; check with "
                "another method"
            )
        if unstable:
            complain(
                "warning: an unrestricted solution is lower, as where a bond breaks: "
                f"{some(unstable)}; give --unrestricted"
            )

    def finish(self) -> int:
        """Write the summary, print the report, and return the exit code."""
        failed = [outcome for outcome in self.outcomes if not outcome.converged]
        self.summary.results = {
            "molecules": len(self.outcomes),
            "converged": len(self.outcomes) - len(failed),
            "unconverged": [outcome.label for outcome in failed],
            "refused": self.problems,
            "interrupted": self.interrupted,
        }
        if self.outcomes:
            path = self.out / f"mlseqm_{self.name}.json"
            self.wrote(path)
            with self.may_fail():
                self.summary.write(path)
        if self.json:
            self.summary.print(molecules=[outcome.to_dict() for outcome in self.outcomes])
        elif self.outcomes:
            output = console()
            output.print(results_table(self.outcomes, f"{self.level} {self.name}"))
            output.print(self.summary.last_line(self.out), markup=False)
        for outcome in failed:
            complain(f"{outcome.label}: {outcome.message}")
        self.doubt((outcome.label, outcome.point) for outcome in self.outcomes)
        for problem in self.problems:
            complain(problem)
        if self.interrupted:
            if self.goes_on:
                complain("interrupted; the same command goes on from what was written")
            else:
                done = len(self.outcomes) - len(failed)
                complain(f"interrupted; {done} molecules were computed and written")
            return 130
        if self.problems:
            return 2
        return 1 if failed else 0


def start(
    name: str, options: Any, out: Path, json_: bool, settings: dict[str, Any], no_pbc: bool
) -> Run:
    """A new run of a command; ``settings`` are those that its summary has besides ``options``."""
    summary = RunSummary(dataclasses.asdict(options) | settings)
    if isinstance(options, CalculatorOptions) and options.method is None:
        from ..models import DEFAULT, model_file

        chosen = options.model or DEFAULT
        summary.model = {"name": chosen, "sha256": model_file(chosen).sha256}
    return Run(name, options, out, json_, summary, no_pbc=no_pbc)


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
    if not screen.is_terminal:  # where older versions of rich end a bar that is not shown, too
        yield lambda steps=1, text="": None
        return
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task(label, total=total, text="")

        def advance(steps: int = 1, text: str = "") -> None:
            progress.update(task, advance=steps, text=text)

        yield advance


def some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
