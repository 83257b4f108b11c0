"""Energies and forces of many structures: one batch with this package's calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    CalculatorSetupError,
    SCFError,
)
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.calculator import batched, is_near
from ase_mlseqm.engines import engine_for

from .foreign import foreign_errors


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
    ) -> list[CalculatorError | None]:
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
        compute = self._batch if batched(self.calc) else self._in_turn
        errors: list[CalculatorError | None] = []
        for atoms, found in zip(structures, compute(structures, places), strict=True):
            if isinstance(found, CalculatorError):
                errors.append(found)
            elif not (np.isfinite(found["forces"]).all() and np.isfinite(found["energy"])):
                errors.append(CalculatorError("energy or forces are not finite"))
            else:
                atoms.calc = SinglePointCalculator(atoms, **found)
                errors.append(None)
        return errors

    def _batch(
        self, structures: Sequence[Atoms], places: Sequence[int]
    ) -> list[dict[str, Any] | CalculatorError]:
        from ase_mlseqm.atoms import molecule_from_atoms
        from ase_mlseqm.errors import InputError
        from ase_mlseqm.validate import check

        given = self.calc.parameters
        engine = engine_for(given)
        results: list[dict[str, Any] | CalculatorError] = []
        molecules, chosen = [], []
        for k, atoms in enumerate(structures):
            try:
                molecule = molecule_from_atoms(atoms, given["charge"], given["multiplicity"])
                molecules.append(check(molecule, engine.model, given["unrestricted"]))
                chosen.append(k)
                results.append({})
            except InputError as error:
                results.append(CalculatorSetupError(str(error)))
        points = engine.run(
            molecules,
            ("energy", "forces", "density"),
            unrestricted=given["unrestricted"],
            field=given["field"],
            guesses=[self.density(places[k], structures[k].positions) for k in chosen],
        )
        for k, point in zip(chosen, points, strict=True):
            if point.converged:
                self._last[places[k]] = (structures[k].positions.copy(), point.density)
                results[k] = {"energy": point.energy, "forces": point.forces}
            else:
                formula = structures[k].get_chemical_formula()
                results[k] = SCFError(f"{formula}: {point.message}")
        return results

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

    def _in_turn(
        self, structures: Sequence[Atoms], places: Sequence[int]
    ) -> list[dict[str, Any] | CalculatorError]:
        results: list[dict[str, Any] | CalculatorError] = []
        for atoms in structures:
            work = atoms.copy()
            work.calc = self.calc
            try:
                with foreign_errors():
                    forces = work.get_forces(apply_constraint=False)
                    # that of a constraint comes on top when it is asked for again
                    energy = float(work.get_potential_energy(apply_constraint=False))
                results.append({"energy": energy, "forces": forces})
            except CalculatorError as error:
                results.append(error)
        return results
