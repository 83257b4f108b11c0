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

    Of other calculators than MLSEQM the keywords are not known.
    """
    given = calc.parameters if isinstance(calc, MLSEQM) else {}
    charge, multiplicity = charge_and_multiplicity(
        atoms, given.get("charge"), given.get("multiplicity")
    )
    return charge, multiplicity or 1 + (int(atoms.numbers.sum()) - charge) % 2


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
