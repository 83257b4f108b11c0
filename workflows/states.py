"""Charge and multiplicity of what a workflow computes."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import charge_and_multiplicity, lowest_multiplicity
from ase_mlseqm.engines import engine_for
from ase_mlseqm.files.frames import without_results


def state(atoms: Atoms, calc: BaseCalculator | None = None) -> tuple[int, int]:
    """Charge and multiplicity that a calculator takes the atoms to have.

    Keywords are known of MLSEQM, by itself or as a term of a sum or within a log, if all that are
    in there agree.
    """
    given = set(_keywords(calc))
    return state_of(atoms, *(given.pop() if len(given) == 1 else (None, None)))


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
    if not isinstance(calc, MLSEQM):
        state(atoms, calc)
        return without_results(atoms)
    return stated_as(atoms, engine_for(calc.parameters).model.name, *state(atoms, calc))


def info_of_results(atoms: Atoms, calc: BaseCalculator) -> dict[str, Any]:
    """``info`` of what a calculator has computed: that of structures which are results of another
    calculation says what those were."""
    was_computed = "method" in atoms.info and "status" in atoms.info
    return (stated(atoms, calc) if was_computed else without_results(atoms)).info


def unusual(atoms: Atoms, charge: int, multiplicity: int) -> dict[str, int]:
    """For ``info``: a charge that is not zero, and a multiplicity that is not the lowest."""
    found = {"charge": charge} if charge else {}
    usual = multiplicity == lowest_multiplicity(atoms, charge)
    return found if usual else found | {"multiplicity": multiplicity}


def stated_as(atoms: Atoms, method: str, charge: int, multiplicity: int) -> Atoms:
    """The copy of :func:`stated` for this method and state."""
    copy = without_results(atoms)
    copy.info |= {"method": method, "status": "converged"}
    copy.info |= {"charge": charge, "multiplicity": multiplicity}
    if "spin" in copy.info:
        copy.info["spin"] = multiplicity
    return copy


def state_of(atoms: Atoms, charge: int | None, multiplicity: int | None) -> tuple[int, int]:
    """Charge and multiplicity of atoms with these keywords."""
    found, spin = charge_and_multiplicity(atoms, charge, multiplicity)
    return found, spin or lowest_multiplicity(atoms, found)
