"""Structures with what a calculator has computed of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    CalculatorSetupError,
    all_properties,
)
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.calculator import ASE_PROPERTIES, ase_results, batched, failure
from ase_mlseqm.engines import engine_for
from ase_mlseqm.errors import InputError
from ase_mlseqm.results import SinglePoint

from .foreign import foreign_errors
from .several import attempt, together
from .states import info_of_results, state


class ComputedAtoms:
    """A result whose ``atoms`` carry energy and forces."""

    atoms: Atoms

    @property
    def energy(self) -> float:
        """Potential energy of ``atoms``, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def max_force(self) -> float:
        """Largest force on any atom, without constraints, eV/Angstrom."""
        forces = self.atoms.calc.results["forces"]
        return float(np.linalg.norm(forces, axis=1).max(initial=0.0))


def largest_force(atoms: Atoms) -> float:
    """On any atom, constraints applied, eV/Angstrom."""
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


def not_stationary(max_force: float, fmax: float) -> list[str]:
    """A sentence where the largest force, eV/Angstrom, is above what was asked for."""
    if not max_force > fmax:
        return []
    return [
        f"the largest force is {max_force:.2g} eV/Angstrom, above {fmax:g}: this is no stationary "
        "point and its frequencies mean little; relax it with this method first"
    ]


def frozen(atoms: Atoms) -> Atoms:
    """Copy of ``atoms`` with the results that its calculator has for it, its energy and forces
    among them: some calculators keep only what they were asked for last."""
    calc, results = atoms.calc, {}
    if isinstance(calc, SinglePointCalculator) and not calc.check_state(atoms):
        results = dict(calc.results)  # each property below would compare the atoms again
    else:
        for name in all_properties:
            try:
                value = calc.get_property(name, atoms, allow_calculation=False)
            except (NotImplementedError, CalculatorError):
                continue
            if value is not None:
                results[name] = value
        for name in {"energy", "forces"} - results.keys():
            results[name] = calc.get_property(name, atoms)
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


@dataclasses.dataclass(frozen=True)
class Computed:
    """A structure with energy and forces.

    Attributes
    ----------
    atoms : ase.Atoms
        Without constraints; its calculator holds the results.
    charge, multiplicity : int
        Of the calculation; with calculators that do not say, those of ``atoms.info`` or the
        lowest possible ones.
    heat_of_formation : float or None
        eV, where the energy implies one.
    density : (S, N, N) array or None
        With MLSEQM only.
    """

    atoms: Atoms
    charge: int
    multiplicity: int
    heat_of_formation: float | None
    density: np.ndarray | None


def computed(structures: Sequence[Atoms], calc: BaseCalculator) -> list[Computed | CalculatorError]:
    """Energy, forces and what else the calculator has; with MLSEQM many are one batch."""
    free = [atoms.copy() for atoms in structures]
    for atoms in free:
        atoms.set_constraint()
    if len(free) == 1 or not batched(calc):  # one starts from the density of its relaxation
        return attempt(lambda atoms: _alone(atoms, calc), free)

    def result(atoms: Atoms, point: SinglePoint) -> Computed:
        known = {name: v for name, v in ase_results(point).items() if name in all_properties}
        atoms.calc = SinglePointCalculator(atoms, **known)
        return _of_point(atoms, point, calc)

    return attempt(result, free, single_points(free, calc, ASE_PROPERTIES))


def _alone(atoms: Atoms, calc: BaseCalculator) -> Computed:
    atoms.calc = calc
    with foreign_errors():
        atoms.get_forces()
    done = frozen(atoms)
    if batched(calc):
        assert calc.unfinished is not None
        return _of_point(done, calc.unfinished, calc)
    done.info = info_of_results(done, calc)
    return Computed(done, *state(atoms, calc), None, None)


def _of_point(atoms: Atoms, point: SinglePoint, calc: MLSEQM) -> Computed:
    """Atoms with their results, which get the ``info`` of this calculation."""
    atoms.info = info_of_results(atoms, calc)
    return Computed(atoms, point.charge, point.multiplicity, point.heat_of_formation, point.density)


def single_points(
    structures: Sequence[Atoms],
    calc: MLSEQM,
    properties: Sequence[str],
    guesses: Sequence[np.ndarray | None] | None = None,
) -> list[SinglePoint | CalculatorError]:
    """What the engine of a calculator makes of structures, which are one batch.

    Parameters
    ----------
    properties : sequence of str
        As for ``Engine.run``.
    guesses : sequence of (S, N, N) arrays or None, optional
        Where the SCF of each starts.

    Returns
    -------
    list
        An exception for a structure that cannot be computed, or whose SCF does not converge.
    """
    from ase_mlseqm.validate import check  # torch comes with it

    given = calc.parameters
    engine = engine_for(given)

    def checked(atoms: Atoms, guess: np.ndarray | None) -> Any:
        try:
            molecule = molecule_from_atoms(atoms, given["charge"], given["multiplicity"])
            return check(molecule, engine.model, given["unrestricted"]), guess
        except InputError as error:
            raise CalculatorSetupError(str(error)) from None

    def run(pairs: list[Any]) -> list[Any]:
        molecules, densities = map(list, zip(*pairs, strict=True))
        settings = {name: given[name] for name in ("unrestricted", "field")}
        return engine.run(molecules, properties, guesses=densities, **settings)

    def converged(atoms: Atoms, point: SinglePoint) -> SinglePoint:
        if not point.converged:
            raise failure(atoms, point)
        return point

    starts = guesses or [None] * len(structures)
    found = together(run, attempt(checked, structures, starts))
    return attempt(converged, structures, found)
