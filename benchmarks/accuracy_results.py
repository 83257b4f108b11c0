"""Results of an evaluation, in JSON and back, and what they have to reach."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from accuracy_methods import GFN2, LEARNED, PM3
from accuracy_metrics import Interval, Summary

DIGITS = 8
"""Significant digits in the JSON file."""


@dataclasses.dataclass(frozen=True)
class FrameRecord:
    """Errors of one frame by method.

    Attributes
    ----------
    unconverged : list of str
        The methods that failed.
    force : dict
        Mean over components of |error|, kcal/mol/Angstrom.
    atomization, shifted : dict
        Signed error of the atomization energy, raw and with the constants, kcal/mol.
    """

    name: str
    smiles: str
    kind: str
    heavy: int
    unconverged: list[str]
    force: dict[str, float]
    atomization: dict[str, float]
    shifted: dict[str, float]


@dataclasses.dataclass(frozen=True)
class SetResult:
    """A set: where it is from, metrics of its groups of frames, every frame.

    The metrics are of the frames that converged with every method.
    """

    note: str
    file: str
    sha256: str
    groups: dict[str, Summary]
    frames: list[FrameRecord]

    @property
    def unconverged(self) -> list[FrameRecord]:
        """Frames that are in no metric."""
        return [frame for frame in self.frames if frame.unconverged]

    def worst(self, n: int = 5) -> list[FrameRecord]:
        """Frames of the learned model's largest mean force errors."""
        compared = [frame for frame in self.frames if not frame.unconverged]
        return sorted(compared, key=lambda f: -f.force[LEARNED])[:n]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One run of `accuracy.py`.

    Attributes
    ----------
    model, sha256, card, config : str, str, dict, dict
        Name, checksum, card and architecture of the model file.
    date, versions : str
    methods : list of str
        The learned model first.
    fraction, seed, samples : float, int, int
        Of the validation split, of split and bootstrap, and bootstrap samples.
    shifts : dict
        Method, then element, to the fitted constant, eV.
    shift_frames : int
        Training frames that the constants were fitted on.
    sets : dict
        Name to :class:`SetResult`.
    """

    model: str
    sha256: str
    card: dict[str, Any]
    config: dict[str, Any]
    date: str
    versions: str
    methods: list[str]
    fraction: float
    seed: int
    samples: int
    shifts: dict[str, dict[str, float]]
    shift_frames: int
    sets: dict[str, SetResult]

    def write(self, path: Path) -> None:
        """Write JSON; NaN becomes null."""
        path.write_text(json.dumps(_plain(dataclasses.asdict(self)), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """The inverse of :meth:`write`."""
        values = json.loads(path.read_text())
        values["sets"] = {name: _set(found) for name, found in values["sets"].items()}
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _set(values: dict[str, Any]) -> SetResult:
    return SetResult(
        **{
            **values,
            "groups": {name: _summary(group) for name, group in values["groups"].items()},
            "frames": [_frame(frame) for frame in values["frames"]],
        }
    )


def _summary(values: dict[str, Any]) -> Summary:
    nested = {
        field: {
            outer: {inner: Interval(*map(_number, found)) for inner, found in table.items()}
            for outer, table in values[field].items()
        }
        for field in ("metrics", "ratios")
    }
    return Summary(**{**values, **nested})


def _frame(values: dict[str, Any]) -> FrameRecord:
    nested = {
        field: {method: _number(x) for method, x in values[field].items()}
        for field in ("force", "atomization", "shifted")
    }
    return FrameRecord(**{**values, **nested})


@dataclasses.dataclass(frozen=True)
class Target:
    """What a metric of the learned model, or its ratio to another method's, may be at most."""

    text: str
    metric: str
    limit: float
    other: str | None = None

    def found(self, summary: Summary) -> Interval:
        """The number that is meant; NaN where there is none."""
        if self.other is None:
            return summary.metrics[LEARNED][self.metric]
        return summary.ratios[self.metric].get(self.other, Interval(*[math.nan] * 3))


_DIPOLES = Target("dipole error / PM3's", "dipole_mae", 1.0, PM3)
TARGETS = {
    "test": (
        Target("force MAE / GFN2-xTB's", "force_mae", 0.57, GFN2),
        Target("force MAE / PM3's", "force_mae", 0.34, PM3),
        Target("energy differences, kcal/mol", "energy_difference_mae", 1.2),
        Target("atomization energies, raw, kcal/mol", "atomization_mae", 3.0),
        _DIPOLES,
    ),
    "large": (Target("force MAE / GFN2-xTB's", "force_mae", 0.65, GFN2), _DIPOLES),
}
TARGETS |= {"validation": TARGETS["test"], "large_val": TARGETS["large"]}
"""The last two are those of the final tests, looked at while choices are made."""
