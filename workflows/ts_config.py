"""Settings and result of a transition state."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms, units

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import require_not_negative, require_positive

from .normal_modes import NormalModes

REFINERS = ("auto", "sella", "dimer")
IMAGINARY = -20.0
"""cm-1; softer imaginary modes are what an imperfect geometry leaves."""


@dataclasses.dataclass(frozen=True)
class TSConfig:
    """Settings of a transition state."""

    refiner: str = "auto"
    """sella, dimer, or auto: Sella if it is installed."""
    fmax: float = 0.005
    """Largest force on any atom of the transition state, eV/Angstrom."""
    max_steps: int = 300
    """Steps of the refinement after which it is given up."""
    irc: bool = True
    """Whether the imaginary mode is followed down both sides."""
    irc_step: float = 0.05
    """Step of the reaction coordinate, Angstrom u^(1/2)."""
    irc_steps: int = 200
    """Largest number of these steps on either side."""
    ends_fmax: float = 0.005
    """Largest force on any atom of the minima that are found, eV/Angstrom."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "refiner", self.refiner.lower())
        if self.refiner not in REFINERS:
            raise InputError(
                f"unknown refiner {self.refiner!r}: choose one of {', '.join(REFINERS)}"
            )
        require_positive(self, "fmax", "irc_step", "ends_fmax")
        require_not_negative(self, "max_steps", "irc_steps")


@dataclasses.dataclass(frozen=True)
class Minimum:
    """What lies at the foot of one side.

    Attributes
    ----------
    atoms : ase.Atoms
        The minimum, with energy and forces.
    converged : bool
        Whether it is relaxed.
    zero_point : float
        Energy of its vibrations, eV.
    path : list of ase.Atoms
        The reaction coordinate down to it, from the top.
    """

    atoms: Atoms
    converged: bool
    zero_point: float
    path: list[Atoms]


@dataclasses.dataclass(frozen=True)
class TSResult:
    """A transition state.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure, with energy (eV) and forces (eV/Angstrom).
    converged : bool
        Whether its forces are small, it has exactly one imaginary mode, and, where that was asked
        for, both sides were followed and end in the reactant and the product.
    message : str
        How it ended, and what is wrong with it.
    modes : NormalModes
        Frequencies in cm-1, imaginary ones negative.
    minima : list of Minimum
        On either side; the one of the reactant first.  Empty without the reaction coordinate.
    connects : bool or None
        Whether they are the reactant and the product; None when these were not given.
    config : TSConfig
    """

    atoms: Atoms
    converged: bool
    message: str
    steps: int
    modes: NormalModes
    minima: list[Minimum]
    connects: bool | None
    config: TSConfig

    @property
    def energy(self) -> float:
        """Energy, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def imaginary(self) -> np.ndarray:
        """Imaginary frequencies, cm-1, as negative numbers."""
        return self.modes.frequencies[self.modes.frequencies < IMAGINARY]

    @property
    def zero_point(self) -> float:
        """Energy of its real vibrations, eV."""
        return zero_point(self.modes)

    @property
    def barriers(self) -> list[float]:
        """Above either minimum, eV."""
        return [self.energy - float(m.atoms.get_potential_energy()) for m in self.minima]

    @property
    def barriers_zero_point(self) -> list[float]:
        """The same with zero-point energies, eV."""
        pairs = zip(self.barriers, self.minima, strict=True)
        return [barrier + self.zero_point - minimum.zero_point for barrier, minimum in pairs]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; energies in eV, frequencies in cm-1, positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "energy": self.energy,
            "frequencies": self.modes.frequencies.tolist(),
            "imaginary": self.imaginary.tolist(),
            "zero_point": self.zero_point,
            "barriers": self.barriers,
            "barriers_zero_point": self.barriers_zero_point,
            "connects": self.connects,
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "minima": [m.atoms.positions.tolist() for m in self.minima],
            "config": dataclasses.asdict(self.config),
        }


def zero_point(modes: NormalModes) -> float:
    """Half the sum of the real frequencies, eV."""
    return float(0.5 * units.invcm * modes.frequencies[modes.frequencies > 0].sum())
