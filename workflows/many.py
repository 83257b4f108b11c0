"""Energies and forces of many structures: one batch with this package's calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.calculator import batched, is_near
from ase_mlseqm.results import SinglePoint

from .computed import single_points
from .foreign import foreign_errors
from .several import Failure, attempt


class Many:
    """Computes a list of structures, again and again, such as the images of a path.

    With :class:`~ase_mlseqm.MLSEQM` they are one batch, and each starts from the density that the
    structure at its place in the list had before; any other calculator takes them in turn.

    Parameters
    ----------
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.

    Attributes
    ----------
    evaluations : int
        Structures that were computed.
    """

    def __init__(self, calc: BaseCalculator) -> None:
        self.calc = calc
        self.evaluations = 0
        self._last: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, structures: Sequence[Atoms], places: Sequence[int] | None = None) -> None:
        """Attach energy and forces to every structure.

        Parameters
        ----------
        places : sequence of int, optional
            As for :meth:`attempt`.

        Raises
        ------
        ase.calculators.calculator.CalculatorError
            When one of them cannot be computed; the message says which.
        """
        places = range(len(structures)) if places is None else places
        for place, error in zip(places, self.attempt(structures, places), strict=True):
            if error is not None:
                raise type(error)(f"structure {place}: {error}")

    def attempt(
        self, structures: Sequence[Atoms], places: Sequence[int] | None = None
    ) -> list[Failure | None]:
        """Attach energy and forces to every structure that can be computed.

        Parameters
        ----------
        places : sequence of int, optional
            Place of every structure in the whole list, of which these are a part.

        Returns
        -------
        list
            Why a structure could not be computed, None for those that could.
        """
        self.evaluations += len(structures)
        places = range(len(structures)) if places is None else places
        if batched(self.calc):
            computed = self._batch(structures, places)
        else:
            computed = attempt(self._alone, structures)
        errors: list[Failure | None] = []
        for atoms, found in zip(structures, computed, strict=True):
            if isinstance(found, Exception):
                errors.append(found)
            elif not (np.isfinite(found["forces"]).all() and np.isfinite(found["energy"])):
                errors.append(CalculatorError("energy or forces are not finite"))
            else:
                atoms.calc = SinglePointCalculator(atoms, **found)
                errors.append(None)
        return errors

    def _alone(self, atoms: Atoms) -> dict[str, Any]:
        work = atoms.copy()
        work.calc = self.calc
        with foreign_errors():
            forces = work.get_forces(apply_constraint=False)
            # that of a constraint comes on top when it is asked for again
            energy = float(work.get_potential_energy(apply_constraint=False))
        return {"energy": energy, "forces": forces}

    def _batch(
        self, structures: Sequence[Atoms], places: Sequence[int]
    ) -> list[dict[str, Any] | Failure]:
        guesses = [
            self.density(place, atoms.positions)
            for place, atoms in zip(places, structures, strict=True)
        ]

        def result(place: int, atoms: Atoms, point: SinglePoint) -> dict[str, Any]:
            self._last[place] = (atoms.positions.copy(), point.density)
            return {"energy": point.energy, "forces": point.forces}

        wanted = ("energy", "forces", "density")
        points = single_points(structures, self.calc, wanted, guesses)
        return attempt(result, places, structures, points)

    def density(self, place: int, positions: np.ndarray) -> np.ndarray | None:
        """That of the last structure at a place, (S, N, N), if ``positions`` are close to its own
        and the calculator starts from densities."""
        if not self.calc.parameters.get("reuse_density", False):
            return None
        before, density = self._last.get(place, (None, None))
        if before is None or before.shape != positions.shape:
            return None
        return density if is_near(density, before, positions) else None

    def forget(self, place: int) -> None:
        """Let the next structure at a place begin without a density."""
        self._last.pop(place, None)
