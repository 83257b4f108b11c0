"""Panels of curves, one a series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .style import REFERENCE, colours, legend, markers, new_figure, plain, save, spread

MARKED = 20
"""Points of a curve up to which each is marked."""

Curve = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x, energy, reference (NaN where there is none)."""


def draw_profiles(
    curves: dict[str, dict[str, dict[str, Curve]]],
    path: Path,
    x_label: str,
    y_label: str,
    above: float = 1.0,
    note: str | None = None,
    dashes: Mapping[str, str] | None = None,
) -> bool:
    """Draw curves by method, series and variant.

    Parameters
    ----------
    note : str, optional
        What the dash patterns of the variants mean.
    dashes : mapping, optional
        Dash pattern by variant; solid without.
    above : float
        The axis ends so many spans of the first reference (or curve) above it: a wall must not
        hide the rest.
    """
    names = list(dict.fromkeys(name for own in curves.values() for name in own))
    if not names:
        return False
    shown = spread(names)
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = new_figure(max(3.6 * n_columns, 5.0), 2.8 * n_rows + 0.6)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).flat
    colour, marker = colours(curves), markers(curves)
    for k, (axes, name) in enumerate(zip(panels, shown, strict=False)):
        low, high = np.inf, -np.inf
        for method, own in curves.items():
            variants = own.get(name, {})
            for number, (variant, (x, y, reference)) in enumerate(variants.items()):
                if np.isfinite(reference).any() and not any(
                    line.get_label() == "reference" for line in axes.lines
                ):
                    axes.plot(x, reference, color=REFERENCE, linewidth=2.4, label="reference")
                    low, high = np.nanmin(reference), np.nanmax(reference)
                axes.plot(
                    *(x, y),
                    color=colour[method],
                    marker=marker[method] if len(x) <= MARKED else "",
                    markersize=3,
                    linewidth=1.2,
                    linestyle=(dashes or {}).get(variant, "-"),
                    label=None if number else method,
                )
        if np.isfinite(high):
            span = max(high - low, 0.1)
            bottom, top = axes.get_ylim()
            axes.set_ylim(max(bottom, low - above * span), min(top, high + above * span))
        axes.set_title(name, fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
        if k % n_columns == 0:
            axes.set_ylabel(y_label, fontsize=9)
        if k + n_columns >= len(shown):
            axes.set_xlabel(x_label, fontsize=9)
        plain(axes)
    for axes in figure.axes[len(shown) :]:
        axes.set_visible(False)
    legend(figure, max(figure.axes, key=lambda a: len(a.lines)), note)
    return save(figure, path)
