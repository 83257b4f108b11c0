"""Which minima a transition state connects: told by bonds, and by distance where these agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase import Atoms

from .geometry import bonds, distance

if TYPE_CHECKING:
    from .ts_config import Minimum

SAME = 0.005
"""eV; minima with equal bonds that are closer are one, whose like atoms may have changed places."""
OTHER = 0.2
"""eV; minima with equal bonds that are further apart are no conformers of each other."""


def assigned(
    minima: list[Minimum], reactant: Atoms, product: Atoms
) -> tuple[list[Minimum], bool, list[str]]:
    """The minima, that of the reactant first, whether they are reactant and product, and remarks.

    Bonds decide.  Where both ends have the same, as conformers, the minima have to be the ends
    themselves, by distance and energy.  Elsewhere they may be other conformers or complexes of
    them, which is told, but none that lies higher or lower by more than :data:`OTHER`.  Energies
    are compared of ends that have a calculator.
    """
    ends = (reactant, product)

    def fits(order: list[Minimum]) -> bool:
        if any(bonds(m.atoms) != bonds(end) for m, end in zip(order, ends, strict=True)):
            return False
        if bonds(reactant) != bonds(product):
            return True
        near = [distance(m.atoms, end) for m, end in zip(order, ends, strict=True)]
        far = [distance(m.atoms, end) for m, end in zip(order, ends[::-1], strict=True)]
        return near[0] < far[0] and near[1] < far[1]

    for order in (minima, minima[::-1]):
        if fits(order):
            gaps = [_gap(m.atoms, end) for m, end in zip(order, ends, strict=True)]
            remarks = [
                f"the minimum on the side of the {name} has its bonds, but is another, "
                f"{abs(gap):.3f} eV {'above' if gap > 0 else 'below'} it"
                for name, gap in zip(("reactant", "product"), gaps, strict=True)
                if gap
            ]
            limit = 0.0 if bonds(reactant) == bonds(product) else OTHER
            return order, max(map(abs, gaps)) <= limit, remarks
    return minima, False, []


def _gap(found: Atoms, end: Atoms) -> float:
    """How far, eV, a minimum lies above an end with the same bonds; 0 where it is that."""
    if end.calc is None:
        return 0.0
    gap = float(found.get_potential_energy() - end.get_potential_energy())
    return 0.0 if abs(gap) < SAME else gap
