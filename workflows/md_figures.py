"""Pictures of dynamics: energies and temperature, spectra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_mlseqm.wholefile import write_whole_picture

from .figures import BLUE, RED, new_figure, plain
from .md_config import MDResult
from .spectra import Spectrum

GREEN, GREY = "#4f7f3c", "0.45"


def plot_energies(result: MDResult, path: str | Path, title: str = "") -> None:
    """Draw energies and temperature against time into a PNG.

    The upper part shows potential and kinetic energy, the middle one the energy that should be
    conserved with its drift (with langevin: the total energy), the lower one the temperature.
    """
    table, config, n_atoms = result.table, result.config, len(result.atoms)
    unit, time = ("ps", table["time_fs"] / 1e3)
    if time[-1] < 1.0:
        unit, time = "fs", table["time_fs"]
    figure = new_figure(6.8, 6.8)
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    thin = {"linewidth": 1.0 if len(time) < 1500 else 0.4}
    upper.plot(time, table["potential_eV"] - table["potential_eV"][0], color=BLUE, **thin)
    upper.plot(time, table["kinetic_eV"], color=RED, **thin)
    _label(upper, "potential, from the start", BLUE, 0.01)
    _label(upper, "kinetic", RED, 0.99)
    upper.set_ylabel("energy (eV)")

    conserved = 1e3 * (table["conserved_eV"] - table["conserved_eV"].mean()) / n_atoms
    middle.plot(time, conserved, color=GREEN, **thin)
    if config.ensemble == "langevin":
        text = "total energy: the thermostat exchanges it"
    else:
        slope, error = result.drift
        kind = "total energy" if config.ensemble == "nve" else "total energy and thermostat"
        text = f"{kind}: drift {with_error(slope, error)} meV/atom/ps"
        if np.isfinite(slope):
            ps = table["time_fs"] / 1e3
            middle.plot(time, slope * (ps - ps.mean()), color="0.2", linestyle="--", linewidth=1.0)
    _label(middle, text, GREEN, 0.01)
    middle.set_ylabel("from the mean\n(meV/atom)")

    lower.plot(time, table["temperature_K"], color=GREY, **thin)
    lower.axhline(result.mean_temperature, color="0.1", linewidth=1.2)
    _label(lower, f"mean {result.mean_temperature:.0f} K", "0.1", 0.01)
    lower.set_ylabel("temperature (K)")
    lower.set_xlabel(f"time ({unit})")
    for axes in (upper, middle, lower):
        plain(axes)
        axes.margins(x=0.01)
    state = "" if result.completed else "STOPPED, "
    heading = f"{title}  ({config.ensemble}, {config.timestep:g} fs, {state}{result.steps} steps)"
    figure.suptitle(heading.strip(), fontsize=11, parse_math=False)
    write_whole_picture(path, figure)


def plot_spectrum(
    spectrum: Spectrum,
    path: str | Path,
    title: str = "",
    marks: Sequence[float] = (),
    limit: float = 4200.0,
) -> None:
    """Draw a spectrum up to ``limit`` into a PNG; ``marks`` are wavenumbers to compare, 1/cm."""
    figure = new_figure(6.8, 3.6)
    axes = figure.subplots()
    shown = spectrum.wavenumbers <= limit
    x, y = spectrum.wavenumbers[shown], np.maximum(spectrum.intensities[shown], 0.0)
    axes.fill_between(x, y, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(x, y, color=BLUE, linewidth=1.2)
    for mark in marks:
        axes.axvline(mark, color=RED, linewidth=1.2, linestyle=":", zorder=1)  # above the grid
    axes.set_xlim(0, limit)
    axes.set_ylim(0, 1.1 * max(y.max(), 1e-300))
    axes.set_xlabel("wavenumber (1/cm)")
    axes.set_ylabel(f"{spectrum.name} ({spectrum.unit})")
    plain(axes)
    axes.set_title(
        f"{title}  (resolution {spectrum.resolution:.0f}/cm)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)


def with_error(value: float, error: float) -> str:
    """A number with its standard error, to the error's second digit."""
    if not (np.isfinite(value) and np.isfinite(error)):
        return "–"
    digits = 1 - int(np.floor(np.log10(error))) if error > 0 else 4
    return f"{value:.{max(digits, 0)}f} ± {error:.{max(digits, 0)}f}"


def _label(axes: Any, text: str, color: str, x: float) -> None:
    """Text above the axes, at the left or the right end."""
    side = "left" if x < 0.5 else "right"
    axes.text(
        x, 1.02, text, color=color, ha=side, va="bottom", fontsize=9, transform=axes.transAxes
    )
