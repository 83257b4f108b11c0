"""What ``mlseqm vib`` and ``mlseqm thermo`` do: read, compute, write, report."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.calculators.calculator import CalculationFailed, CalculatorSetupError
from rich import box
from rich.table import Table

from .calculator import MLSEQM
from .cli_vibrations import ThermoOptions, VibOptions
from .errors import InputError
from .frames import Frame, output_folder, output_stem, output_stems, with_results, write_frames
from .report import MAX_COLUMNS, Outcome, console
from .runs import Run, complain, progress_bar
from .summary import jsonable, versions
from .wholefile import write_whole
from .workflows.normal_modes import spectrum
from .workflows.thermochemistry import ThermoResult, ideal_gas
from .workflows.vibrations import (
    VibrationsConfig,
    VibrationsResult,
    isotope_name,
    mode_frames,
    vibrations,
)

UNITS = {
    "energy, heat_of_formation, zero_point_energy, enthalpies, gibbs_energies": "eV",
    "frequencies, unprojected": "cm-1; imaginary ones are negative",
    "intensities": "km/mol",
    "masses, reduced_masses": "u",
    "modes": "Cartesian displacements of length one",
    "hessian": "eV/Angstrom^2",
    "dipole_derivatives": "e",
    "entropies, heat_capacities": "eV/K",
    "temperatures": "K",
    "pressure": "Pa",
}
KCAL = units.kcal / units.mol


@dataclasses.dataclass
class VibrationOutcome(Outcome):
    """One molecule of a run, with its vibrations and thermochemistry."""

    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | jsonable(self.details)


Writer = Callable[[Frame, str, VibrationsResult], tuple[dict[str, Any], list[str], Table]]


def vibration_runs(run: Run, specs: list[str], settings: VibOptions) -> int:
    """Vibrations of all frames, one after the other."""

    def write(
        frame: Frame, stem: str, result: VibrationsResult
    ) -> tuple[dict[str, Any], list[str], Table]:
        if settings.spectrum and result.intensities is not None and len(result.frequencies):
            _write_spectrum(run, frame, stem, result, settings)
        if settings.animate and len(result.frequencies):
            folder = output_folder(run.out / f"{stem}_modes")
            for index in range(len(result.frequencies)):
                frames = mode_frames(result, index)
                write_frames(folder / f"mode_{index + 1:03d}.extxyz", frames)
            run.wrote(folder)
        left_out = ("hessian", "dipole_derivatives", "modes", "config", "unprojected")
        details = {k: v for k, v in result.to_dict().items() if k not in left_out}
        return {"vibrations": details}, result.messages, _modes_table(frame, result)

    return _each(run, specs, settings, "vibrations", write)


def thermo_runs(run: Run, specs: list[str], settings: ThermoOptions) -> int:
    """Thermochemistry of all frames, one after the other."""

    def write(
        frame: Frame, stem: str, result: VibrationsResult
    ) -> tuple[dict[str, Any], list[str], Table]:
        gas = ideal_gas(result, settings)
        header, rows = thermo_rows(gas)
        _write_csv(run, run.out / f"{stem}_thermo.csv", header, rows)
        _write_json(run, run.out / f"{stem}_thermo.json", {"result": gas.to_dict()})
        if settings.figure:
            from .workflows.vibration_figures import plot_thermochemistry

            path = run.out / f"{stem}_thermo.png"
            plot_thermochemistry(gas, path, f"{frame.name}, {run.level}")
            run.wrote(path)
        return {"thermochemistry": gas.to_dict()}, gas.messages, _thermo_table(frame, gas)

    return _each(run, specs, settings, "thermochemistry", write)


def _each(run: Run, specs: list[str], settings: VibrationsConfig, label: str, write: Writer) -> int:
    """Compute the vibrations of every frame, or read what an earlier run wrote, and report."""
    calc = MLSEQM(**dataclasses.asdict(run.options))
    run.scf_settings()
    frames = run.read(specs)
    if not frames:
        return run.finish()
    output_folder(run.out)
    stems = output_stems(frame.file for frame in frames)
    notes: list[str] = []
    tables: list[Table] = []
    with progress_bar(len(frames), label) as advance:
        for frame in frames:
            stem = output_stem(frame, stems)
            calc.reset()  # the result must not depend on the molecule before
            try:
                result = _vibrations(run, calc, frame, stem, settings, advance)
                calc.get_property("energy", result.atoms)
                run.summary.lap("compute")
                details, messages, table = write(frame, stem, result)
            except (CalculatorSetupError, InputError) as error:
                run.problems.append(f"{frame.name}: {error}")
                continue
            except CalculationFailed as error:
                failed = getattr(error, "singlepoint", None)
                run.outcomes.append(VibrationOutcome(frame, failed, False, str(error)))
                continue
            except KeyboardInterrupt:
                run.interrupted = True
                break
            finally:
                advance()
            point = calc.singlepoint
            assert point is not None
            path = run.out / f"{stem}_vib.extxyz"
            write_frames(path, [with_results(result.atoms, point)])
            run.wrote(path)
            converged = result.max_force <= settings.fmax or not settings.relax
            run.outcomes.append(
                VibrationOutcome(frame, point, converged, "; ".join(messages), details=details)
            )
            if converged:
                notes += [f"{frame.name}: {message}" for message in messages]
            tables.append(table)
            run.summary.lap("write")
    if not run.json and len(frames) <= MAX_COLUMNS:
        for table in tables:
            console().print(table)
    for note in notes:
        complain(note)
    return run.finish()


def _vibrations(
    run: Run, calc: MLSEQM, frame: Frame, stem: str, settings: VibrationsConfig, advance: Any
) -> VibrationsResult:
    """The vibrations of a frame: those in its file, or new ones, which are written there."""
    names = [field.name for field in dataclasses.fields(VibrationsConfig)]
    config = VibrationsConfig(**{name: getattr(settings, name) for name in names})
    path = run.out / f"{stem}_vib.json"
    key = _fingerprint(run, frame, config)
    try:
        stored = json.loads(path.read_text())
        if stored["fingerprint"] == key:
            run.wrote(path)
            return VibrationsResult.from_dict(stored["result"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or none that can be used

    def step(number: int, energy: float, fmax: float) -> None:
        advance(0, f"{frame.name} step {number}: {energy:.4f} eV, {fmax:.4f} eV/Å")

    result = vibrations(frame.atoms, calc, config, relax_callback=step)
    _write_json(run, path, {"fingerprint": key, "result": result.to_dict()})
    return result


def _fingerprint(run: Run, frame: Frame, config: VibrationsConfig) -> str:
    """What the vibrations depend on, as one word."""
    atoms = frame.atoms
    names = ("charge", "multiplicity", "spin")
    words = [
        atoms.numbers.tolist(),
        atoms.positions.tolist(),
        atoms.get_masses().tolist(),
        atoms.get_initial_charges().tolist(),
        atoms.get_initial_magnetic_moments().tolist(),
        [str(atoms.info.get(name)) for name in names],
        [str(constraint.todict()) for constraint in atoms.constraints],
        dataclasses.asdict(run.options),
        run.summary.model,
        dataclasses.asdict(config),
        versions()["ase-mlseqm"],
    ]
    return hashlib.sha256(repr(words).encode()).hexdigest()


def _write_json(run: Run, path: Path, content: dict[str, Any]) -> None:
    about = {"method": run.level, "model": run.summary.model, "versions": versions()}
    text = json.dumps(jsonable(about | {"units": UNITS} | content), indent=1) + "\n"
    write_whole(path, text.encode())
    run.wrote(path)


def _write_csv(run: Run, path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    run.wrote(path)


def _write_spectrum(
    run: Run, frame: Frame, stem: str, result: VibrationsResult, settings: VibOptions
) -> None:
    from .workflows.vibration_figures import plot_spectrum

    assert result.intensities is not None
    end = max(4000.0, 200.0 * np.ceil((result.frequencies.max() + 100.0) / 200.0))
    grid = np.arange(0.0, end + 0.5)
    values = spectrum(result.frequencies, result.intensities, grid, settings.width, settings.shape)
    rows = ((f"{x:g}", f"{y:.6g}") for x, y in zip(grid, values, strict=True))
    header = ("wavenumber [cm-1]", "molar absorption [L/(mol cm)]")
    _write_csv(run, run.out / f"{stem}_spectrum.csv", header, rows)
    path = run.out / f"{stem}_spectrum.png"
    plot_spectrum(result, grid, values, path, f"{frame.name}, {run.level}")
    run.wrote(path)


def _modes_table(frame: Frame, result: VibrationsResult) -> Table:
    atoms = result.atoms
    formula = " ".join(
        isotope_name(z, mass) for z, mass in zip(atoms.numbers, atoms.get_masses(), strict=True)
    )
    title = f"{frame.name}: {formula if len(formula) < 60 else atoms.get_chemical_formula()}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name, unit in (
        ("mode", ""),
        ("frequency", "cm-1"),
        ("IR intensity", "km/mol"),
        ("reduced mass", "u"),
    ):
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right")
    for index, frequency in enumerate(result.frequencies):
        shown = f"{frequency:.1f}" if frequency > 0 else f"[bold red]{-frequency:.1f}i[/]"
        intensity = "–" if result.intensities is None else f"{result.intensities[index]:.2f}"
        table.add_row(str(index + 1), shown, intensity, f"{result.reduced_masses[index]:.3f}")
    table.caption = (
        f"zero-point energy {result.zero_point_energy / KCAL:.3f} kcal/mol, largest force "
        f"{result.max_force:.1e} eV/Å"
    )
    return table


def thermo_rows(gas: ThermoResult) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the CSV file."""
    columns = _columns(gas)
    header = [f"{name.replace('Δ', 'd')} [{unit}]" for name, unit, *_ in columns]
    return header, _rows(columns, len(gas.temperatures))


Column = tuple[str, str, np.ndarray, float, int]
"""Name, unit, values, what to divide them by, decimals."""


def _columns(gas: ThermoResult) -> list[Column]:
    per_mole, cal = "kcal/mol", "cal/(mol K)"
    found: list[Column] = [
        ("T", "K", gas.temperatures, 1.0, 2),
        ("H", "eV", gas.enthalpies, 1.0, 5),
        ("G", "eV", gas.gibbs_energies, 1.0, 5),
        ("G quasi", "eV", gas.gibbs_energies_quasi, 1.0, 5),
        ("S", cal, gas.entropies, KCAL / 1000, 3),
        ("S quasi", cal, gas.entropies_quasi, KCAL / 1000, 3),
        ("Cp", cal, gas.heat_capacities, KCAL / 1000, 3),
        ("H-H298", per_mole, gas.enthalpy_changes, KCAL, 3),
    ]
    if gas.heats_of_formation is not None:
        found.append(("ΔHf", per_mole, gas.heats_of_formation, KCAL, 3))
    return found


def _rows(columns: list[Column], count: int) -> list[list[str]]:
    return [
        [f"{values[k] / scale:.{digits}f}" for _, _, values, scale, digits in columns]
        for k in range(count)
    ]


def _thermo_table(frame: Frame, gas: ThermoResult) -> Table:
    group = "" if gas.point_group is None else f"{gas.point_group}, "
    title = (
        f"{frame.name}: {gas.geometry}, {group}symmetry number {gas.symmetry_number}, "
        f"2S+1 = {gas.vibrations.multiplicity}, {gas.config.pressure:g} Pa"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    columns = _columns(gas)
    for name, unit, *_ in columns:
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right", no_wrap=True)
    for row in _rows(columns, len(gas.temperatures)):
        table.add_row(*row)
    table.caption = f"zero-point energy {gas.zero_point_energy / KCAL:.3f} kcal/mol"
    return table
