"""Pictures of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..units import EV_TO_KCAL
from ..wholefile import write_whole_picture
from .checkpoint import read_log


def draw_curves(folder: Path, title: str = "") -> None:
    """Draw the logs of a training folder into ``curves.png``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps, epochs = read_log(folder / "steps.csv"), read_log(folder / "epochs.csv")
    if not steps:
        return
    figure = Figure(figsize=(7.2, 8.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True)
    rows = (
        ("loss", 1.0, "loss"),
        ("force_mae", EV_TO_KCAL, "force MAE\n(kcal/mol/Å)"),
        ("energy_mae", EV_TO_KCAL, "energy MAE\n(kcal/mol)"),
    )
    x = np.array([int(row["step"]) for row in steps])
    x_epoch = np.array([int(row["step"]) for row in epochs])
    for axis, (name, unit, label) in zip(axes, rows, strict=True):
        y = unit * np.array([float(row[name]) for row in steps])
        axis.plot(x, y, color="#a9bcd0", linewidth=0.5, label="batches")
        axis.plot(x, _smooth(y), color="#1f4e79", linewidth=1.4, label="batches, running mean")
        if len(epochs):
            valid = unit * np.array([float(row[name]) for row in epochs])
            axis.plot(
                x_epoch, valid, "o-", color="#b03a2e", markersize=3.5, label="validation, averaged"
            )
        axis.set_ylabel(label)
        if any((line.get_ydata() > 0).any() for line in axis.get_lines()):
            axis.set_yscale("log")
        axis.grid(True, which="both", color="0.92", linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)
    axes[-1].set_xlabel("step")
    figure.suptitle(title, fontsize=11, parse_math=False)
    write_whole_picture(folder / "curves.png", figure)


def _smooth(values: np.ndarray, width: int = 50) -> np.ndarray:
    """Mean of the last ``width`` values, of fewer at the start or where some are not known."""
    known = ~np.isnan(values)
    total = np.cumsum(np.concatenate(([0.0], np.where(known, values, 0.0))))
    count = np.cumsum(np.concatenate(([0], known)))
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - width)
    with np.errstate(invalid="ignore"):
        return (total[stop] - total[start]) / (count[stop] - count[start])
