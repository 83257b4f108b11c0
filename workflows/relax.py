"""Relaxation with one of ASE's optimisers: of one molecule here, of a list in ``relax_many``."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.errors import InputError

from .relax_config import RelaxConfig, RelaxResult
from .relax_history import StepCallback
from .relax_in_turn import InTurn
from .relax_many import relax_many
from .several import Failure

__all__ = ["RelaxConfig", "RelaxResult", "relax"]


@overload
def relax(
    atoms: Atoms,
    calc: BaseCalculator,
    config: RelaxConfig | None = None,
    *,
    trajectory: str | Path | None = None,
    callback: StepCallback | None = None,
    checkpoint: str | Path | None = None,
) -> RelaxResult: ...


@overload
def relax(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: RelaxConfig | None = None,
    *,
    checkpoint: str | Path | None = None,
) -> list[RelaxResult | Failure]: ...


def relax(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: RelaxConfig | None = None,
    *,
    trajectory: str | Path | None = None,
    callback: StepCallback | None = None,
    checkpoint: str | Path | None = None,
) -> RelaxResult | list[RelaxResult | Failure]:
    """Relax the positions of one molecule, or of many.

    Parameters
    ----------
    atoms : ase.Atoms, or a list of them
        Start; not changed.  Constraints are respected, and met from the first structure on: a
        dihedral that is given is set before anything is computed.  A list goes to ``relax_many``.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.
    config : RelaxConfig, optional
    trajectory : str or Path, optional
        ASE trajectory that gets the initial structure and that of every step; of one molecule only.
    callback : callable, optional
        Called with (step, energy in eV, largest force in eV/Angstrom) after every step; of one
        molecule only.
    checkpoint : str or Path, optional
        File that gets the structure every few seconds, and is removed at the end.  A run that was
        cut off goes on from it, if ``trajectory`` has all steps until there.

    Returns
    -------
    RelaxResult, or a list
        ``converged`` is False when the steps were used up or a later step could not be computed;
        the last structure that could be is in it.  In a list there is an exception in the place of
        a molecule whose first structure cannot be computed.

    Raises
    ------
    ase.calculators.calculator.CalculatorError
        When the first structure of one molecule cannot be computed.
    Interrupted
        On Ctrl-C after the first structure; for a list it is ``InterruptedMany``.
    InputError
        When something else than a structure is given, constraints that cannot be met, or a
        trajectory for a list.
    """
    if isinstance(atoms, list | tuple):
        if trajectory is not None or callback is not None:
            raise InputError(
                "a trajectory or callback is for one molecule: relax_many has done= and step="
            )
        return relax_many(atoms, calc, config, checkpoint=checkpoint)
    alone = InTurn([atoms], calc, config or RelaxConfig(), checkpoint)
    result = alone.relax(0, trajectory=trajectory, callback=callback)
    alone.finish()
    return result
