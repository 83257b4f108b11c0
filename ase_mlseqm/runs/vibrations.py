"""What ``mlseqm vib`` and ``mlseqm thermo`` do: read, compute, write, report."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from ..files.frames import Frame, output_folder, write_frames
from ..options import base_settings
from ..units import EV_TO_KCAL
from ..workflows.isotopes import isotope_name
from ..workflows.thermochemistry import ThermoResult, ideal_gas
from ..workflows.vibrations import VibrationsConfig, VibrationsResult, mode_frames, vibrations
from .chunks import Workflow
from .frames import Account, each_frame
from .report import titled_table
from .run import Run
from .spectra import write_spectra

if TYPE_CHECKING:
    from ..cli.vibrations import ThermoOptions, VibOptions

UNITS = {
    "energy, heat_of_formation, zero_point_energy, enthalpies, gibbs_energies": "eV",
    "frequencies, unprojected": "cm-1; imaginary ones are negative",
    "intensities": "km/mol",
    "masses, reduced_masses": "u",
    "modes": "Cartesian displacements of length one",
    "hessian": "eV/Angstrom^2",
    "dipole_derivatives": "e",
    "polarizability": "Angstrom^3; its derivatives Angstrom^2",
    "raman_activities": "Angstrom^4/u",
    "entropies, heat_capacities": "eV/K",
    "temperatures": "K",
    "pressure": "Pa",
}
KCAL = 1.0 / EV_TO_KCAL
"""One kcal/mol in eV."""
LEFT_OUT = (
    *("hessian", "dipole_derivatives", "polarizability_derivatives"),
    *("modes", "config", "unprojected"),
)
"""What the report of a run does not repeat."""
MADE = (
    *("_spectrum.csv", "_spectrum.png", "_raman.csv", "_raman.png", "_modes"),
    *("_thermo.csv", "_thermo.json", "_thermo.png"),
)
"""Ends of the names of the files that both commands make of vibrations."""


def vibration_runs(run: Run, specs: list[str], settings: VibOptions) -> int:
    """Vibrations of all frames, in chunks."""

    def write(frame: Frame, stem: str, result: VibrationsResult) -> Account:
        if result.raman_activities is None:
            for kind in ("csv", "png"):  # of an earlier run
                (run.out / f"{stem}_raman.{kind}").unlink(missing_ok=True)
        if settings.spectrum and len(result.frequencies):
            write_spectra(run, frame, stem, result, settings)
        if settings.animate and len(result.frequencies):
            folder = output_folder(run.out / f"{stem}_modes")
            for old in folder.glob("mode_*.extxyz"):
                old.unlink()
            with run.may_fail():
                for index in range(len(result.frequencies)):
                    frames = mode_frames(result, index)
                    write_frames(folder / f"mode_{index + 1:03d}.extxyz", frames)
                run.wrote(folder)
        details = {k: v for k, v in result.to_dict().items() if k not in LEFT_OUT}
        return Account({"vibrations": details}, result.messages, _modes_table(frame, result))

    return each_frame(run, specs, _workflow("vibrations", settings), write)


def thermo_runs(run: Run, specs: list[str], settings: ThermoOptions) -> int:
    """Thermochemistry of all frames, in chunks."""

    def write(frame: Frame, stem: str, result: VibrationsResult) -> Account:
        gas = ideal_gas(result, settings)
        header, rows = thermo_rows(gas)
        run.write_csv(f"{stem}_thermo.csv", header, rows)
        run.write_json(f"{stem}_thermo.json", UNITS, result=gas.to_dict())
        if settings.figure:
            from ..workflows.vibration_figures import plot_thermochemistry

            run.draw(plot_thermochemistry, gas, f"{stem}_thermo.png", frame.name)
        details = {"thermochemistry": gas.to_dict()}
        return Account(details, gas.messages, _thermo_table(frame, gas))

    return each_frame(run, specs, _workflow("thermochemistry", settings), write)


def _workflow(label: str, settings: VibrationsConfig) -> Workflow:
    # the same for both commands: each goes on from the files of the other
    config = base_settings(settings, VibrationsConfig)
    richer = (dataclasses.replace(config, raman=True),)
    return Workflow(label, "vib", vibrations, VibrationsResult, config, UNITS, richer, MADE)


def _modes_table(frame: Frame, result: VibrationsResult) -> Table:
    atoms = result.atoms
    formula = " ".join(
        isotope_name(z, mass) for z, mass in zip(atoms.numbers, atoms.get_masses(), strict=True)
    )
    title = f"{frame.name}: {formula if len(formula) < 60 else atoms.get_chemical_formula()}"
    table = titled_table(title)
    columns = [
        ("mode", ""),
        ("frequency", "cm-1"),
        ("IR intensity", "km/mol"),
        ("reduced mass", "u"),
    ]
    raman, ratios = result.raman_activities, result.depolarisation_ratios
    if raman is not None:
        columns += [("Raman activity", "Å⁴/u"), ("depolarisation", "")]
    for name, unit in columns:
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right")
    for index, frequency in enumerate(result.frequencies):
        shown = f"{frequency:.1f}" if frequency > 0 else f"[bold red]{-frequency:.1f}i[/]"
        intensity = "–" if result.intensities is None else f"{result.intensities[index]:.2f}"
        row = [str(index + 1), shown, intensity, f"{result.reduced_masses[index]:.3f}"]
        if raman is not None and ratios is not None:
            ratio = "–" if np.isnan(ratios[index]) else f"{ratios[index]:.3f}"
            row += [f"{raman[index]:.2f}", ratio]
        table.add_row(*row)
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
    table = titled_table(title)
    columns = _columns(gas)
    for name, unit, *_ in columns:
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right", no_wrap=True)
    for row in _rows(columns, len(gas.temperatures)):
        table.add_row(*row)
    table.caption = f"zero-point energy {gas.zero_point_energy / KCAL:.3f} kcal/mol"
    return table
