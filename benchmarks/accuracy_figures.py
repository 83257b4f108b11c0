"""Pictures of an evaluation; nothing here touches matplotlib's global state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accuracy_methods import AM1, GFN2, LEARNED, PM3, Properties
from accuracy_results import Evaluation
from accuracy_sets import OPEN, SIZES, Labelled
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ase_mlseqm.units import EV_TO_KCAL

COLOURS = {LEARNED: "#1f4e79", PM3: "#b03a2e", AM1: "#d08c2c", GFN2: "#3b7d4f"}
UNIT = "kcal/mol/Å"
SMALLEST = 1e-2
"""Force errors below are drawn as this, kcal/mol/Angstrom."""


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot_forces(
    frames: Labelled, found: dict[str, Properties], model: str, name: str, path: Path
) -> None:
    """Force components against the labels, one panel a method, and violins of their errors.

    Frames that did not converge with every method are left out.
    """
    good = np.flatnonzero(np.all([p.converged for p in found.values()], axis=0))
    if not len(good):
        return

    def components(properties: Properties) -> np.ndarray:
        return np.concatenate([properties.forces[k].ravel() for k in good]) * EV_TO_KCAL

    reference = components(frames.reference)
    values = {method: components(p) for method, p in found.items()}
    largest = 1.05 * max(np.abs(v).max() for v in (reference, *values.values()))
    bounds = (-largest, largest)
    figure = _figure(3.1 * (len(found) + 1), 3.5)
    *panels, last = figure.subplots(1, len(found) + 1)
    for axes, (method, value) in zip(panels, values.items(), strict=True):
        axes.hist2d(
            reference, value, bins=90, range=(bounds, bounds), norm=LogNorm(), cmap="viridis"
        )
        axes.plot(bounds, bounds, color="0.3", linewidth=0.8)
        axes.set(aspect="equal", xlabel=f"label ({UNIT})")
        mae = np.abs(value - reference).mean()
        axes.set_title(f"{model if method == LEARNED else method}: MAE {mae:.2f}", fontsize=10)
    panels[0].set_ylabel(f"force component ({UNIT})")
    errors = [np.maximum(np.abs(v - reference), SMALLEST) for v in values.values()]
    parts = last.violinplot([np.log10(e) for e in errors], showmedians=True, showextrema=False)
    for body, method in zip(parts["bodies"], values, strict=True):
        body.set(facecolor=COLOURS[method], alpha=0.7)
    parts["cmedians"].set_color("0.15")
    ticks = np.arange(-2, int(np.ceil(np.log10(max(e.max() for e in errors)))) + 1)
    last.set_yticks(ticks, [f"{10.0**t:g}" for t in ticks])
    last.set_xticks(
        range(1, len(values) + 1),
        ["learned" if m == LEARNED else m for m in values],
        rotation=20,
    )
    last.set_title(f"|error| of components ({UNIT})", fontsize=10)
    last.grid(True, axis="y", color="0.9", linewidth=0.8)
    last.set_axisbelow(True)
    last.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{name}: {len(good)} frames, {len(reference)} components", fontsize=11)
    figure.savefig(path)


def plot_sizes(run: Evaluation, path: Path) -> None:
    """Force MAE against the number of heavy atoms, with intervals, one panel a set.

    Ions and radicals are all small and are left out.
    """
    sets = {name: found for name, found in run.sets.items() if name != OPEN and found.groups}
    if not sets:
        return
    figure = _figure(3.6 * len(sets) + 1.2, 3.6)
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, (name, found) in zip(panels, sets.items(), strict=True):
        bins = [f"{a}-{b}" for a, b in SIZES if f"{a}-{b} heavy atoms" in found.groups]
        summaries = [found.groups[f"{b} heavy atoms"] for b in bins]
        for shift, method in enumerate(run.methods):
            values = np.array([s.metrics[method]["force_mae"] for s in summaries])
            x = np.arange(len(bins)) + 0.12 * (shift - (len(run.methods) - 1) / 2)
            axes.errorbar(
                x,
                values[:, 0],
                # a bootstrap interval need not contain the estimate
                yerr=np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0),
                color=COLOURS[method],
                label=run.model if method == LEARNED else method,
                marker="o",
                markersize=4,
                linewidth=1.2,
                capsize=2.5,
            )
        labels = [f"{b}\n({s.molecules})" for b, s in zip(bins, summaries, strict=True)]
        axes.set_xticks(range(len(bins)), labels)
        axes.set(title=name, xlabel="heavy atoms (molecules)", xlim=(-0.5, len(bins) - 0.5))
        axes.grid(True, axis="y", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(bottom=0)  # of all: they share the axis
    panels[0].set_ylabel(f"force MAE ({UNIT})")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    figure.savefig(path)
