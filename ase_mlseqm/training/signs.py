"""Are the forces of a file forces, or gradients?  PM3 knows the sign, and MNDO that of boron."""

from __future__ import annotations

import numpy as np

from ..batch import Molecule
from ..errors import InputError
from ..evaluation import evaluate
from ..model import PlainModel
from ..validate import check
from .dataset import Dataset

METHODS = ("PM3", "MNDO")
"""The first that has the elements of a frame."""

SAMPLE = 32
"""Frames compared."""

MAX_ATOMS = 60
"""Larger frames are not compared: the sign needs no large ones."""

CLEAR = -0.3
"""Correlation below which the sign is wrong."""


def force_correlation(dataset: Dataset) -> float:
    """Correlation of force components with those of PM3 on frames spread over the set; of MNDO,
    which has boron, too, where PM3 has no parameters.

    NaN when there is no frame that either can do, or no force differs from zero.
    """
    usable = [k for k, n in enumerate(dataset.numbers) if 1 < len(n) <= MAX_ATOMS]
    places = np.unique(np.linspace(0, len(usable) - 1, min(SAMPLE, len(usable))).astype(int))
    chosen = [usable[place] for place in places]
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for method in METHODS:
        model = PlainModel(method)
        known = [(k, molecule) for k in chosen if (molecule := _molecule(dataset, k, model))]
        chosen = [k for k in chosen if k not in {done for done, _ in known}]
        results = evaluate([molecule for _, molecule in known], method) if known else []
        pairs += [
            (result.forces.ravel(), dataset.forces[k].ravel())
            for result, (k, _) in zip(results, known, strict=True)
            if result.converged and result.forces is not None
        ]
    if not pairs:
        return float("nan")
    ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    norm = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return float(ours @ theirs / norm) if norm > 0 else float("nan")


def _molecule(dataset: Dataset, k: int, model: PlainModel) -> Molecule | None:
    """Frame k, if the method has its elements."""
    (molecule,) = dataset.molecules([k])
    try:
        return check(molecule, model)
    except InputError:
        return None


def check_signs(dataset: Dataset, where: str, given: str, advice: str) -> None:
    """Refuse a set whose forces point against those of PM3, or MNDO; no verdict where they are
    unrelated.

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
        When the correlation with their forces is clearly negative.
    """
    correlation = force_correlation(dataset)
    if correlation < CLEAR:  # never for NaN
        found = "gradients" if given == "forces" else "forces"
        raise InputError(
            f"{where}: the values look like {found}, not {given} (correlation with forces of PM3 "
            f"or MNDO {correlation:+.2f}); if so, {advice}"
        )
