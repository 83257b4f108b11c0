"""Charge and multiplicity of what a workflow computes."""

from __future__ import annotations

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.engines import engine_for
from ase_mlseqm.frames import without_results


def state(atoms: Atoms, calc: BaseCalculator | None = None) -> tuple[int, int]:
    """Charge and multiplicity that a calculator takes the atoms to have.

    Keywords are known of MLSEQM, by itself or as a term of a sum or within a log, if all that are
    in there agree.
    """
    given = set(_keywords(calc))
    charge, multiplicity = charge_and_multiplicity(atoms, *(given.pop() if len(given) == 1 else ()))
    return charge, multiplicity or 1 + (int(atoms.numbers.sum()) - charge) % 2


def _keywords(calc: BaseCalculator | None) -> list[tuple[int | None, int | None]]:
    """Charge and multiplicity of every MLSEQM that computes all atoms for a calculator."""
    if isinstance(calc, MLSEQM):
        return [(calc.parameters["charge"], calc.parameters["multiplicity"])]
    inside = getattr(getattr(calc, "mixer", calc), "calcs", [getattr(calc, "calculator", None)])
    return [found for one in inside if one is not None for found in _keywords(one)]


def stated(atoms: Atoms, calc: BaseCalculator) -> Atoms:
    """Copy without results of earlier calculations, with what is computed in ``info``.

    All that is made from it can be computed again from its file alone.
    """
    charge, multiplicity = state(atoms, calc)
    copy = without_results(atoms)
    if isinstance(calc, MLSEQM):
        method = engine_for(calc.parameters).model.name
        copy.info |= {"method": method, "status": "converged"}
        copy.info |= {"charge": charge, "multiplicity": multiplicity}
        if "spin" in copy.info:
            copy.info["spin"] = multiplicity
    return copy
