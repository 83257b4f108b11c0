"""Figures of relaxations, of one and of many, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from ase_mlseqm.wholefile import write_whole_picture

from .figures import BLUE, RED, new_figure, plain
from .relax_config import RelaxResult


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
    figure = new_figure(6.4, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    style = {"marker": "o", "markersize": 3.5 if len(steps) < 100 else 2, "linewidth": 1.4}
    upper.plot(steps, energies - energies[-1], color=BLUE, **style)
    upper.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    upper.set_ylabel("energy relative to\nthe last step (eV)")
    # a log axis cannot show the exact zero of a lone atom
    forces = np.maximum(result.max_forces, 1e-12)
    lower.semilogy(steps, forces, color=RED, **style)
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
        plain(axes)
    state = "converged" if result.converged else "NOT converged"
    figure.suptitle(
        f"{title}  ({state}, {result.steps} steps)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)


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
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    thin = {"color": BLUE, "linewidth": 0.7}
    axes.semilogy(forces.T, alpha=float(np.clip(15 / len(results), 0.08, 0.5)), **thin)
    axes.plot([], [], label="one molecule", **thin)
    axes.plot(median, color=RED, linewidth=2.5, label="median of all")
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
    plain(axes)
    done = len(results) - len(failed)
    figure.suptitle(
        f"{title}  ({done} of {len(results)} converged)".strip(), fontsize=11, parse_math=False
    )
    write_whole_picture(path, figure)
