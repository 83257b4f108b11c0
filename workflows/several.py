"""What workflows for one structure or many share: steps over lists in which an error has its place.

A workflow is written for a list.  Every step takes what the one before has left, and a structure
that cannot be computed becomes an exception at its place, which does no harm to the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    CalculatorSetupError,
    SCFError,
    all_properties,
)
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.calculator import ASE_PROPERTIES, ase_results, batched
from ase_mlseqm.engines import engine_for
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms

from .constraints import in_order
from .foreign import foreign_errors, require_calculator
from .relax import frozen
from .states import info_of_results, state

Failure = CalculatorError | InputError
"""Why a structure could not be computed."""


def structure(system: Any) -> Atoms:
    """``ase.Atoms`` of what a workflow begins with (see :func:`~ase_mlseqm.pymatgen_io.as_atoms`).

    Constraints come in an order in which all hold.

    Raises
    ------
    InputError
        For no structure, no atoms, and positions that are not finite: calculators of others fail
        with whatever exception, or return numbers.
    """
    atoms = in_order(as_atoms(system))
    if not len(atoms):
        raise InputError("there are no atoms to compute")
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(1))
    if len(bad):
        raise InputError(f"the position of atom {bad[0]} is not a finite number: correct the input")
    return atoms


def forget(calc: BaseCalculator) -> None:
    """Let a calculator forget what it has computed, on which a result must not depend; files of
    programs are read anew anyway, and their calculators may have nothing to forget."""
    if hasattr(calc, "reset"):
        calc.reset()


def one_or_many(compute: Callable[[Sequence[Any]], list[Any]], atoms: Any, calc: Any) -> Any:
    """The result of one structure, or those of a list or tuple of them.

    Parameters
    ----------
    compute : callable
        Makes a list of results, errors among them, of a list of structures.

    Raises
    ------
    InputError, ase.calculators.calculator.CalculatorError
        When one structure cannot be computed; in a list the error is at its place.
    """
    require_calculator(calc)
    if not isinstance(atoms, list | tuple):
        (found,) = compute([atoms])
        if isinstance(found, Exception):
            raise found
        return found
    if batched(calc):
        return compute(atoms)
    # another calculator goes from one molecule to the next only once
    return [found for one in atoms for found in compute([one])]


def error_of(function: Callable[..., Any], *arguments: Any) -> Failure | None:
    """What kept a function from being done, whoever raised it; None where nothing did."""
    try:
        with foreign_errors():
            function(*arguments)
    except (CalculatorError, InputError) as error:
        return error
    return None


def attempt(function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    """The function of every row of the columns; an error in a row, or its own, stays."""
    out = []
    for row in zip(*columns, strict=True):
        found: Any = next((item for item in row if isinstance(item, Exception)), None)
        try:
            out.append(function(*row) if found is None else found)
        except (CalculatorError, InputError) as error:
            out.append(error)
    return out


def together(function: Callable[[list[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
    """The function of the list of all that are no errors, with those at their places."""
    good = [item for item in items if not isinstance(item, Exception)]
    found = iter(function(good) if good else [])
    return [item if isinstance(item, Exception) else next(found) for item in items]


def not_stationary(max_force: float, fmax: float) -> list[str]:
    """A sentence where the largest force, eV/Angstrom, is above what was asked for."""
    if not max_force > fmax:
        return []
    return [
        f"the largest force is {max_force:.2g} eV/Angstrom, above {fmax:g}: this is no stationary "
        "point and its frequencies mean little; relax it with this method first"
    ]


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
    if batched(calc) and len(free) > 1:
        return _batch(free, calc)
    return attempt(lambda atoms: _alone(atoms, calc), free)


def _alone(atoms: Atoms, calc: BaseCalculator) -> Computed:
    atoms.calc = calc
    with foreign_errors():
        atoms.get_forces()
    if batched(calc):  # it may hold the density of a relaxation
        point = calc.unfinished
        assert point is not None
        return Computed(
            _told(frozen(atoms), calc),
            point.charge,
            point.multiplicity,
            point.heat_of_formation,
            point.density,
        )
    return Computed(_told(frozen(atoms), calc), *state(atoms, calc), None, None)


def _told(atoms: Atoms, calc: BaseCalculator) -> Atoms:
    """Computed atoms with ``info`` of this calculation (in place)."""
    atoms.info = info_of_results(atoms, calc)
    return atoms


def _batch(structures: list[Atoms], calc: MLSEQM) -> list[Computed | CalculatorError]:
    from ase_mlseqm.validate import check  # torch comes with it

    given = calc.parameters
    engine = engine_for(given)

    def checked(atoms: Atoms) -> Any:
        try:
            molecule = molecule_from_atoms(atoms, given["charge"], given["multiplicity"])
            return check(molecule, engine.model, given["unrestricted"])
        except InputError as error:
            raise CalculatorSetupError(str(error)) from None

    def run(molecules: list[Any]) -> list[Any]:
        settings = {name: given[name] for name in ("unrestricted", "field")}
        return engine.run(molecules, ASE_PROPERTIES, **settings)

    def result(atoms: Atoms, point: Any) -> Computed:
        if not point.converged:
            error = SCFError(f"{atoms.get_chemical_formula()}: {point.message}")
            error.singlepoint = point  # type: ignore[attr-defined]
            raise error
        known = {name: v for name, v in ase_results(point).items() if name in all_properties}
        atoms.calc = SinglePointCalculator(atoms, **known)
        return Computed(
            _told(atoms, calc),
            point.charge,
            point.multiplicity,
            point.heat_of_formation,
            point.density,
        )

    return attempt(result, structures, together(run, attempt(checked, structures)))
