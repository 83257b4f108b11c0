"""Picture of the test of reactions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .base import Row, column
from .style import colours, legend, markers, new_figure, plain, save


def draw_reactions(
    rows: dict[str, list[Row]], path: Path, kinds: Sequence[str], quantities: Sequence[str]
) -> bool:
    """Energies against the references: a row of panels a kind, a column a quantity.

    False where there is no energy at all.
    """
    found = {(row["kind"], row["quantity"]) for own in rows.values() for row in own}
    columns = [q for q in quantities if any((kind, q) in found for kind in kinds)]
    lines = [kind for kind in kinds if any((kind, q) in found for q in columns)]
    if not lines:
        return False
    figure = new_figure(4.8 * len(columns), 4.2 * len(lines) + 0.5)
    panels = figure.subplots(len(lines), len(columns), squeeze=False)
    colour, marker = colours(rows), markers(rows)
    for kind, line in zip(lines, panels, strict=True):
        for quantity, axes in zip(columns, line, strict=True):
            axes.set_visible((kind, quantity) in found)
            ends: list[float] = []
            for method, own in rows.items():
                chosen = [r for r in own if (r["kind"], r["quantity"]) == (kind, quantity)]
                x, y = column(chosen, "reference"), column(chosen, "energy")
                axes.plot(
                    *(x, y),
                    color=colour[method],
                    marker=marker[method],
                    markersize=4.5,
                    linestyle="",
                    alpha=0.8,
                    label=method,
                )
                ends += [*x, *y]
            if ends:
                both = [min(ends), max(ends)]
                axes.plot(both, both, color="0.6", linewidth=0.9, zorder=0)
            axes.set(xlabel=f"reference {quantity} (kcal/mol)", ylabel=f"{quantity} (kcal/mol)")
            if len(lines) > 1:
                axes.set_title(kind, fontsize=10, parse_math=False)
            plain(axes)
    legend(figure, panels[0, 0])
    return save(figure, path)
