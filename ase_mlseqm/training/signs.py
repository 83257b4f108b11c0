"""Are the forces of a file forces, or gradients?  PM3 knows the sign."""

from __future__ import annotations

import numpy as np

from ..batch import Molecule
from ..errors import InputError
from ..evaluation import evaluate
from ..model import PlainModel
from ..validate import check
from .dataset import Dataset

SAMPLE = 32
"""Frames compared."""

MAX_ATOMS = 60
"""Larger frames are not compared: the sign needs no large ones."""

CLEAR = -0.3
"""Correlation below which the sign is wrong."""


def force_correlation(dataset: Dataset, sample: int = SAMPLE) -> float:
    """Correlation of force components with those of PM3 on frames spread over the set.

    NaN when there is no frame that PM3 can do, or no force differs from zero.
    """
    model = PlainModel("PM3")
    molecules, forces = [], []
    usable = [k for k, n in enumerate(dataset.numbers) if 1 < len(n) <= MAX_ATOMS]
    for k in np.unique(np.linspace(0, len(usable) - 1, min(sample, len(usable))).astype(int)):
        molecule = Molecule(dataset.numbers[usable[k]], dataset.positions[usable[k]])
        try:
            molecules.append(check(molecule, model))
        except InputError:
            continue
        forces.append(dataset.forces[usable[k]])
    results = evaluate(molecules, "PM3") if molecules else []
    pairs = [
        (result.forces.ravel(), force.ravel())
        for result, force in zip(results, forces, strict=True)
        if result.converged and result.forces is not None
    ]
    if not pairs:
        return float("nan")
    ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    norm = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return float(ours @ theirs / norm) if norm > 0 else float("nan")


def check_signs(dataset: Dataset, where: str, given: str, advice: str) -> None:
    """Refuse a set whose forces point against those of PM3; no verdict where they are unrelated.

    Parameters
    ----------
    where : str
        Name of the file.
    given : str
        What its values were taken for: "forces" or "gradients".
    advice : str
        What to do when they are the other.

    Raises
    ------
    InputError
        When the correlation with PM3's forces is clearly negative.
    """
    correlation = force_correlation(dataset)
    if correlation < CLEAR:  # never for NaN
        found = "gradients" if given == "forces" else "forces"
        raise InputError(
            f"{where}: the values look like {found}, not {given} (correlation with PM3's forces "
            f"{correlation:+.2f}); if so, {advice}"
        )
