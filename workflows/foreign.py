"""Calculators of others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError


@contextlib.contextmanager
def foreign_errors() -> Iterator[None]:
    """Whatever a calculator raises as a CalculatorError: with other structures it may do well."""
    try:
        yield
    except (CalculatorError, InputError):
        raise
    except Exception as error:
        raise CalculatorError(f"{type(error).__name__}: {error}") from error
