"""Figure of many relaxations, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ase_mlseqm.wholefile import write_whole_picture

from .relax import RelaxResult


def plot_convergences(results: Sequence[RelaxResult], path: str | Path, title: str = "") -> None:
    """Draw the largest force of every molecule against the step, and their median, into a PNG.

    Parameters
    ----------
    results : sequence of RelaxResult
        With the same settings.
    path : str or Path
        The PNG to write.
    title : str, optional
        Name of the set.
    """
    width = max(len(result.max_forces) for result in results)
    forces = np.full((len(results), width), np.nan)  # eV/Angstrom
    for row, result in zip(forces, results, strict=True):
        row[: len(result.max_forces)] = result.max_forces
    # those that are done count with their last force: else the median would be that of the slow
    last = np.array([[result.max_force] for result in results])
    median = np.median(np.where(np.isnan(forces), last, forces), axis=0)
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    thin = {"color": "#1f4e79", "linewidth": 0.7}
    axes.semilogy(forces.T, alpha=float(np.clip(15 / len(results), 0.08, 0.5)), **thin)
    axes.plot([], [], label="one molecule", **thin)
    axes.plot(median, color="#b03a2e", linewidth=2.5, label="median of all")
    failed = [(result.steps, result.max_force) for result in results if not result.converged]
    if failed:
        axes.plot(*np.transpose(failed), "x", color="0.2", markersize=5, label="not converged")
    target = results[0].config.fmax
    label = f"target {target:g} eV/Å"
    axes.axhline(target, color="0.3", linewidth=1.0, linestyle="--", label=label)
    axes.legend(frameon=False, fontsize=9)
    axes.set_ylim(bottom=target / 10)  # forces far below it, such as those of atoms, say nothing
    axes.set_ylabel("largest force (eV/Å)")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    done = len(results) - len(failed)
    figure.suptitle(
        f"{title}  ({done} of {len(results)} converged)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)
