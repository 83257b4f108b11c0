"""Minima of curves that are known at a few points."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Minimum:
    """Where a curve is lowest, and how low."""

    x: float
    y: float


def minimum(x: np.ndarray, y: np.ndarray) -> Minimum:
    """Of the parabola through the lowest of several points, ascending in x, and its neighbours; NaN
    where the lowest is the first or last."""
    k = int(np.argmin(y))
    if len(x) < 3 or k in (0, len(x) - 1):
        return Minimum(np.nan, np.nan)
    a, b, c = (
        np.polynomial.Polynomial.fit(x[k - 1 : k + 2], y[k - 1 : k + 2], 2).convert().coef[::-1]
    )
    if a <= 0:
        return Minimum(float(x[k]), float(y[k]))
    return Minimum(float(-b / (2 * a)), float(c - b * b / (4 * a)))


def lowest(x: np.ndarray, y: np.ndarray) -> Minimum:
    """The minimum, or the first or last point where that is the lowest."""
    found, k = minimum(x, y), int(np.argmin(y))
    return Minimum(float(x[k]), float(y[k])) if np.isnan(found.x) else found
