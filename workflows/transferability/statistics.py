"""Means, slopes and their bootstrap intervals over molecules.

Frames of a molecule are alike, so molecules are drawn (Efron's percentile method), and every
molecule counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

COVERED = 95.0
"""Per cent of the bootstrap samples inside an interval."""


class Interval(NamedTuple):
    """An estimate, the bounds of its interval, and how many molecules it is from."""

    value: float
    low: float = np.nan
    high: float = np.nan
    count: int = 0


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, samples: int, seed: int
) -> Interval:
    """The statistic and its interval.

    Parameters
    ----------
    statistic : callable
        Called with indices (S, M) of molecules; returns (S,) values.
    count : int
        M, the number of molecules.
    """
    if count == 0:
        return Interval(np.nan)
    value = float(statistic(np.arange(count)[None])[0])
    if count < 3:  # nothing can be said about the spread
        return Interval(value, count=count)
    rng = np.random.default_rng([seed, count])
    found = statistic(rng.integers(count, size=(samples, count)))
    outside = (100.0 - COVERED) / 2
    low, high = np.nanpercentile(found, [outside, 100.0 - outside])
    return Interval(value, float(low), float(high), count)


def mean(values: np.ndarray, samples: int, seed: int) -> Interval:
    """Mean of values (M,), one a molecule; NaN are left out."""
    known = values[np.isfinite(values)]
    return bootstrap(lambda index: known[index].mean(1), len(known), samples, seed)


def slope(x: np.ndarray, y: np.ndarray, samples: int, seed: int) -> Interval:
    """Slope of the line through M points by least squares; NaN when all x are equal."""
    known = np.isfinite(x + y)
    x, y = x[known], y[known]

    def fitted(index: np.ndarray) -> np.ndarray:
        dx = x[index] - x[index].mean(1, keepdims=True)
        square = (dx**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(square > 0, (dx * y[index]).sum(1) / square, np.nan)

    if len(x) == 0 or np.ptp(x) == 0:
        return Interval(np.nan, count=len(x))
    return bootstrap(fitted, len(x), samples, seed)


def slope_within(
    x: np.ndarray, y: np.ndarray, share: np.ndarray, samples: int, seed: int
) -> Interval:
    """Slope of y against x within kinds: that of lines of one slope and an intercept of each kind.

    Parameters
    ----------
    x : (M,)
        Of molecules, finite.
    y, share : (M, K)
        Of K kinds of parts of a molecule, and what these are of its whole; what has no share counts
        for nothing.
    """
    if len(x) == 0 or np.ptp(x) == 0:
        return Interval(np.nan, count=len(x))
    x, y = x[:, None] - x.mean(), np.where(share > 0, y, 0.0)
    sums = np.stack((share, share * x, share * y, share * x * x, share * x * y))

    def fitted(index: np.ndarray) -> np.ndarray:
        drawn = np.stack([np.bincount(row, minlength=len(x)) for row in index])
        weight, of_x, of_y, of_xx, of_xy = drawn @ sums  # (S, K) each
        with np.errstate(invalid="ignore", divide="ignore"):
            square = np.where(weight > 0, of_xx - of_x * of_x / weight, 0.0).sum(1)
            product = np.where(weight > 0, of_xy - of_x * of_y / weight, 0.0).sum(1)
            return np.where(square > 1e-12, product / square, np.nan)

    return bootstrap(fitted, len(x), samples, seed)


def correlation(x: np.ndarray, y: np.ndarray, samples: int, seed: int) -> Interval:
    """Pearson's correlation of M pairs; NaN when one side does not vary."""
    known = np.isfinite(x + y)
    x, y = x[known], y[known]

    def found(index: np.ndarray) -> np.ndarray:
        dx = x[index] - x[index].mean(1, keepdims=True)
        dy = y[index] - y[index].mean(1, keepdims=True)
        spread = np.sqrt((dx**2).sum(1) * (dy**2).sum(1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-12, (dx * dy).sum(1) / spread, np.nan)

    if len(x) == 0 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Interval(np.nan, count=len(x))
    return bootstrap(found, len(x), samples, seed)


def by_molecule(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """The finite values of every molecule that has any."""
    groups: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        if np.isfinite(value):
            groups.setdefault(name, []).append(float(value))
    return {name: np.array(found) for name, found in groups.items()}


def molecule_means(names: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Means (M,) of the finite values of the M molecules that have any."""
    return np.array([found.mean() for found in by_molecule(names, values).values()])


def pair_difference(errors: np.ndarray) -> float:
    """Mean |e_i - e_j| over all pairs of frames of a molecule: no offset matters; NaN for one."""
    i, j = np.triu_indices(len(errors), 1)
    return float(np.abs(errors[i] - errors[j]).mean()) if len(i) else np.nan
