"""Whether the SCF of a relaxed structure has a lower solution than the one that was followed."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.calculator import batched

from .many import Many

LOWER = 1e-3
"""eV; by so much another solution has to be lower."""


def has_lower(structures: Sequence[Atoms], calc: BaseCalculator) -> list[bool]:
    """Of structures with their energies: whether an SCF that starts anew ends below these.

    With MLSEQM the SCF of a step starts from the density of the step before, and follows its state
    even where another one has become the lowest; other calculators are not asked.
    """
    if not (batched(calc) and calc.parameters["reuse_density"] and structures):
        return [False] * len(structures)
    anew = [atoms.copy() for atoms in structures]
    errors = Many(calc).attempt(anew)
    return [
        error is None and new.get_potential_energy() < followed.get_potential_energy() - LOWER
        for error, new, followed in zip(errors, anew, structures, strict=True)
    ]
