"""What is known of a relaxation that is under way."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.optimize.optimize import Optimizer

from .computed import frozen
from .relax_config import RelaxConfig, RelaxResult
from .states import info_of_results

StepCallback = Callable[[int, float, float], None]
"""Called with (step, energy in eV, largest force in eV/Angstrom)."""


@dataclasses.dataclass
class History:
    """Observer of an optimiser: what is worth keeping of every step."""

    atoms: Atoms
    calc: BaseCalculator
    config: RelaxConfig
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

    def optimizer(self) -> Optimizer:
        """A new one of ASE, for the steps from here on."""
        kind = getattr(optimize, self.config.optimizer)
        return kind(self.atoms, logfile=None, maxstep=self.config.max_step_length)

    def outcome(self) -> RelaxResult | None:
        """The result, if it is done."""
        if not self.energies:
            return None
        if self.max_forces[-1] <= self.config.fmax:
            return self._result(f"converged in {self.steps} steps", converged=True)
        return self.given_up() if self.steps >= self.config.max_steps else None

    def given_up(self) -> RelaxResult:
        """The result when there are no more steps."""
        return self._result(
            f"not converged in {self.config.max_steps} steps: largest force "
            f"{self.max_forces[-1]:.3g} eV/Angstrom, asked for {self.config.fmax:g}"
        )

    def stopped(self, error: Exception) -> RelaxResult:
        """The result when a later structure could not be computed."""
        return self._result(f"stopped after step {self.steps}: {error}")

    def interrupted(self) -> RelaxResult:
        """The result after Ctrl-C."""
        return self._result(f"interrupted after step {self.steps}")

    def _result(self, message: str, converged: bool = False) -> RelaxResult:
        assert self.last is not None
        return RelaxResult(
            self.last, converged, message, self.energies, self.max_forces, self.config
        )
