"""What ``mlseqm md`` does: read, run or go on, write, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, CalculatorSetupError
from rich.markup import escape
from rich.table import Table

from ..calculator import MLSEQM
from ..errors import InputError
from ..files.frames import Frame, frame_stems, output_folder, output_stem
from ..results import SinglePoint
from ..summary import jsonable
from ..units import SPEED_OF_LIGHT
from ..workflows.interrupted import Interrupted
from ..workflows.md import dynamics
from ..workflows.md_config import MDResult
from ..workflows.md_figures import plot_energies, plot_spectrum, with_error
from ..workflows.md_log import Files
from ..workflows.replicas import replicas
from ..workflows.side_by_side import side_by_side
from ..workflows.spectra import Spectrum, ir_spectrum, power_spectrum
from ..workflows.trajectory import write_last
from .report import Outcome, console, titled_table
from .run import Run, complain, progress_bar

if TYPE_CHECKING:
    from ..cli.md import MDOptions

UNITS = {
    "mean_temperature": "K",
    "drift": "meV/atom/ps",
    "positions": "Angstrom",
    "velocities": "Angstrom (u/eV)^1/2, ASE's unit",
}
"""Of what ``mlseqm md`` writes into JSON."""

FEWEST = 64
"""Frames below which no spectrum is made."""
HIGHEST = 4100.0
"""cm^-1; what vibrates faster than velocities are written would look slow, and bonds to hydrogen
vibrate up to here."""


@dataclasses.dataclass
class MDOutcome(Outcome):
    """One trajectory of a run, perhaps of several of a structure."""

    name: str = ""
    result: MDResult | None = None
    replica: bool = False

    @property
    def label(self) -> str:
        return self.name if self.replica else super().label

    def to_dict(self) -> dict[str, Any]:
        out = super().to_dict() | {"trajectory": self.name}
        if self.result is not None:
            out["dynamics"] = jsonable(self.result.to_dict())
        return out


def md_runs(run: Run, specs: list[str], settings: MDOptions) -> int:
    """Dynamics of all frames side by side, or of all their replicas in one batch."""
    frames = run.read(specs)
    run.note_scf()
    if not frames:
        return run.finish()
    output_folder(run.out)
    if run.wants_uncertainty:
        run.doubt((frame.name, point) for frame, point in _starts(run, frames))
    stems = frame_stems(frames)
    with progress_bar(len(frames) * settings.steps, "dynamics") as advance:
        try:
            (_batch if settings.batched else _each)(run, frames, stems, settings, advance)
        except KeyboardInterrupt:
            run.interrupted = True
    run.summary.lap("compute")
    groups: dict[tuple[str, float], list[MDResult]] = {}
    for outcome in run.outcomes:
        assert isinstance(outcome, MDOutcome)
        _write(run, outcome, settings)
        if outcome.result is None or outcome.result.files is None:
            continue
        key = (output_stem(outcome.frame, stems), outcome.result.config.temperature)
        groups.setdefault(key, []).append(outcome.result)
    if settings.spectra:
        for (stem, heat), results in groups.items():
            label = stem + (f"_{heat:g}K" if len(settings.heats) > 1 else "")
            _spectra(run, label, [r for r in results if r.completed], settings)
    run.summary.lap("write")
    if run.outcomes and not run.json:
        console().print(_table(run))
    return run.finish()


def _starts(run: Run, frames: Sequence[Frame]) -> list[tuple[Frame, SinglePoint]]:
    """The structures from which dynamics begin, with their uncertainties.

    The report judges the last ones.
    """
    good, _ = run.checked(frames)  # others are told of where dynamics would begin
    points = run.points([molecule for _, molecule in good], ("energy", "stability"))
    return [(frame, point) for (frame, _), point in zip(good, points, strict=True)]


def _each(
    run: Run, frames: Sequence[Frame], stems: dict[str, str], settings: MDOptions, advance: Any
) -> None:
    """One trajectory of every frame, as it is alone; a step of all is one batch."""
    config = settings.dynamics()
    outcomes: dict[int, MDOutcome] = {}

    def one(number: int, calc: MLSEQM) -> None:
        frame = frames[number]
        stem = output_stem(frame, stems)
        done = 0

        def step(count: int, heat: float, energy: float) -> None:
            nonlocal done
            advance(count - done, f"{frame.name}: {heat:.0f} K, {energy:.4f} eV")
            done = count

        try:
            result = dynamics(frame.atoms, calc, config, stem=run.out / stem, callback=step)
        except CalculationFailed as error:
            failed = getattr(error, "singlepoint", None)
            message = f"not even started, {str(error).removesuffix('.')}"
            write_last(Files(run.out / stem).failed, message, [frame.atoms.copy()])
            outcomes[number] = MDOutcome(frame, failed, False, message, 0, name=stem)
        except Interrupted as stop:
            outcomes[number] = _outcome(frame, stem, stop.result, None)
            raise
        else:
            outcomes[number] = _outcome(frame, stem, result, calc.singlepoint)
        advance(config.steps - done)

    try:
        for number, found in side_by_side(one, range(len(frames)), MLSEQM(**run.keywords)):
            if isinstance(found, CalculatorSetupError | InputError):
                run.problems.append(f"{frames[number].name}: {found}")
            elif isinstance(found, Exception):
                raise found
    finally:
        run.outcomes.extend(outcome for _, outcome in sorted(outcomes.items()))


def _batch(
    run: Run, frames: Sequence[Frame], stems: dict[str, str], settings: MDOptions, advance: Any
) -> None:
    """All replicas of all frames; a step of all is one batch."""
    config, calc = settings.dynamics(), MLSEQM(**run.keywords)
    good, refused = run.checked(frames)
    run.problems += refused
    jobs: list[tuple[Frame, str, Atoms, float]] = []
    for frame, molecule in good:
        stem = output_stem(frame, stems)
        atoms = frame.atoms.copy()
        atoms.info |= {"charge": molecule.charge, "multiplicity": molecule.multiplicity}
        for heat in settings.heats:
            for copy in range(settings.replicas):
                jobs.append((frame, f"{stem}_{heat:g}K_{copy:02d}", atoms, heat))
    if not jobs:
        return
    done = 0

    def step(count: int, running: int, heat: float) -> None:
        nonlocal done
        advance((count - done) * len(frames), f"{running} replicas, {heat:.0f} K")
        done = count

    results = replicas(
        [atoms for _, _, atoms, _ in jobs],
        calc,
        config,
        temperatures=[heat for *_, heat in jobs],
        stems=[run.out / name for _, name, _, _ in jobs],
        callback=step,
    )
    for (frame, name, _, _), result in zip(jobs, results, strict=True):
        outcome = _outcome(frame, name, result, result.point)
        run.outcomes.append(dataclasses.replace(outcome, replica=True))


def _outcome(frame: Frame, name: str, result: MDResult, point: SinglePoint | None) -> MDOutcome:
    return MDOutcome(
        frame, point, result.completed, result.message, result.steps, name=name, result=result
    )


def _write(run: Run, outcome: MDOutcome, settings: MDOptions) -> None:
    """How a trajectory ended as JSON, its other files, and its energies as a figure."""
    result, files = outcome.result, Files(run.out / outcome.name, settings.format)
    end = {"completed": False, "message": outcome.message, "steps": 0}
    run.write_json(f"{outcome.name}_md.json", UNITS, result=result.to_dict() if result else end)
    for path in (files.table, files.frames, files.failed):
        if path.exists():
            run.wrote(path)
    if settings.figure and result is not None and result.steps:
        run.draw(plot_energies, result, f"{outcome.name}_md.png", outcome.name)


def _spectra(run: Run, label: str, results: list[MDResult], settings: MDOptions) -> None:
    """Spectra of the trajectories of one structure at one temperature, their mean."""
    step, spacing = settings.timestep, settings.timestep * settings.interval
    skip = 1e3 * settings.equilibration
    timestep = step if settings.ensemble == "nve" else None
    found: dict[str, list[Spectrum]] = {"power": [], "ir": []}
    fastest = 0.5 / (spacing * SPEED_OF_LIGHT)
    if results and fastest < HIGHEST:
        complain(
            f"{label}: no spectrum of the velocities, which every {settings.interval} steps show "
            f"only what is below {fastest:.0f} cm^-1; give a smaller --interval"
        )
    short: set[int] = set()
    for result in results:
        assert result.files is not None
        after = int(np.ceil(skip / step))
        heats = result.table["temperature_K"][after:]
        heat = float(heats.mean()) if len(heats) else np.nan
        options: dict[str, Any] = {"resolution": settings.resolution, "timestep": timestep}
        first = int(np.ceil(skip / spacing))
        velocities = result.files.trajectory.velocities(first)
        if len(velocities) < FEWEST:
            short.add(len(velocities))
        elif fastest >= HIGHEST:
            masses = result.atoms.get_masses()
            found["power"].append(power_spectrum(velocities, masses, spacing, heat, **options))
        dipoles = np.column_stack([result.table[f"dipole_{axis}_eA"] for axis in "xyz"])
        dipoles = dipoles[after:]
        if len(dipoles) >= FEWEST and np.isfinite(dipoles).all():
            found["ir"].append(ir_spectrum(dipoles, step, heat, **options))
    for count in sorted(short):  # replicas have as many as each other
        complain(
            f"{label}: no spectrum of the velocities of {count} frames behind the equilibration, "
            f"{FEWEST} are needed"
        )
    for kind, spectra in found.items():
        if not spectra:
            continue
        mean = np.mean([spectrum.intensities for spectrum in spectra], axis=0)
        spectrum = dataclasses.replace(spectra[0], intensities=mean)
        csv, png = (run.out / f"{label}_{kind}.{end}" for end in ("csv", "png"))
        with run.may_fail():
            spectrum.write(csv)
            run.wrote(csv)
            plot_spectrum(spectrum, png, f"{label}, {run.level}")
            run.wrote(png)


def _table(run: Run) -> Table:
    """One line a trajectory."""
    table = titled_table("dynamics")
    table.add_column("trajectory")
    for header in ("steps", "mean T\n[dim]K[/]", "drift\n[dim]meV/atom/ps[/]"):
        table.add_column(header, justify="right")
    table.add_column("end")
    for outcome in run.outcomes:
        assert isinstance(outcome, MDOutcome)
        cells = ["0", "–", "–"]
        if outcome.result is not None and outcome.result.steps:
            drift = with_error(*outcome.result.drift)
            if outcome.result.config.ensemble == "langevin":
                drift = "–"
            cells = [str(outcome.steps), f"{outcome.result.mean_temperature:.1f}", drift]
        table.add_row(escape(outcome.name), *cells, escape(outcome.message))
    return table
