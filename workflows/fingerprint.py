"""By what calculations are known again, in the files from which runs go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM, __version__
from ase_mlseqm.atoms import KEYS
from ase_mlseqm.models import DEFAULT, model_file


def keywords(calc: BaseCalculator) -> dict[str, Any]:
    """Those of a calculator on which its results depend, where it tells them."""
    try:
        known = dict(calc.todict())
    except (AttributeError, NotImplementedError):
        known = {}
    # a calculator that is made of others says nothing of them, nor of their weights
    made_of = vars(getattr(calc, "mixer", calc))
    terms = [term for value in made_of.values() for term in _calculators(value)]
    if terms:
        known["calcs"] = [[*_names(term), keywords(term)] for term in terms]
        for name in ("weights", "selection"):
            if name in made_of:
                known[name] = np.asarray(made_of[name]).tolist()
    if isinstance(calc, MLSEQM):
        for name in ("device", "max_memory"):
            known.pop(name, None)
        if calc.parameters["method"] is None:
            # a model that was trained on has the name that it had
            known["sha256"] = model_file(calc.parameters["model"] or DEFAULT).sha256
    return known


def _calculators(value: Any) -> list[BaseCalculator]:
    """Those that an attribute of a calculator is, or lists."""
    values = value if isinstance(value, list | tuple) else [value]
    return [one for one in values if isinstance(one, BaseCalculator)]


def _names(calc: BaseCalculator) -> tuple[str, str]:
    """A class that is made from another one has its name."""
    return calc.name, type(calc).__name__


def fingerprint(calc: BaseCalculator, structures: Sequence[Atoms], *settings: Any) -> str:
    """Equal where the same would be computed from the same structures, by the same version."""
    parts: list[Any] = [__version__, *_names(calc), keywords(calc), *settings]
    for atoms in structures:
        parts += [atoms.numbers.tolist(), atoms.positions.round(6).tolist()]
        parts += [atoms.cell.tolist(), atoms.pbc.tolist()]
        parts += [
            atoms.get_initial_charges().tolist(),
            atoms.get_initial_magnetic_moments().tolist(),
        ]
        parts += [str(atoms.info.get(name)) for name in KEYS]
        parts.append([told(c) for c in atoms.constraints])
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def told(constraint: Any) -> str:
    """All that a constraint is: the ``repr`` of some, such as FixInternals, leaves values out."""
    try:
        known = constraint.todict()
    except (AttributeError, NotImplementedError):
        return repr(constraint)
    return json.dumps(known, default=lambda value: np.asarray(value).tolist())
