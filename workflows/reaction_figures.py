"""Figures of reaction paths."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.wholefile import write_whole_picture

from .figures import BLUE, RED, new_figure, plain
from .neb import NEBResult
from .ts import TSResult

GREY = "0.35"


def _axes(ylabel: str, xlabel: str) -> tuple[Figure, Any]:
    figure = new_figure(6.8, 4.4)
    axes = figure.subplots()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    plain(axes)
    axes.spines["right"].set_visible(True)
    axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=1)
    right = axes.secondary_yaxis(
        "right", functions=(lambda e: e * EV_TO_KCAL, lambda e: e / EV_TO_KCAL)
    )
    right.set_ylabel("kcal/mol")
    return figure, axes


def plot_profile(result: NEBResult, path: str | Path, title: str = "") -> None:
    """Draw the energies of a path, and the spline through them, into a PNG."""
    fit = result.fit
    figure, axes = _axes("energy relative to the reactant (eV)", "length of the path (Å)")
    axes.plot(fit.fit_path, fit.fit_energies, color=BLUE, linewidth=1.6)
    axes.plot(fit.path, fit.energies, "o", color=BLUE, markersize=5)
    top = result.top
    if 0 < top < len(result.images) - 1:
        s, e = fit.path[top], fit.energies[top]
        axes.plot(s, e, "o", color=RED, markersize=7)
        axes.annotate(
            f"{result.barrier:.3f} eV\n{result.barrier * EV_TO_KCAL:.1f} kcal/mol",
            (s, e),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            color=RED,
            fontsize=9,
        )
    axes.margins(x=0.04, y=0.2)
    state = "converged" if result.converged else "NOT converged"
    axes.set_title(
        f"{title}  ({state}, {result.steps} steps)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)


def plot_irc(result: TSResult, path: str | Path, title: str = "") -> None:
    """Draw the energies along the reaction coordinate of a transition state into a PNG."""
    root = np.sqrt(result.atoms.get_masses())[:, None]
    figure, axes = _axes(
        "energy relative to the transition state (eV)", "reaction coordinate (Å u$^{1/2}$)"
    )
    for sign, minimum in zip((-1.0, 1.0), result.minima, strict=True):
        chain = [result.atoms, *minimum.path]
        steps = [
            float(np.linalg.norm(root * (b.positions - a.positions)))
            for a, b in itertools.pairwise(chain)
        ]
        s = sign * np.concatenate([[0.0], np.cumsum(steps)])
        e = np.array([atoms.get_potential_energy() for atoms in chain]) - result.energy
        axes.plot(s, e, "-o", color=BLUE, markersize=3, linewidth=1.4)
        bottom = float(minimum.atoms.get_potential_energy()) - result.energy
        axes.plot([s[-1]], [bottom], "_", color=GREY, markersize=18, markeredgewidth=2)
        axes.annotate(
            f"minimum\n{bottom:.3f} eV",
            (s[-1], bottom),
            xytext=(0, -6),
            textcoords="offset points",
            ha="center",
            va="top",
            color=GREY,
            fontsize=9,
        )
    axes.plot([0.0], [0.0], "o", color=RED, markersize=7)
    imaginary = ", ".join(f"{-value:.0f}i" for value in result.imaginary) or "none"
    axes.margins(x=0.12, y=0.22)
    axes.set_title(
        f"{title}  (imaginary modes: {imaginary} cm⁻¹)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)
