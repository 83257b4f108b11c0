"""What the figures of workflows share; nothing here touches matplotlib's global state."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

BLUE, RED = "#1f4e79", "#b03a2e"


def new_figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), dpi=150, layout=layout)


def plain(axes: Any, grid: str = "both") -> None:
    """A light grid behind the data, of both axes or of one; no frame at the top and the right."""
    axes.grid(True, axis=grid, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
