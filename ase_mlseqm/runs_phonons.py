"""What ``mlseqm phonons`` does: read, compute, write, report."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from ase.calculators.calculator import CalculationFailed, CalculatorSetupError
from rich import box
from rich.table import Table

from .calculator import MLSEQM
from .errors import InputError
from .frames import Frame, output_folder, output_stem, output_stems, with_results, write_frames
from .report import MAX_COLUMNS, Outcome, console
from .runs import Run, complain, progress_bar
from .summary import jsonable, versions
from .wholefile import write_whole
from .workflows.phonons import PhononsConfig, PhononsResult, phonons

UNITS = {
    "energy": "eV",
    "forces, max_force": "eV/Angstrom",
    "positions, cell": "Angstrom",
    "masses": "u",
    "frequencies": "cm-1; imaginary ones are negative",
    "eigenvectors": "of the dynamical matrix at Gamma, of length one",
    "force_constants": "eV/Angstrom^2",
}
LEFT_OUT = ("eigenvectors", "force_constants", "config")
"""What the report of a run does not repeat."""


@dataclasses.dataclass
class PhononOutcome(Outcome):
    """One structure of a run, with its phonons."""

    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | jsonable(self.details)


def phonon_runs(run: Run, specs: list[str], settings: PhononsConfig) -> int:
    """Phonons of all frames, one after the other; the displacements of each are one batch."""
    calc = MLSEQM(**dataclasses.asdict(run.options))
    run.scf_settings()
    frames = run.read(specs)
    if not frames:
        return run.finish()
    output_folder(run.out)
    stems = output_stems(frame.file for frame in frames)
    notes: list[str] = []
    tables: list[Table] = []
    with progress_bar(len(frames), "phonons") as advance:
        for frame in frames:
            stem = output_stem(frame, stems)
            calc.reset()  # the result must not depend on the molecule before
            try:
                result = _phonons(run, calc, frame, stem, settings, advance)
                work = frame.atoms.copy()
                work.positions = result.atoms.positions
                calc.get_property("energy", work)
                run.summary.lap("compute")
            except (CalculatorSetupError, InputError) as error:
                run.problems.append(f"{frame.name}: {error}")
                continue
            except CalculationFailed as error:
                failed = getattr(error, "singlepoint", None)
                run.outcomes.append(PhononOutcome(frame, failed, False, str(error)))
                continue
            except KeyboardInterrupt:
                run.interrupted = True
                break
            finally:
                advance()
            point = calc.singlepoint
            assert point is not None
            _write(run, stem, result)
            path = run.out / f"{stem}_phonons.extxyz"
            write_frames(path, [with_results(work, point)])
            run.wrote(path)
            converged = result.max_force <= settings.fmax or not settings.relax
            details = {k: v for k, v in result.to_dict().items() if k not in LEFT_OUT}
            message = "; ".join(result.messages)
            run.outcomes.append(
                PhononOutcome(frame, point, converged, message, details={"phonons": details})
            )
            if converged:
                notes += [f"{frame.name}: {message}" for message in result.messages]
            tables.append(_table(frame, result))
            run.summary.lap("write")
    if not run.json and len(frames) <= MAX_COLUMNS:
        for table in tables:
            console().print(table)
    for note in notes:
        complain(note)
    return run.finish()


def _phonons(
    run: Run, calc: MLSEQM, frame: Frame, stem: str, settings: PhononsConfig, advance: Any
) -> PhononsResult:
    """The phonons of a frame: those in its file, or new ones, which are written there."""
    path = run.out / f"{stem}_phonons.json"
    key = _fingerprint(run, frame, settings)
    try:
        stored = json.loads(path.read_text())
        if stored["fingerprint"] == key:
            run.wrote(path)
            return PhononsResult.from_dict(stored["result"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or none that can be used

    def step(number: int, energy: float, fmax: float) -> None:
        advance(0, f"{frame.name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    result = phonons(frame.atoms, calc, settings, relax_callback=step)
    content = {
        "method": run.level,
        "model": run.summary.model,
        "versions": versions(),
        "units": UNITS,
        "fingerprint": key,
        "result": result.to_dict(),
    }
    write_whole(path, (json.dumps(jsonable(content), indent=1) + "\n").encode())
    run.wrote(path)
    return result


def _fingerprint(run: Run, frame: Frame, settings: PhononsConfig) -> str:
    """What the phonons depend on, as one word."""
    atoms = frame.atoms
    words = [
        [atoms.arrays[name].tolist() for name in ("numbers", "positions")],
        [atoms.cell.tolist(), atoms.pbc.tolist()],
        atoms.get_masses().tolist(),
        atoms.get_initial_charges().tolist(),
        atoms.get_initial_magnetic_moments().tolist(),
        [str(atoms.info.get(name)) for name in ("charge", "multiplicity", "spin")],
        [str(constraint.todict()) for constraint in atoms.constraints],
        dataclasses.asdict(run.options),
        run.summary.model,
        dataclasses.asdict(settings),
        versions()["ase-mlseqm"],
    ]
    return hashlib.sha256(repr(words).encode()).hexdigest()


def _write(run: Run, stem: str, result: PhononsResult) -> None:
    """The table of frequencies, and what phonopy's own programs read."""
    path: Path = run.out / f"{stem}_phonons.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("mode", "frequency [cm-1]"))
        writer.writerows((k + 1, f"{value:.4f}") for k, value in enumerate(result.frequencies))
    run.wrote(path)
    path = run.out / f"{stem}_phonopy.yaml"
    result.to_phonopy().save(path, settings={"force_constants": True})
    run.wrote(path)


def _table(frame: Frame, result: PhononsResult) -> Table:
    title = f"{frame.name}: {result.atoms.get_chemical_formula()}, Gamma"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name, unit in (("mode", ""), ("frequency", "cm-1")):
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right")
    for index, value in enumerate(result.frequencies):
        shown = f"{value:.1f}" if value > -0.05 else f"{-value:.1f}i"
        table.add_row(str(index + 1), shown)
    table.caption = (
        f"{result.calculations} displacements, largest force {result.max_force:.1e} eV/Å"
    )
    return table
