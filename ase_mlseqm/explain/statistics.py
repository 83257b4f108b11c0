"""Distributions of parameters, and how well they tell the hybridisation of an atom.

Frames of a molecule are alike, so everything here counts molecules: cross-validation never has a
molecule on both sides, and intervals come from a bootstrap that draws molecules.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .parameters import unit
from .survey import AtomTable

FOLDS = 5
NEIGHBOURS = 15
"""Of the nearest-neighbour classifier."""
DRAWS = 1000
"""Of a bootstrap."""

Interval = tuple[float, float]
"""95 %, of a bootstrap over molecules."""
Folds = list[tuple[np.ndarray, np.ndarray]]
"""Rows that are known, and rows that are to be told."""


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Share of the atoms of one element whose hybridisation is told right, of atoms not seen.

    Attributes
    ----------
    counts : dict
        Atoms by hybridisation.
    molecules : int
        Different molecules they are from.
    baseline : float
        Share of the most frequent hybridisation.
    linear, nearest : float
        Share told right by logistic regression and by the 15 nearest neighbours.
    linear_interval, nearest_interval : (float, float)
    recall : dict
        By hybridisation, share of its atoms told right by the nearest neighbours.
    left_out : dict
        Atoms of hybridisations that fewer than five molecules have.
    untrained_linear, untrained_nearest : list of float
        The same shares for the parameters of networks with random weights.
    """

    counts: dict[str, int]
    molecules: int
    baseline: float
    linear: float
    linear_interval: Interval
    nearest: float
    nearest_interval: Interval
    recall: dict[str, float]
    left_out: dict[str, int]
    untrained_linear: list[float]
    untrained_nearest: list[float]


def accuracy(
    values: np.ndarray,
    kinds: np.ndarray,
    groups: np.ndarray,
    untrained: Sequence[np.ndarray] = (),
) -> Accuracy | None:
    """Cross-validated accuracy with which ``kinds`` (n,) follow from ``values`` (n, k).

    Parameters
    ----------
    groups : (n,)
        The molecule of every row; all its rows are on the same side of every fold.
    untrained : sequence of (n, k) arrays
        Other values, for comparison.

    Returns
    -------
    Accuracy or None
        None when fewer than two kinds occur in at least five molecules, or there are too few rows
        for the nearest neighbours.
    """
    names = np.unique(kinds)
    rare = [name for name in names if len(np.unique(groups[kinds == name])) < FOLDS]
    if len(names) - len(rare) < 2:
        return None
    keep = ~np.isin(kinds, rare)
    left_out = {str(name): int((kinds == name).sum()) for name in rare}
    values, kinds, groups = values[keep], kinds[keep], groups[keep]
    names, counts = np.unique(kinds, return_counts=True)
    folds = _folds(values, kinds, groups)
    if min(len(known) for known, _ in folds) < NEIGHBOURS:
        return None
    linear, nearest = _told_right(values, kinds, folds)
    others = [_told_right(other[keep], kinds, folds) for other in untrained]
    return Accuracy(
        counts={str(names[k]): int(counts[k]) for k in np.argsort(-counts)},
        molecules=len(np.unique(groups)),
        baseline=float(counts.max() / len(kinds)),
        linear=float(linear.mean()),
        linear_interval=_interval_of_mean(linear, groups),
        nearest=float(nearest.mean()),
        nearest_interval=_interval_of_mean(nearest, groups),
        recall={str(name): float(nearest[kinds == name].mean()) for name in names},
        left_out=left_out,
        untrained_linear=[float(other[0].mean()) for other in others],
        untrained_nearest=[float(other[1].mean()) for other in others],
    )


def require_sklearn() -> None:
    """Raise :class:`InputError` where scikit-learn is missing."""
    if importlib.util.find_spec("sklearn") is None:
        raise InputError(
            "how well parameters tell the hybridisation needs scikit-learn: "
            "pip install 'ase-mlseqm[explain]'"
        )


def _folds(values: np.ndarray, kinds: np.ndarray, groups: np.ndarray) -> Folds:
    """Folds without a molecule on both sides."""
    require_sklearn()
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return list(folds.split(values, kinds, groups))


def _told_right(values: np.ndarray, kinds: np.ndarray, folds: Folds) -> list[np.ndarray]:
    """Which rows (n,) a linear and a nearest-neighbour classifier tell, not having seen them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifiers = (LogisticRegression(max_iter=1000), KNeighborsClassifier(NEIGHBOURS))
    return [
        kinds
        == cross_val_predict(make_pipeline(StandardScaler(), classifier), values, kinds, cv=folds)
        for classifier in classifiers
    ]


def accuracies(atoms: AtomTable) -> dict[str, Accuracy]:
    """By element, of the parameters that its atoms have."""
    found = {}
    for element in np.unique(atoms.element):
        rows = atoms.element == element
        have = ~np.isnan(atoms.values[rows]).any(0)
        if not have.any():  # nothing of hydrogen need be learned
            continue
        result = accuracy(
            atoms.values[rows][:, have],
            atoms.hybridisation[rows],
            atoms.fragment[rows],
            [values[rows][:, have] for values in atoms.untrained],
        )
        if result is not None:
            found[str(element)] = result
    return found


def _interval_of_mean(values: np.ndarray, groups: np.ndarray) -> Interval:
    _, index = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    n = len(counts)
    draws = np.random.default_rng(0).integers(n, size=(DRAWS, n))
    return interval(sums[draws].sum(1) / counts[draws].sum(1))


def interval(draws: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap draws."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Distribution of one parameter over the atoms of one element and hybridisation.

    ``mean``, ``std``, ``low``, ``median`` and ``high`` (5, 50 and 95 %) and the published value
    ``table`` are in the parameter's ``unit``.
    """

    element: str
    hybridisation: str
    parameter: str
    unit: str
    atoms: int
    mean: float
    std: float
    low: float
    median: float
    high: float
    table: float


def distributions(atoms: AtomTable) -> list[Distribution]:
    """Of all elements, hybridisations and parameters."""
    found = []
    kinds = np.unique(np.stack((atoms.element, atoms.hybridisation), 1), axis=0).tolist()
    for element, hybridisation in kinds:
        rows = (atoms.element == element) & (atoms.hybridisation == hybridisation)
        for column, label in enumerate(atoms.labels):
            values, table = atoms.values[rows, column], float(atoms.table[rows, column][0])
            if np.isnan(table):
                continue
            low, median, high = np.percentile(values, (5, 50, 95)).tolist()
            mean, std = float(values.mean()), float(values.std())
            statistics = (mean, std, low, median, high, table)
            name = (element, hybridisation, label, unit(label))
            found.append(Distribution(*name, len(values), *statistics))
    return found
