"""What workflows for one structure or many share: steps over lists in which an error has its place.

A workflow is written for a list.  Every step takes what the one before has left, and a structure
that cannot be computed becomes an exception at its place, which does no harm to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
)

from ase_mlseqm.calculator import batched
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms

from .constraints import in_order
from .foreign import foreign_errors, require_calculator

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
