"""Settings and result of a relaxation."""

from __future__ import annotations

import dataclasses
from typing import Any

from ase import Atoms

from ase_mlseqm.options import check_types, choose, require_not_negative, require_positive

OPTIMIZERS = ("BFGS", "LBFGS", "FIRE", "BFGSLineSearch")


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
