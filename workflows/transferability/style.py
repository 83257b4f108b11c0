"""What all pictures share; nothing here touches matplotlib's global state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ase_mlseqm.wholefile import write_whole_picture

PLAIN = {"PM3": "#b03a2e", "AM1": "#d08c2c", "MNDO": "#7b5aa6", "GFN2-xTB": "#3b7d4f"}
LEARNED = ("#1f4e79", "#4c92c9", "#8e6c4a", "#5f9ea0")
REFERENCE = "0.1"
MARKERS = "osD^vP"
SHOWN = 12
"""Panels of a picture."""


def spread(names: Sequence[str]) -> list[str]:
    """At most :data:`SHOWN` of them, from the first to the last."""
    places = np.linspace(0, len(names) - 1, SHOWN).round().astype(int)
    return [names[k] for k in np.unique(places)]


def colours(methods: Iterable[str]) -> dict[str, str]:
    """The colour of every method; learned models take theirs in turn."""
    out: dict[str, str] = {}
    learned = 0
    for name in methods:
        if name in PLAIN:
            out[name] = PLAIN[name]
        else:
            out[name] = LEARNED[learned % len(LEARNED)]
            learned += 1
    return out


def markers(methods: Iterable[str]) -> dict[str, str]:
    """A marker for every method, for those who do not see the colours."""
    return {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(methods)}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), dpi=130, layout="constrained")


def plain(axes: Any) -> None:
    """Light grid behind the data, no frame at the top and the right."""
    axes.grid(True, which="major", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, axes: Any, title: str | None = None) -> None:
    """One legend for all panels, below them, in as many rows as it takes."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, int(figure.get_figwidth() / 1.45))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(labels)) or 1,
        frameon=False,
        fontsize=9,
        title=title,
        title_fontsize=9,
    )


def save(figure: Figure, path: Path) -> bool:
    """Write the PNG; returns True."""
    write_whole_picture(path, figure)
    return True
