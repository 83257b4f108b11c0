"""Figures of phonons, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ase_mlseqm.wholefile import write_whole_picture

from .figures import BLUE, RED, new_figure, plain
from .normal_modes import broadened
from .phonons_config import PhononsResult


def plot_phonons(
    result: PhononsResult,
    path: str | Path,
    title: str = "",
    *,
    mesh: float = 50.0,
    width: float = 20.0,
) -> None:
    """Draw the density of states, and the frequencies at Gamma as lines below it, into a PNG.

    Parameters
    ----------
    mesh : float
        Of a crystal: length that sets the density of q points, Angstrom.
    width : float
        Of a molecule, whose vibrations are lines: full width of their bands at half maximum, cm-1.
        Translations and rotations are left out.
    """
    if result.atoms.pbc.any():
        wavenumbers, density = result.density_of_states(mesh)
        whole = "cell"
    else:
        wavenumbers = np.arange(0.0, result.frequencies.max(initial=0.0) + 10 * width)
        lines = result.internal
        density = broadened(lines, np.ones(len(lines)), wavenumbers, width, "gaussian")
        whole = "molecule"
    figure = new_figure(7.2, 4.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(8, 1))
    upper.plot(wavenumbers, density, color=BLUE, linewidth=1.3)
    upper.fill_between(wavenumbers, density, color=BLUE, alpha=0.12, linewidth=0)
    upper.set_ylim(0, 1.08 * max(float(density.max(initial=0.0)), 1e-6))
    upper.set_ylabel(f"density of states\n(modes of the {whole} per cm$^{{-1}}$)")
    shown = result.internal if whole == "molecule" else result.frequencies
    lower.vlines(shown, 0, 1, color=RED, linewidth=1.0)
    lower.set_ylim(0, 1)
    lower.set_yticks([])
    lower.set_ylabel("Γ", rotation=0, labelpad=12, va="center")
    lower.set_xlabel("wavenumber (cm$^{-1}$); imaginary ones are negative")
    for axes in (upper, lower):
        plain(axes, grid="x")
    lower.spines["left"].set_visible(False)
    if len(result.imaginary):
        title = f"{title}  ({len(result.imaginary)} imaginary)".strip()
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(path, figure)
