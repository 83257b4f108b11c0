"""Figures of spectra and of thermochemistry, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.wholefile import write_whole_picture

from .figures import BLUE, RED, new_figure, plain
from .thermochemistry import REFERENCE, ThermoResult
from .vibrations import VibrationsResult


def plot_spectrum(
    result: VibrationsResult,
    grid: np.ndarray,
    absorption: np.ndarray,
    path: str | Path,
    title: str = "",
) -> None:
    """Draw a broadened infrared spectrum and its lines into a PNG.

    Parameters
    ----------
    grid, absorption : (G,) arrays
        cm-1 and L/(mol cm), see :func:`normal_modes.spectrum`.
    """
    assert result.intensities is not None
    figure, axes = _lines(result, result.intensities, grid, absorption, title)
    axes[0].set_xlim(grid[-1], grid[0])  # as spectroscopists draw it
    axes[0].set_xlabel("wavenumber (cm$^{-1}$)")
    axes[0].set_ylabel("molar absorption\n(L mol$^{-1}$ cm$^{-1}$)", color=BLUE)
    axes[1].set_ylabel("intensity (km mol$^{-1}$)", color=RED)
    write_whole_picture(path, figure)


def plot_raman(
    result: VibrationsResult,
    grid: np.ndarray,
    scattering: np.ndarray,
    path: str | Path,
    title: str = "",
) -> None:
    """Draw a broadened Raman spectrum, and the activities of its lines, into a PNG.

    Parameters
    ----------
    grid, scattering : (G,) arrays
        cm-1 and 1e-36 m^2 cm/sr: :func:`raman.cross_sections`, broadened.
    """
    assert result.raman_activities is not None
    figure, axes = _lines(result, result.raman_activities, grid, scattering, title)
    axes[0].set_xlim(grid[0], grid[-1])
    axes[0].set_xlabel("Raman shift (cm$^{-1}$)")
    axes[0].set_ylabel("cross-section\n(10$^{-36}$ m$^2$ sr$^{-1}$ cm)", color=BLUE)
    axes[1].set_ylabel("activity (Å$^4$ u$^{-1}$)", color=RED)
    write_whole_picture(path, figure)


def _lines(
    result: VibrationsResult, heights: np.ndarray, grid: np.ndarray, values: np.ndarray, title: str
) -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure with a broadened spectrum on the left axis and its lines on the right one."""
    # margins by hand: to measure all labels takes as long as to draw, once for each of thousands
    figure = new_figure(7.2, 4.0, layout=None)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.155, right=0.88, bottom=0.135, top=0.91)
    axes.plot(grid, values, color=BLUE, linewidth=1.3)
    axes.fill_between(grid, values, color=BLUE, alpha=0.12, linewidth=0)
    axes.set_ylim(0, 1.08 * max(float(values.max(initial=0.0)), 1e-3))
    lines = axes.twinx()
    real = result.frequencies > 0
    lines.vlines(result.frequencies[real], 0, heights[real], color=RED, linewidth=0.9)
    lines.set_ylim(0, 1.08 * max(float(heights[real].max(initial=0.0)), 1e-3))
    plain(axes)
    lines.spines["top"].set_visible(False)
    if len(result.imaginary):
        title = f"{title}  ({len(result.imaginary)} imaginary: not drawn)".strip()
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure, (axes, lines)


def plot_thermochemistry(result: ThermoResult, path: str | Path, title: str = "") -> None:
    """Draw enthalpy, entropy and Gibbs energy against the temperature into a PNG."""
    kcal = 1.0 / EV_TO_KCAL
    order = np.argsort(result.temperatures)
    temperatures = result.temperatures[order]
    zero = result.enthalpies - result.enthalpy_changes
    figure = new_figure(6.4, 7.2)
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    solid = {"color": BLUE, "marker": "o", "markersize": 3.5, "linewidth": 1.4}
    dashed = solid | {"color": RED, "linestyle": "--", "markersize": 2.5}
    upper.plot(temperatures, result.enthalpy_changes[order] / kcal, **solid)
    upper.set_ylabel(f"H − H({REFERENCE:g} K)\n(kcal/mol)")
    for axes, values, quasi, scale in (
        (middle, result.entropies, result.entropies_quasi, 1e3 / kcal),
        (lower, result.gibbs_energies - zero, result.gibbs_energies_quasi - zero, 1 / kcal),
    ):
        axes.plot(temperatures, scale * values[order], label="harmonic", **solid)
        axes.plot(temperatures, scale * quasi[order], label="quasi-harmonic", **dashed)
    middle.set_ylabel("S\n(cal/(mol K))")
    middle.legend(frameon=False, fontsize=9)
    lower.set_ylabel(f"G − H({REFERENCE:g} K)\n(kcal/mol)")
    lower.set_xlabel("temperature (K)")
    for axes in (upper, middle, lower):
        plain(axes)
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(path, figure)
