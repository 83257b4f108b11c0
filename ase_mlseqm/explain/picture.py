"""A molecule on paper, its atoms coloured by a number."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ..wholefile import write_whole_picture

RADIUS, HYDROGEN_RADIUS = 0.36, 0.26
"""Of the discs, Angstrom."""
CLEAR = 1.0
"""Distance of two atoms on paper from which on neither hides the other, Angstrom."""
MISSING = "#d9d9d9"
"""Colour of atoms without a number."""
TILTS = np.radians((-30, -20, -10, 0, 10, 20, 30))
MAX_INCHES = 11.0
POINTS = 72.0


def project(positions: np.ndarray) -> np.ndarray:
    """Positions (A, 3) in the frame of the paper: x, y and height above it, Angstrom.

    The first two principal axes lie in the paper, the longest along x.  The molecule is then
    tilted by up to 30 degrees such that its atoms hide each other least.
    """
    centred = positions - positions.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=True)
    straight = centred @ axes.T
    views = [straight @ _tilt(a, b).T for a, b in itertools.product(TILTS, TILTS)]
    # by as much as it must: a flat molecule stays flat
    cost = [
        _overlap(view) + 0.3 * (a * a + b * b)
        for view, (a, b) in zip(views, itertools.product(TILTS, TILTS), strict=True)
    ]
    return views[int(np.argmin(cost))]


def _tilt(a: float, b: float) -> np.ndarray:
    """Rotation about x by a, then about y by b."""
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return about_y @ about_x


def _overlap(view: np.ndarray) -> float:
    i, j = np.triu_indices(len(view), 1)
    apart = np.linalg.norm(view[i, :2] - view[j, :2], axis=1)
    return float((np.maximum(0.0, 1.0 - apart / CLEAR) ** 2).sum())


def draw_molecule(
    numbers: np.ndarray,
    positions: np.ndarray,
    linked: np.ndarray,
    values: np.ndarray,
    path: Path,
    label: str = "",
    title: str = "",
    limit: float | None = None,
) -> None:
    """Draw a molecule into a PNG.

    Parameters
    ----------
    numbers : (A,)
    positions : (A, 3)
        Angstrom.
    linked : (A, A) bool
        Bonds.
    values : (A,)
        What the colours show; NaN is grey.
    path : Path
    label : str
        Of the colour bar.
    title : str
    limit : float, optional
        End of the colour scale, which has zero in its middle; default: the largest value.
    """
    view = project(positions)
    low, high = view[:, :2].min(0) - 0.6, view[:, :2].max(0) + 0.6
    width, height = high - low
    inch = float(np.clip(6.0 / width, 0.45, 0.9))  # of one Angstrom
    inch = min(inch, MAX_INCHES / max(width, height))
    figure = Figure(figsize=(max(width * inch, 2.5) + 1.3, max(height * inch, 2.6) + 0.5), dpi=150)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.axis("off")
    finite = np.abs(values[np.isfinite(values)])
    limit = limit or float(finite.max(initial=0.0)) or 1.0
    shades = colormaps["RdBu_r"]
    colours = [
        to_rgb(shades(0.5 + 0.5 * v / limit) if np.isfinite(v) else MISSING)
        for v in values.tolist()
    ]
    for i, j in np.argwhere(np.triu(linked)):
        a, b = view[i], view[j]
        axes.plot(
            [a[0], b[0]],
            [a[1], b[1]],
            color="0.35",
            linewidth=0.11 * inch * POINTS,
            solid_capstyle="butt",
            zorder=10 + min(a[2], b[2]) - 0.01,
        )
    for k, (x, y, z) in enumerate(view):
        heavy = numbers[k] > 1
        radius = RADIUS if heavy else HYDROGEN_RADIUS
        disc = {"facecolor": colours[k], "edgecolor": "0.2", "zorder": 10 + z}
        axes.add_patch(Circle((x, y), radius, **disc))
        symbol = chemical_symbols[numbers[k]]
        text = f"{symbol}{k}" if heavy else symbol
        axes.text(
            *(x, y, text),
            color="white" if _dark(colours[k]) else "black",
            fontsize=inch * POINTS * radius * (1.1 if len(text) < 3 else 0.85),
            ha="center",
            va="center_baseline",
            zorder=10 + z,
        )
    scale = ScalarMappable(Normalize(-limit, limit), shades)
    bar = figure.colorbar(scale, ax=axes, shrink=0.85, aspect=18, pad=0.03)
    bar.set_label(label)
    if not np.isfinite(values).all():
        bar.ax.set_xlabel("grey: has none", fontsize=8, labelpad=8)
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(path, figure)


def _dark(colour: tuple[float, float, float]) -> bool:
    """Whether white is easier to read on it than black."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
