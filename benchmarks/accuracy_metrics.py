"""Errors of a method and their bootstrap intervals over molecules.

Every metric is a function of sums over molecules, so that a bootstrap sample is a vector of
weights: how often each molecule was drawn.  The same samples serve all methods, so that ratios
of two methods are resampled together.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from accuracy_methods import Properties

from ase_mlseqm.units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL
from ase_mlseqm.workflows.transferability.statistics import pair_difference

SAMPLES = 4000
COVERED = 95.0
"""Per cent of the bootstrap samples inside an interval."""


class Interval(NamedTuple):
    """An estimate and the bounds of its interval; NaN where there is no label."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Metric:
    """Name in the tables, unit, digits behind the point."""

    title: str
    unit: str
    digits: int


METRICS = {
    "force_mae": Metric("force MAE", "kcal/mol/Å", 2),
    "force_rmse": Metric("force RMSE", "kcal/mol/Å", 2),
    "energy_difference_mae": Metric("energy difference MAE", "kcal/mol", 2),
    "atomization_mae": Metric("atomization energy MAE, raw", "kcal/mol", 1),
    "atomization_shifted_mae": Metric("atomization energy MAE, shifted", "kcal/mol", 1),
    "dipole_mae": Metric("dipole error", "D", 3),
    "charge_mae": Metric("charge MAE", "e", 3),
    "gap_mae": Metric("gap MAE", "eV", 2),
    "gap_correlation": Metric("gap correlation", "", 2),
}
RATIOS = ("force_mae", "dipole_mae")
"""Metrics that are also given divided by those of the other methods."""


@dataclasses.dataclass(frozen=True)
class FrameErrors:
    """Errors of F frames; arrays (F,), NaN where there is no label.

    Attributes
    ----------
    force, force_square : arrays
        Mean over the 3A components of |error| (kcal/mol/Angstrom) and of its square.
    components : array
        3A.
    atomization, shifted : arrays
        Signed error of the atomization energy, kcal/mol, as it is and with the constants added.
    dipole : array
        Length of the difference vector, Debye.
    charge : array
        Mean over the atoms of |error|, e.
    gap, reference_gap : arrays
        Predicted and reference, eV.
    """

    force: np.ndarray
    force_square: np.ndarray
    components: np.ndarray
    atomization: np.ndarray
    shifted: np.ndarray
    dipole: np.ndarray
    charge: np.ndarray
    gap: np.ndarray
    reference_gap: np.ndarray

    def select(self, mask: np.ndarray) -> FrameErrors:
        """Some of the frames."""
        return FrameErrors(
            **{f.name: getattr(self, f.name)[mask] for f in dataclasses.fields(self)}
        )


def frame_errors(predicted: Properties, reference: Properties, shifts: np.ndarray) -> FrameErrors:
    """Errors of every frame; `shifts` (F,) are added to the energies, eV."""
    force = [(a - b) * EV_TO_KCAL for a, b in zip(predicted.forces, reference.forces, strict=True)]
    charge = [a - b for a, b in zip(predicted.charges, reference.charges, strict=True)]
    atomization = predicted.atomization - reference.atomization
    dipole = np.linalg.norm(predicted.dipoles - reference.dipoles, axis=1)
    return FrameErrors(
        force=np.array([np.abs(d).mean() for d in force]),
        force_square=np.array([(d**2).mean() for d in force]),
        components=np.array([float(d.size) for d in force]),
        atomization=atomization * EV_TO_KCAL,
        shifted=(atomization + shifts) * EV_TO_KCAL,
        dipole=dipole * E_ANGSTROM_TO_DEBYE,
        charge=np.array([np.abs(d).mean() for d in charge]),
        gap=predicted.gaps,
        reference_gap=reference.gaps,
    )


def draws(n_molecules: int, samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """How often each molecule is in each bootstrap sample, (1 + samples, M); the first: once."""
    rng = np.random.default_rng([seed, n_molecules])
    drawn = rng.multinomial(n_molecules, np.full(n_molecules, 1 / n_molecules), size=samples)
    return np.vstack([np.ones((1, n_molecules)), drawn])


def interval(values: np.ndarray) -> Interval:
    """From the estimate followed by those of the bootstrap samples (percentile method)."""
    if not np.isfinite(values[0]):
        return Interval(np.nan, np.nan, np.nan)
    outside = (100.0 - COVERED) / 2
    low, high = np.nanpercentile(values[1:], [outside, 100.0 - outside])
    return Interval(float(values[0]), float(low), float(high))


def mean_pair_difference(errors: np.ndarray, molecule: np.ndarray, n: int) -> np.ndarray:
    """Mean |error of E_i - E_j| over all pairs of frames of every molecule, (M,); NaN without."""
    return np.array([pair_difference(errors[molecule == m]) for m in range(n)])


class Sample:
    """Frames of M molecules, and the bootstrap samples of their metrics.

    Parameters
    ----------
    molecule : (F,) array of int
        The molecule of each frame, any numbers.
    """

    def __init__(self, molecule: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> None:
        names, self.molecule = np.unique(molecule, return_inverse=True)
        self.n_molecules = len(names)
        self.weights = draws(self.n_molecules, samples, seed)

    def mean(self, values: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
        """Weighted mean over frames for the estimate and every sample; NaN frames left out."""
        weight = np.where(np.isfinite(values), weights, 0.0)
        top = self._sums(np.where(weight > 0, values, 0.0) * weight)
        return _divide(self.weights @ top, self.weights @ self._sums(weight))

    def mean_of_molecules(self, values: np.ndarray) -> np.ndarray:
        """The same of values (M,) that count once per molecule."""
        known = np.isfinite(values)
        return _divide(self.weights @ np.where(known, values, 0.0), self.weights @ known)

    def correlation(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Pearson correlation over frames."""
        known = np.isfinite(x + y)
        if not known.any():
            return np.full(len(self.weights), np.nan)
        # means are taken off first: their squares would cancel
        x, y = (np.where(known, v - v[known].mean(), np.nan) for v in (x, y))
        mx, my = self.mean(x), self.mean(y)
        xx, yy, xy = (self.mean(a) for a in (x * x, y * y, x * y))
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.maximum(xx - mx**2, 0) * np.maximum(yy - my**2, 0))
        return np.where(spread > 1e-12, _divide(xy - mx * my, spread), np.nan)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.molecule, values, self.n_molecules)

    def metrics(self, errors: FrameErrors) -> dict[str, np.ndarray]:
        """Every metric: the estimate, followed by those of the samples."""
        pairs = mean_pair_difference(errors.atomization, self.molecule, self.n_molecules)
        return {
            "force_mae": self.mean(errors.force, errors.components),
            "force_rmse": np.sqrt(self.mean(errors.force_square, errors.components)),
            "energy_difference_mae": self.mean_of_molecules(pairs),
            "atomization_mae": self.mean(np.abs(errors.atomization)),
            "atomization_shifted_mae": self.mean(np.abs(errors.shifted)),
            "dipole_mae": self.mean(errors.dipole),
            "charge_mae": self.mean(errors.charge, errors.components),
            "gap_mae": self.mean(np.abs(errors.gap - errors.reference_gap)),
            "gap_correlation": self.correlation(errors.gap, errors.reference_gap),
        }


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Metrics of all methods on the same frames.

    Attributes
    ----------
    frames, molecules, pairs : int
        `pairs` of frames of one molecule.
    metrics : dict
        Method, then metric, to :class:`Interval`.
    ratios : dict
        Metric, then the other method, to the first method's metric divided by the other's.
    """

    frames: int
    molecules: int
    pairs: int
    metrics: dict[str, dict[str, Interval]]
    ratios: dict[str, dict[str, Interval]]


def summarise(
    errors: dict[str, FrameErrors], molecule: np.ndarray, samples: int = SAMPLES, seed: int = 0
) -> Summary:
    """Metrics of every method, and ratios of the first method's to the others'."""
    sample = Sample(molecule, samples, seed)
    raw = {method: sample.metrics(found) for method, found in errors.items()}
    first, *others = raw
    sizes = np.bincount(sample.molecule)
    return Summary(
        len(molecule),
        sample.n_molecules,
        int((sizes * (sizes - 1) // 2).sum()),
        {m: {name: interval(v) for name, v in values.items()} for m, values in raw.items()},
        {
            name: {o: interval(_divide(raw[first][name], raw[o][name])) for o in others}
            for name in RATIOS
        },
    )
