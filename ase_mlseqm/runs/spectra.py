"""Infrared and Raman spectra of ``mlseqm vib``: tables and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.frames import Frame
from ..workflows.normal_modes import broadened, spectrum
from ..workflows.raman import cross_sections
from ..workflows.vibrations import VibrationsResult
from .run import Run

if TYPE_CHECKING:
    from ..cli.vibrations import VibOptions

Plot = Callable[[VibrationsResult, np.ndarray, np.ndarray, Path, str], None]


def write_spectra(
    run: Run, frame: Frame, stem: str, result: VibrationsResult, settings: VibOptions
) -> None:
    """The infrared spectrum where there are intensities, that of Raman where there are activities.

    Raman is the differential cross-section of Stokes scattering; the activities, broadened alike,
    are a column beside it.
    """
    from ..workflows.vibration_figures import plot_raman, plot_spectrum

    frequencies, title = result.frequencies, f"{frame.name}, {run.level}"
    end = max(4000.0, 200.0 * np.ceil((frequencies.max() + 100.0) / 200.0))
    grid, bands = np.arange(0.0, end + 0.5), (settings.width, settings.shape)

    def write(name: str, shift: str, columns: dict[str, np.ndarray], plot: Plot, text: str) -> None:
        rows = np.column_stack([grid, *columns.values()])
        shown = ((f"{x:g}", *(f"{y:.6g}" for y in values)) for x, *values in rows)
        run.write_csv(f"{stem}_{name}.csv", (f"{shift} [cm-1]", *columns), shown)
        picture = run.out / f"{stem}_{name}.png"
        with run.may_fail():
            plot(result, grid, next(iter(columns.values())), picture, text)
            run.wrote(picture)

    if result.intensities is not None:
        absorption = spectrum(frequencies, result.intensities, grid, *bands)
        columns = {"molar absorption [L/(mol cm)]": absorption}
        write("spectrum", "wavenumber", columns, plot_spectrum, title)
    if result.raman_activities is not None:
        lines = result.raman_activities
        sections = cross_sections(frequencies, lines, settings.laser, settings.temperature)
        columns = {
            "cross-section [1e-36 m2 cm/sr]": broadened(frequencies, sections, grid, *bands),
            "activity [Angstrom4 cm/u]": broadened(frequencies, lines, grid, *bands),
        }
        title += f", {settings.laser:g} nm, {settings.temperature:g} K"
        write("raman", "Raman shift", columns, plot_raman, title)
