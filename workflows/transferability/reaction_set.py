"""Energies of reactions: sums over systems with their coefficients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from ase_mlseqm.training.dataset import Skipped
from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Outcome
from .methods import Method, Point


@dataclasses.dataclass(frozen=True)
class Reaction:
    """An energy difference with its reference.

    Attributes
    ----------
    name : str
    coefficients : dict
        By name of the system; negative for what is consumed.
    reference : float
        kcal/mol.
    curve : str
        The curve of which it is a point, or its own name.
    x : float or None
        Where on the curve, Angstrom; None where there is no curve.
    zero : float or None
        Where on the curve the energy is zero because all others are relative to that point,
        Angstrom; None where there is no such point.
    """

    name: str
    coefficients: dict[str, float]
    reference: float
    curve: str
    x: float | None = None
    zero: float | None = None


@dataclasses.dataclass(frozen=True)
class ReactionSet:
    """Systems, and reactions between them.

    Attributes
    ----------
    systems : dict
        :class:`ase.Atoms` by name, charge and multiplicity in ``info``.
    skipped : list of Skipped
        Reactions that are left out.
    forces : dict
        Labels (A, 3) of the systems that have some, eV/Angstrom.
    """

    systems: dict[str, Atoms]
    reactions: list[Reaction]
    skipped: list[Skipped] = dataclasses.field(default_factory=list)
    forces: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.systems)

    @classmethod
    def joined(cls, sets: Sequence[ReactionSet]) -> ReactionSet:
        """All of several sets, whose names differ."""
        return cls(
            {name: atoms for found in sets for name, atoms in found.systems.items()},
            [reaction for found in sets for reaction in found.reactions],
            [record for found in sets for record in found.skipped],
            {name: forces for found in sets for name, forces in found.forces.items()},
        )

    def points(self, method: Method, advance: Advance) -> dict[str, Point]:
        """Every system with a method."""
        found = method.points(list(self.systems.values()), done=advance)
        return dict(zip(self.systems, found, strict=True))


def reaction_energy(
    reaction: Reaction, points: dict[str, Point], case: str, outcome: Outcome
) -> float | None:
    """The energy, kcal/mol; None, and a failure of ``case``, where a system has none."""
    for name in reaction.coefficients:
        if points[name].failed:
            outcome.fail(case, f"{name}: {points[name].failed}")
            return None
    found = sum(c * points[name].energy for name, c in reaction.coefficients.items())
    return float(found) * EV_TO_KCAL
