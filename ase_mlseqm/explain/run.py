"""What ``mlseqm explain`` does: read, compute, write, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ..atoms import molecule_from_atoms
from ..errors import InputError
from ..files.frames import output_folder, output_stem, output_stems, read_frames
from ..runs.report import console
from ..runs.run import complain, progress_bar
from ..summary import RunSummary, jsonable
from ..training.graph import bonds
from ..validate import check
from . import tables
from .environments import environments
from .parameters import atom_parameters, unit
from .tables import Explained

if TYPE_CHECKING:
    from ..nn.hamiltonian import LearnedHamiltonian
    from ..training.run import DataOptions

SHOWN = 3
"""Structures that the terminal shows; the files have all."""


@dataclasses.dataclass
class ExplainRun:
    """A run, what it wrote, and its end.

    Attributes
    ----------
    problems : list of str
        A sentence for everything that was refused.
    no_pbc : bool
        Whether periodic structures are taken as free molecules.
    """

    model: LearnedHamiltonian
    out: Path
    json: bool
    figure: bool
    summary: RunSummary
    problems: list[str] = dataclasses.field(default_factory=list)
    no_pbc: bool = False

    def path(self, name: str) -> Path:
        """A file of the output folder, which the summary will list."""
        path = self.out / name
        self.summary.files.append(str(path))
        return path

    def finish(self, results: dict[str, Any], report: Sequence[Table]) -> int:
        """Write the summary, print the report, and return the exit code."""
        self.summary.lap("write")
        path = self.path("mlseqm_explain.json")
        self.summary.results = jsonable(results | {"refused": self.problems})
        self.summary.write(path)
        if self.json:
            self.summary.print()
        else:
            output = console()
            for table in report:
                output.print(table)
            output.print(self.summary.last_line(self.out), markup=False)
        unconverged = results.get("unconverged", [])
        for name in unconverged:
            complain(f"{name}: the SCF did not converge, its bonds are left out")
        for problem in self.problems:
            complain(problem)
        if self.problems:
            return 2
        return 1 if unconverged else 0


def explain_files(run: ExplainRun, specs: Sequence[str], parameter: str | None) -> int:
    """Parameters of all atoms of the structures of files, and a picture of every structure."""
    labels = run.model.head.labels()
    parameter = parameter or ("U_pp" if "U_pp" in labels else labels[0])
    if parameter not in labels:
        raise InputError(f"the model does not learn {parameter!r}: choose from {', '.join(labels)}")
    structures = _explained(run, specs)
    if not structures:
        for problem in run.problems:
            complain(problem)
        return 2
    run.summary.lap("compute")
    output_folder(run.out)
    by_file: dict[str, list[Explained]] = {}
    for structure in structures:
        by_file.setdefault(structure.frame.file, []).append(structure)
    stems = output_stems(by_file)
    for file, found in by_file.items():
        tables.write_parameters(run.path(f"{stems[file]}_parameters.csv"), found)
        if run.figure:
            _pictures(run, found, stems, parameter)
    shown = [
        table
        for structure in structures[:SHOWN]
        for table in tables.parameter_tables(structure, run.model.method, console().width)
    ]
    results = {"parameter": parameter, "molecules": [s.to_dict() for s in structures]}
    return run.finish(results, shown)


def _explained(run: ExplainRun, specs: Sequence[str]) -> list[Explained]:
    """All structures that can be computed."""
    frames, molecules = [], []
    for spec in dict.fromkeys(specs):
        found, problem = read_frames(spec, run.no_pbc)
        if problem is not None:
            run.problems.append(problem)
        for frame in found:
            try:
                molecule = molecule_from_atoms(frame.atoms)
                molecules.append(check(molecule, run.model, unrestricted=None))
                frames.append(frame)
            except InputError as error:
                run.problems.append(f"{frame.name}: {error}")
    run.summary.lap("read")
    linked = [bonds(m.numbers, m.positions[None])[0] for m in molecules]
    around = [environments(m.numbers, b) for m, b in zip(molecules, linked, strict=True)]
    parameters = atom_parameters(run.model, molecules)
    return [Explained(*parts) for parts in zip(frames, linked, around, parameters, strict=True)]


def _pictures(
    run: ExplainRun, structures: Sequence[Explained], stems: dict[str, str], parameter: str
) -> None:
    """Draw the structures of one file, all with the same colours."""
    from .picture import draw_molecule

    column = structures[0].parameters.column(parameter)
    values = [s.parameters.corrections[:, column] for s in structures]
    limit = max((np.abs(v[np.isfinite(v)]).max(initial=0.0) for v in values), default=0.0)
    label = f"{parameter}: change from {run.model.method} ({unit(parameter)})"
    for structure, numbers in zip(structures, values, strict=True):
        frame = structure.frame
        draw_molecule(
            frame.atoms.numbers,
            frame.atoms.positions,
            structure.linked,
            numbers,
            run.path(f"{output_stem(frame, stems)}_{parameter}.png"),
            label=label,
            title=f"{Path(frame.name).name}, {run.model.name}",
            limit=float(limit),
        )


def explain_dataset(
    run: ExplainRun,
    files: Sequence[str],
    max_frames: int | None,
    seed: int,
    options: DataOptions,
    device: str,
) -> int:
    """Parameters by environment over a data set, and what they say about it."""
    from ..training.readers import left_out, read
    from .correlation import correlations
    from .statistics import accuracies, distributions, require_sklearn
    from .survey import described, survey

    require_sklearn()
    output_folder(run.out)
    data = read(list(files), **dataclasses.asdict(options), elements=run.model.supported())
    if data.skipped:
        complain(f"left out of the files: {left_out(data)}")
    run.summary.lap("read")
    number = len(described(data))
    if number < len(data):
        complain(
            f"left out of the statistics: {len(data) - number} of ions and open shells, of which "
            "bonds alone do not tell the hybridisation"
        )
    if not number:
        raise InputError("no frame is left to explain: give some of neutral closed shells")
    total = min(number, max_frames or number)
    with progress_bar(total, "frames") as advance:
        found = survey(run.model, data, max_frames, seed, device, lambda *_: advance())
    run.summary.lap("compute")
    told = accuracies(found.atoms)
    related = correlations(found.atoms, found.bonds)
    run.summary.lap("statistics")
    tables.write_survey(run.path("explain_parameters.csv"), found)
    tables.write_bonds(run.path("explain_bonds.csv"), found)
    if run.figure:
        _figures(run, found.atoms, related)
    results = {
        "frames": found.n_frames,
        "frames_in_files": len(data),
        "atoms": len(found.atoms.atom),
        "molecules": len(np.unique(found.atoms.fragment)),
        "unconverged": found.unconverged,
        "skipped": len(data.skipped),
        "checksums": data.checksums,
        "hybridisation": {k: dataclasses.asdict(a) for k, a in told.items()},
        "correlations": [dataclasses.asdict(c) for c in related],
        "distributions": [dataclasses.asdict(d) for d in distributions(found.atoms)],
    }
    report = [tables.accuracy_table(told)] if told else []
    return run.finish(results, report + ([tables.correlation_table(related)] if related else []))


def _figures(run: ExplainRun, atoms: Any, related: Any) -> None:
    from .figures import plot_correlations, plot_distributions

    key = f"dashed: {run.model.method}; dot: median; line: middle 90 %"
    learned = ~np.isnan(atoms.table).all(1)
    for element in np.unique(atoms.element[learned]).tolist():
        title = f"Parameters of {element} by hybridisation, {run.model.name}  ({key})"
        path = run.path(f"explain_{element}_hybridisation.png")
        plot_distributions(atoms, element, path, "hybridisation", title)
        if element != "H":  # whose only neighbour is in its hybridisation
            title = title.replace("hybridisation", "hybridisation and neighbours")
            path = run.path(f"explain_{element}_neighbours.png")
            plot_distributions(atoms, element, path, "neighbours", title)
    if related:
        title = f"Parameters of bonded atoms, {run.model.name}"
        plot_correlations(related, run.path("explain_bonds.png"), title)
