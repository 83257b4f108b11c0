"""What the disagreement of a committee says about the error, from labelled frames."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..committee import Committee
from ..committee_file import check_members, member_files, write_committee
from ..engine import Engine
from ..errors import InputError
from ..nn.weights import ModelFile, load_model
from ..wholefile import write_whole
from .dataset import Dataset
from .history import files_behind, splits_behind, warn_of_changes
from .readers import left_out, read
from .split import split

FEWEST = 20
"""Frames from which a calibration makes sense."""
NOISE = 1e-6
"""eV; networks that differ by less are as good as the same."""
SHARE = 0.995
"""Of the frames whose uncertainty is called ordinary."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Disagreement and error of F frames.

    Attributes
    ----------
    spread, error : (F,) array
        Standard deviation over the networks, and signed error of the atomization energy, eV.
    n_atoms : (F,) array
    """

    spread: np.ndarray
    error: np.ndarray
    n_atoms: np.ndarray

    @property
    def scale(self) -> float:
        """Root mean square error over root mean square spread."""
        return float(np.sqrt((self.error**2).mean() / (self.spread**2).mean()))

    @property
    def limit(self) -> float:
        """Scaled spread per atom that ``SHARE`` of the frames keep, eV."""
        return float(np.quantile(self.scale * self.spread / self.n_atoms, SHARE))

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of spread and size of the error."""
        from scipy.stats import spearmanr

        return float(spearmanr(self.spread, np.abs(self.error)).statistic)


def calibrate(
    model: str | Path,
    members: Sequence[str | Path] | str | Path,
    files: Sequence[str | Path] | str | Path,
    *,
    level: str | None = None,
    units: str | None = None,
    isolated: dict[str, float] | None = None,
    gradients: bool = False,
    max_frames: int = 2000,
    report: Callable[[int, int], None] | None = None,
) -> tuple[Path, Calibration]:
    """Make models the committee of another: copy their files to it and write what they are worth.

    Where a network was trained on one of the files, only the frames that its split keeps for
    validation are taken, of all files; all networks must share the split.

    Parameters
    ----------
    level, units, isolated, gradients
        Of files that do not state them (see :func:`read`).
    max_frames : int
        So many at most, chosen at random.
    report : callable, optional
        Called with (frames done, all frames).

    Returns
    -------
    path of the committee's file, Calibration
    """
    model = Path(model)
    paths = [Path(p) for p in ([members] if isinstance(members, str | Path) else members)]
    twice = [str(path) for path in paths if paths.count(path) > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice as a member: give it once")
    found = load_model(model)
    others = {str(path): load_model(path) for path in paths}
    check_members(found, others)
    data = read(
        files,
        level,
        units,
        isolated,
        gradients,
        elements=found.model.supported(),
    )
    if data.skipped:
        warnings.warn(f"left out of the files: {left_out(data)}", stacklevel=2)
    rows = np.random.default_rng(0).permutation(unseen(data, [found, *others.values()]))
    result = disagreement(
        found, [m.model for m in others.values()], data, rows[:max_frames], report
    )
    if len(result.error) < FEWEST:
        raise InputError(
            f"all networks have a solution for only {len(result.error)} frames: give at least "
            f"{FEWEST}, or train the networks again"
        )
    if not result.spread.max() > NOISE:
        raise InputError(
            "the networks agree to rounding on these frames, which says nothing of their errors: "
            "train them with other seeds"
        )
    chance = 2.0 / np.sqrt(len(result.error))
    if result.correlation < chance:
        warnings.warn(
            "the networks do not disagree more where the model errs more (rank correlation "
            f"{result.correlation:.2f} on {len(result.error)} frames, where chance alone gives up "
            f"to {chance:.2f}): uncertainties will say nothing of a single molecule; give more "
            "frames, or train the networks longer",
            stacklevel=2,
        )
    contents = [path.read_bytes() for path in paths]  # one may be where another's copy goes
    if model.is_symlink():  # calculators look beside the file itself
        model = model.resolve()
    copies = member_files(model, contents)
    for content, copy in zip(contents, copies, strict=True):
        write_whole(copy, content)
    about = {
        "files": data.checksums,
        "frames": len(result.error),
        "correlation": result.correlation,
    }
    return write_committee(model, copies, result.scale, result.limit, about), result


def unseen(data: Dataset, networks: Sequence[ModelFile]) -> np.ndarray:
    """Frames (indices) that no network was trained on: all, or if there is a training file among
    them those that were kept for validation in all trainings."""
    splits: set[tuple[float, int, str]] = set()
    for network in networks:
        warn_of_changes(network, data)
        if set(files_behind(network.card).values()) & set(data.checksums.values()):
            own = splits_behind(network.card)
            if not own:
                raise InputError(
                    f"{network.model.name} was trained on these files, and does not tell what was "
                    "kept for validation: give files that no network has seen"
                )
            splits |= own
    rows = kept(data, splits)
    if len(rows) < FEWEST:
        raise InputError(
            f"only {len(rows)} frames are new to all networks: give at least {FEWEST}, of other "
            "files without those trained on, or train all with one split_seed, "
            "validation_fraction and split_by"
        )
    return rows


def kept(data: Dataset, splits: Iterable[tuple[float, int, str]]) -> np.ndarray:
    """Frames (indices) that all these splits keep for validation; all if there is none."""
    rows = np.arange(len(data))
    for each in splits:
        rows = np.intersect1d(rows, split(data, *each)[1])
    return rows


def disagreement(
    model: ModelFile,
    members: Sequence[Any],
    data: Dataset,
    rows: np.ndarray,
    report: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Spread and error on the frames ``rows``; those without a solution are left out."""
    engine = Engine(model.model, committee=Committee(tuple(members)))
    done = 0

    def one(*_: object) -> None:
        nonlocal done
        done += 1
        if report is not None:
            report(done, len(rows))

    points = engine.run(data.molecules(rows), ("energy", "uncertainty"), callback=one)
    spread = np.array([point.uncertainty for point in points], dtype=float)
    energies = np.array([point.atomization_energy for point in points], dtype=float)
    good = np.isfinite(spread) & np.isfinite(energies)
    n_atoms = np.array([len(data.numbers[k]) for k in rows])
    return Calibration(spread[good], (energies - data.atomization[rows])[good], n_atoms[good])
