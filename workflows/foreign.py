"""Calculators of others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.wholefile import NotWritten


def require_calculator(calc: Any) -> None:
    """InputError for None, a name, or a class in the place of a calculator."""
    if isinstance(calc, type) or not hasattr(calc, "get_forces"):
        name = calc.__name__ if isinstance(calc, type) else repr(calc)
        raise InputError(f"{name} is no calculator: give one, such as MLSEQM(method='PM3')")


@contextlib.contextmanager
def foreign_errors() -> Iterator[None]:
    """Whatever a calculator raises as a CalculatorError: with other structures it may do well.

    A file of ours that has no place is no fault of the calculator.
    """
    try:
        yield
    except (CalculatorError, InputError, NotWritten):
        raise
    except Exception as error:
        raise CalculatorError(f"{type(error).__name__}: {error}") from error
