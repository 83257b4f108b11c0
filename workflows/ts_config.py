"""Settings and result of a transition state."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, choose, require_not_negative, require_positive, whole

from .activation import Activation
from .normal_modes import IMAGINARY
from .vibrations_config import VibrationsResult

REFINERS = ("auto", "sella", "dimer")


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
    irc_steps: int = 500
    """Largest number of these steps on either side."""
    ends_fmax: float = 0.005
    """Largest force on any atom of the minima that are found, eV/Angstrom."""
    temperature: float = 298.15
    """Temperature of the enthalpies and Gibbs energies of activation, K."""
    pressure: float = 101325.0
    """Pressure of their ideal gases, Pa."""
    symmetry_numbers: tuple[int, ...] = ()
    """Rotational symmetry numbers of the transition state, the first minimum and the second, in the
    order of the result; default: found by pymatgen."""

    def __post_init__(self) -> None:
        numbers: Any = self.symmetry_numbers
        try:
            given = tuple(whole("symmetry_numbers", number) for number in numbers)
            if given and (len(given) != 3 or min(given) < 1):
                raise InputError
        except (InputError, TypeError):
            raise InputError(
                f"symmetry_numbers are {_listed(numbers)}: give three, of the transition state and "
                "of both minima, each 1 or more"
            ) from None
        object.__setattr__(self, "symmetry_numbers", given)
        check_types(self)
        choose(self, "refiner", REFINERS)
        require_positive(self, "fmax", "irc_step", "ends_fmax", "temperature", "pressure")
        require_not_negative(self, "max_steps")
        if self.irc_steps < 1:
            raise InputError(
                f"irc_steps is {self.irc_steps}: give 1 or more, or leave the reaction coordinate "
                "out (irc=False, --no-irc)"
            )


def _listed(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list | tuple) else repr(values)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """What lies at the foot of one side.

    Attributes
    ----------
    atoms : ase.Atoms
        The minimum, with energy and forces.
    converged : bool
        Whether it is relaxed, and a minimum.
    vibrations : VibrationsResult
    path : list of ase.Atoms
        The reaction coordinate down to it, from the top; empty where it was not followed.
    """

    atoms: Atoms
    converged: bool
    vibrations: VibrationsResult
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
    steps : int
        Of the refinement.
    vibrations : VibrationsResult
        Frequencies in cm-1, imaginary ones negative.
    minima : list of Minimum
        On either side; the one of the reactant first.  Without the reaction coordinate the
        reactant and the product, relaxed, if they were given.
    connects : bool or None
        Whether they are the reactant and the product (see :func:`~.ts_ends.assigned`); None when
        these were not given or the reaction coordinate not followed.
    activation : Activation or None
        Barriers with zero-point and thermal corrections; None without minima, and with a number of
        imaginary modes other than one.
    config : TSConfig
    remarks : tuple of str
        What is odd about the minima, whether it converged or not; in the message, too.
    """

    atoms: Atoms
    converged: bool
    message: str
    steps: int
    vibrations: VibrationsResult
    minima: list[Minimum]
    connects: bool | None
    activation: Activation | None
    config: TSConfig
    remarks: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[str, str]:
        """What lies on the sides of the barriers: reactant and product, or the first minimum and
        the second where it is not known that they are these."""
        if self.connects or not any(minimum.path for minimum in self.minima):
            return "reactant", "product"
        return "first minimum", "second minimum"

    @property
    def energy(self) -> float:
        """Energy, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def imaginary(self) -> np.ndarray:
        """Imaginary frequencies, cm-1, as negative numbers."""
        return self.vibrations.frequencies[self.vibrations.frequencies < IMAGINARY]

    @property
    def barriers(self) -> list[float]:
        """Above either minimum, eV."""
        return [self.energy - float(m.atoms.get_potential_energy()) for m in self.minima]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; energies in eV, frequencies in cm-1, positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "energy": self.energy,
            "frequencies": self.vibrations.frequencies.tolist(),
            "imaginary": self.imaginary.tolist(),
            "zero_point_energy": self.vibrations.zero_point_energy,
            "barriers": self.barriers,
            "activation": None if self.activation is None else self.activation.to_dict(),
            "connects": self.connects,
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "minima": [m.atoms.positions.tolist() for m in self.minima],
            "config": dataclasses.asdict(self.config),
        }
