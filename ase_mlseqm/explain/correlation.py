"""How the parameters of bonded atoms follow the length and the order of their bond."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from .statistics import Interval, interval
from .survey import AtomTable, BondTable

DRAWS = 200
"""Of a bootstrap over molecules."""
MIN_GROUPS = 10
"""Molecules that a kind of bond must occur in to be listed."""
TARGETS = ("length", "order")


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Correlation of a parameter with a property of the bonds of one kind.

    Attributes
    ----------
    bond, parameter : str
    of : str
        "mean" of both atoms' values, or "difference": its size between atoms of one element,
        otherwise that of the first minus that of the second.
    target : str
        "length" or "order".
    bonds, molecules : int
    pearson, spearman : float
        NaN where one of both does not vary.
    pearson_interval, spearman_interval : (float, float)
    within : float
        Pearson, when the mean of all bonds between atoms of the same two hybridisations has been
        subtracted: what is left beyond the hybridisation.
    """

    bond: str
    parameter: str
    of: str
    target: str
    bonds: int
    molecules: int
    pearson: float
    pearson_interval: Interval
    spearman: float
    spearman_interval: Interval
    within: float


def correlations(atoms: AtomTable, bonds: BondTable) -> list[Correlation]:
    """Of all kinds of bonds, parameters that both atoms have, lengths and orders."""
    found = []
    for kind in np.unique(bonds.kind):
        rows = np.flatnonzero((bonds.kind == kind) & np.isfinite(bonds.order))
        first, second = bonds.first[rows], bonds.second[rows]
        groups = atoms.fragment[first]
        n_groups = len(np.unique(groups))
        if n_groups < MIN_GROUPS:
            continue
        one, other = atoms.values[first], atoms.values[second]
        have = np.flatnonzero(~np.isnan(one + other).any(0))
        if not len(have):  # nothing of hydrogen need be learned
            continue
        one, other = one[:, have], other[:, have]
        first_element, _, second_element = str(kind).partition("-")
        alike = first_element == second_element
        difference = np.abs(one - other) if alike else one - other
        x = np.concatenate((0.5 * (one + other), difference), 1)
        y = np.stack((bonds.length[rows], bonds.order[rows]), 1)
        pairs = [
            "-".join(sorted(pair) if alike else pair)
            for pair in zip(atoms.hybridisation[first], atoms.hybridisation[second], strict=True)
        ]
        _, pair = np.unique(pairs, return_inverse=True)
        within = pearson(_centred(x, pair), _centred(y, pair))
        value, rank = pearson(x, y), spearman(x, y)
        draws = [(pearson(x[k], y[k]), spearman(x[k], y[k])) for k in _resampled(groups)]
        value_draws, rank_draws = (np.stack(part) for part in zip(*draws, strict=True))
        for column in range(x.shape[1]):
            for t, target in enumerate(TARGETS):
                found.append(
                    Correlation(
                        bond=str(kind),
                        parameter=atoms.labels[have[column % len(have)]],
                        of="mean" if column < len(have) else "difference",
                        target=target,
                        bonds=len(rows),
                        molecules=n_groups,
                        pearson=float(value[column, t]),
                        pearson_interval=interval(value_draws[:, column, t]),
                        spearman=float(rank[column, t]),
                        spearman_interval=interval(rank_draws[:, column, t]),
                        within=float(within[column, t]),
                    )
                )
    return found


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation (k, t) of the columns of (n, k) and (n, t); NaN of constant ones."""
    x, y = x - x.mean(0), y - y.mean(0)
    norm = np.sqrt(np.outer((x * x).sum(0), (y * y).sum(0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 1e-12 * len(x), x.T @ y / norm, np.nan)


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation, likewise."""
    return pearson(rankdata(x, axis=0), rankdata(y, axis=0))


def _centred(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(n, k) values minus the mean of their class."""
    counts = np.bincount(classes)
    means = np.stack([np.bincount(classes, column) / counts for column in values.T], 1)
    return values - means[classes]


def _resampled(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of bootstrap samples in which whole groups are drawn with replacement."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])
    random = np.random.default_rng(0)
    for _ in range(DRAWS):
        yield np.concatenate([rows[g] for g in random.integers(len(rows), size=len(rows))])
