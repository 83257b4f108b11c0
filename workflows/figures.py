"""Figures of workflows, as files; nothing here touches matplotlib's global state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ase_mlseqm.wholefile import write_whole_picture

from .relax import RelaxResult


def plot_convergence(result: RelaxResult, path: str | Path, title: str = "") -> None:
    """Draw energy and largest force against the step into a PNG.

    Parameters
    ----------
    result : RelaxResult
    path : str or Path
        The PNG to write.
    title : str, optional
        Name of the molecule.
    """
    steps = np.arange(len(result.energies))
    energies = np.array(result.energies)
    figure = Figure(figsize=(6.4, 5.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    style = {"marker": "o", "markersize": 3.5 if len(steps) < 100 else 2, "linewidth": 1.4}
    upper.plot(steps, energies - energies[-1], color="#1f4e79", **style)
    upper.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    upper.set_ylabel("energy relative to\nthe last step (eV)")
    # a log axis cannot show the exact zero of a lone atom
    forces = np.maximum(result.max_forces, 1e-12)
    lower.semilogy(steps, forces, color="#b03a2e", **style)
    target = result.config.fmax
    lower.axhline(target, color="0.3", linewidth=1.0, linestyle="--", zorder=0)
    lower.annotate(
        f"target {target:g} eV/Å",
        (0.01, target),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color="0.3",
        fontsize=9,
    )
    lower.set_ylabel("largest force (eV/Å)")
    lower.set_xlabel("step")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.margins(x=0.02)
    for axes in (upper, lower):
        axes.grid(True, which="major", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    state = "converged" if result.converged else "NOT converged"
    figure.suptitle(
        f"{title}  ({state}, {result.steps} steps)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)
