"""Figures of a data set: distributions of parameters, and correlations with bonds."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from ..wholefile import write_whole_picture
from .correlation import TARGETS, Correlation
from .environments import HYBRIDISATIONS
from .parameters import unit
from .survey import AtomTable

COLOURS = {
    "sp3": "#4c78a8",
    "sp2": "#e0a030",
    "aromatic": "#b03a2e",
    "sp": "#5a9e6f",
    "other": "#8c8c8c",
}
MAX_ROWS = 12
"""Kinds of atoms in a figure, the most frequent ones."""
MIN_ATOMS = 5
"""Of a kind, to be in a figure."""
POINTS = 3000
"""Atoms from which a density is estimated, at most."""


def plot_distributions(
    atoms: AtomTable, element: str, path: Path, by: str = "hybridisation", title: str = ""
) -> None:
    """Draw the distribution of every parameter of an element, a panel each, into a PNG.

    Parameters
    ----------
    by : str
        "hybridisation", or "neighbours": one row for every set of bonded atoms, too.
    """
    rows = atoms.element == element
    kinds = atoms.hybridisation[rows]
    if by == "neighbours":
        kinds = np.char.add(np.char.add(kinds, "  "), atoms.neighbours[rows])
    values, table = atoms.values[rows], atoms.table[rows][0]
    names, counts = np.unique(kinds, return_counts=True)
    most = [names[k] for k in np.argsort(-counts)[:MAX_ROWS] if counts[k] >= MIN_ATOMS]
    order = sorted(most, key=lambda name: (_rank(name), -counts[names == name][0]))
    have = np.flatnonzero(~np.isnan(table))
    columns = max(1, min(3 if len(have) <= 9 else 4, len(have)))
    n_rows = max(1, -(-len(have) // columns))
    height = 0.75 + 0.26 * max(len(order), 3)
    figure = Figure(figsize=(3.1 * columns + 1.6, height * n_rows + 0.5), dpi=140)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    for panel in panels.flat[len(have) :]:
        panel.set_visible(False)
    for panel, column in zip(panels.flat, have, strict=False):
        for place, name in enumerate(order):
            _violin(panel, values[kinds == name, column], place, COLOURS[_hybridisation(name)])
        panel.axvline(table[column], color="0.3", linestyle="--", linewidth=0.9, zorder=1)
        panel.set_xlabel(f"{atoms.labels[column]} ({unit(atoms.labels[column])})")
        panel.locator_params(axis="x", nbins=5)
        panel.ticklabel_format(axis="x", useOffset=False)
        panel.grid(True, axis="x", color="0.92", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    labels = [f"{name}  ({counts[names == name][0]})" for name in order]
    panels[0, 0].set_yticks(range(len(order)), labels)
    panels[0, 0].set_ylim(len(order) - 0.4, -0.6)
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(path, figure)


def _hybridisation(name: str) -> str:
    """The hybridisation that the name of a kind starts with."""
    first = name.split()[0]
    return first if first in COLOURS else "other"


def _rank(name: str) -> tuple[int, str]:
    return HYBRIDISATIONS.index(_hybridisation(name)), name if " " not in name.strip() else ""


def _violin(axes: Any, values: np.ndarray, place: float, colour: str) -> None:
    """Density of values about a horizontal line, its middle 90 % and its median."""
    low, median, high = np.percentile(values, (5, 50, 95))
    sample = values[:: max(1, len(values) // POINTS)]
    if np.ptp(sample) > 1e-9 * max(1.0, abs(median)):
        grid = np.linspace(sample.min(), sample.max(), 200)
        density = gaussian_kde(sample)(grid)
        half = 0.42 * density / density.max()
        axes.fill_between(grid, place - half, place + half, color=colour, alpha=0.75, linewidth=0)
    axes.plot([low, high], [place, place], color="0.15", linewidth=0.9)
    axes.plot(median, place, "o", color="white", markeredgecolor="0.15", markersize=4)


def plot_correlations(found: list[Correlation], path: Path, title: str = "") -> None:
    """Draw Spearman's correlations of all kinds of bonds and parameters into a PNG."""
    kinds = list(dict.fromkeys(c.bond for c in found))
    labels = list(dict.fromkeys(c.parameter for c in found))
    rows, columns = (2, 2) if len(labels) <= 12 else (4, 1)
    size = (columns * (0.5 * len(labels) + 1), rows * (0.36 * len(kinds) + 0.5) + 1.2)
    figure = Figure(figsize=size, dpi=140)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True)
    shown = itertools.product(("mean", "difference"), TARGETS)
    for panel, (of, target) in zip(panels.flat, shown, strict=True):
        matrix = np.full((len(kinds), len(labels)), np.nan)
        for c in found:
            if (c.of, c.target) == (of, target):
                matrix[kinds.index(c.bond), labels.index(c.parameter)] = c.spearman
        image = panel.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.6 else "black"
                text = f"{value:.2f}".replace("0.", ".")
                panel.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
        panel.set_title(f"{of} of both atoms, bond {target}", fontsize=9, parse_math=False)
        panel.set_xticks(range(len(labels)), labels, rotation=60)
        panel.set_yticks(range(len(kinds)), kinds)
    figure.colorbar(image, ax=panels, label="Spearman's rank correlation", shrink=0.8)
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(path, figure)
