"""Relaxation with one of ASE's optimisers: of one molecule here, of a list in ``relax_many``."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, choose, require_not_negative, require_positive

from .computed import frozen
from .several import Failure
from .states import info_of_results

OPTIMIZERS = ("BFGS", "LBFGS", "FIRE", "BFGSLineSearch")

StepCallback = Callable[[int, float, float], None]


@dataclasses.dataclass(frozen=True)
class RelaxConfig:
    """Settings of a relaxation."""

    fmax: float = 0.01
    """Largest force on any atom of the relaxed structure, eV/Angstrom."""
    max_steps: int = 500
    """Steps after which the relaxation is given up."""
    optimizer: str = "BFGS"
    """BFGS, LBFGS, FIRE or BFGSLineSearch."""
    max_step_length: float = 0.2
    """Largest displacement of an atom in one step, Angstrom."""

    def __post_init__(self) -> None:
        check_types(self)
        choose(self, "optimizer", OPTIMIZERS)
        require_positive(self, "fmax", "max_step_length")
        require_not_negative(self, "max_steps")


@dataclasses.dataclass(frozen=True)
class RelaxResult:
    """Outcome of a relaxation.

    Attributes
    ----------
    atoms : ase.Atoms
        The last structure that could be computed, with its results attached.
    converged : bool
        Whether the largest force on any atom is below ``config.fmax``.  With MLSEQM a structure
        counts only if an SCF that starts anew finds no lower solution, from which the relaxation
        would go on.
    message : str
        One sentence on how it ended.
    energies : list of float
        Energy of the initial structure and after every step, eV.
    max_forces : list of float
        Largest force on any atom likewise, eV/Angstrom; constraints are taken into account.
    config : RelaxConfig
    """

    atoms: Atoms
    converged: bool
    message: str
    energies: list[float]
    max_forces: list[float]
    config: RelaxConfig

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return len(self.energies) - 1

    @property
    def energy(self) -> float:
        """Energy of ``atoms``, eV."""
        return self.energies[-1]

    @property
    def max_force(self) -> float:
        """Largest force on any atom of ``atoms``, eV/Angstrom."""
        return self.max_forces[-1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "energy": self.energy,
            "max_force": self.max_force,
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "energies": self.energies,
            "max_forces": self.max_forces,
            "config": dataclasses.asdict(self.config),
        }


@dataclasses.dataclass
class _History:
    """Observer of an optimiser: what is worth keeping of every step."""

    atoms: Atoms
    calc: BaseCalculator
    trajectory: Any = None
    callback: StepCallback | None = None
    energies: list[float] = dataclasses.field(default_factory=list)
    max_forces: list[float] = dataclasses.field(default_factory=list)
    last: Atoms | None = None

    def __call__(self, anew: bool = False) -> None:
        """Keep the structure if it is another one, or was computed ``anew``."""
        forces = self.atoms.get_forces()
        energy = float(self.atoms.get_potential_energy())
        if not (np.isfinite(forces).all() and np.isfinite(energy)):
            raise CalculatorError("energy or forces are not finite numbers")
        # some optimisers announce a structure twice
        if anew or self.last is None or (self.last.positions != self.atoms.positions).any():
            self.energies.append(energy)
            self.max_forces.append(float(np.linalg.norm(forces, axis=1).max(initial=0.0)))
            self.keep()
            if self.trajectory is not None:
                self.trajectory.write(self.last)
            if self.callback is not None:
                self.callback(len(self.energies) - 1, energy, self.max_forces[-1])

    def keep(self) -> None:
        """Make the atoms as they are, with their results, the last structure."""
        self.last = frozen(self.atoms)
        self.last.info = copy.deepcopy(self._info)

    @functools.cached_property
    def _info(self) -> dict[str, Any]:
        """Of all structures: what is computed is the same in every step."""
        return info_of_results(self.atoms, self.calc)

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return len(self.energies) - 1

    def outcome(self, config: RelaxConfig) -> RelaxResult | None:
        """The result, if it is done."""
        if not self.energies:
            return None
        if self.max_forces[-1] <= config.fmax:
            return self.result(config, True, f"converged in {self.steps} steps")
        return self.given_up(config) if self.steps >= config.max_steps else None

    def given_up(self, config: RelaxConfig) -> RelaxResult:
        """The result when there are no more steps."""
        message = (
            f"not converged in {config.max_steps} steps: largest force "
            f"{self.max_forces[-1]:.3g} eV/Angstrom, asked for {config.fmax:g}"
        )
        return self.result(config, False, message)

    def stopped(self, config: RelaxConfig, error: Exception) -> RelaxResult:
        """The result when a later structure could not be computed."""
        return self.result(config, False, f"stopped after step {self.steps}: {error}")

    def interrupted(self, config: RelaxConfig) -> RelaxResult:
        """The result after Ctrl-C."""
        return self.result(config, False, f"interrupted after step {self.steps}")

    def result(self, config: RelaxConfig, converged: bool, message: str) -> RelaxResult:
        assert self.last is not None
        return RelaxResult(self.last, converged, message, self.energies, self.max_forces, config)


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
        from .relax_many import relax_many

        if trajectory is not None or callback is not None:
            raise InputError(
                "a trajectory or callback is for one molecule: relax_many has done= and step="
            )
        return relax_many(atoms, calc, config, checkpoint=checkpoint)
    from .relax_in_turn import InTurn

    alone = InTurn([atoms], calc, config or RelaxConfig(), checkpoint)
    result = alone.relax(0, trajectory=trajectory, callback=callback)
    alone.finish()
    return result
