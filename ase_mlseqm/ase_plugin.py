"""Entry point ``ase.plugins``: makes the calculator known to ASE as ``mlseqm``.

ASE loads it for ``ase info``, where an exception would break the command for every calculator;
hence nothing here raises, and torch is not imported.
"""

from __future__ import annotations

import contextlib
from typing import Any

NAME = "mlseqm"
IMPLEMENTATION = "ase_mlseqm.calculator.MLSEQM"
CITATION = "ase-mlseqm, https://doi.org/10.1073/pnas.2120333119"


def register() -> None:
    """Let ``ase.calculators.calculator.get_calculator_class("mlseqm")`` find the calculator."""
    with contextlib.suppress(Exception):
        from ase.calculators.calculator import external_calculators, register_calculator_class

        if NAME not in external_calculators:
            from .calculator import MLSEQM

            register_calculator_class(NAME, MLSEQM)


def plugins() -> set[Any]:
    """Description of the calculator for ASE's experimental plugin system (3.27 and later)."""
    try:
        from ase._4.plugins.plugin import CalculatorPlugin

        return {CalculatorPlugin(NAME, citation=CITATION, implementation=IMPLEMENTATION)}
    except Exception:  # the system may change without notice
        return set()


def __getattr__(name: str) -> Any:
    # not at import: ASE's system would load this module a second time, half initialised
    if name == "__ase_plugins__":
        return plugins()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
