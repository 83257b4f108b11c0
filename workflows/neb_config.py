"""Settings and result of a reaction path."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms
from ase.utils.forcecurve import ForceFit, fit_images

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, choose, require_not_negative, require_positive

from .geometry import widest_gap

OPTIMIZERS = ("BFGS", "LBFGS", "FIRE")
APART = 5.0
"""Angstrom; parts of a molecule that are further from each other are no longer one."""


@dataclasses.dataclass(frozen=True)
class NEBConfig:
    """Settings of a reaction path."""

    images: int = 9
    """Structures on the path, both ends included."""
    fmax: float = 0.05
    """Largest force of the band on any atom of the converged path, eV/Angstrom."""
    max_steps: int = 500
    """Steps after which the path is given up."""
    spring: float = 10.0
    """Constant of the springs between neighbours at the top, eV/Angstrom^2."""
    spring_low: float = 1.0
    """The same for images below the higher end, eV/Angstrom^2; in between it is linear in the
    energy, so that images gather where the path rises."""
    climb: bool = True
    """Whether the highest image climbs to the top."""
    climb_fmax: float = 0.2
    """Largest force of the band from which on the highest image climbs, eV/Angstrom; on a path
    that is rough it climbs off the path."""
    optimizer: str = "BFGS"
    """BFGS (with steps made for bands), LBFGS or FIRE."""
    max_step_length: float = 0.1
    """Largest displacement of an atom in one step, Angstrom."""
    relax_ends: bool = True
    """Whether reactant and product are relaxed first."""
    ends_fmax: float = 0.01
    """Largest force on any atom of the relaxed ends, eV/Angstrom."""

    def __post_init__(self) -> None:
        check_types(self)
        choose(self, "optimizer", OPTIMIZERS)
        require_positive(
            self, "fmax", "spring", "spring_low", "climb_fmax", "max_step_length", "ends_fmax"
        )
        if self.images < 3:
            raise InputError(f"images is {self.images}: give 3 or more, both ends included")
        require_not_negative(self, "max_steps")


@dataclasses.dataclass(frozen=True)
class NEBResult:
    """A path from reactant to product.

    Attributes
    ----------
    images : list of ase.Atoms
        The structures, each with energy (eV) and forces (eV/Angstrom) attached.
    converged : bool
        Whether the largest force of the band is below ``config.fmax`` and both ends are relaxed.
    message : str
        How it ended, and what is wrong with it.
    steps : int
        Steps that were taken, those of earlier runs of the same path included.
    max_force : float
        Largest force of the band on any atom, eV/Angstrom.
    config : NEBConfig
    """

    images: list[Atoms]
    converged: bool
    message: str
    steps: int
    max_force: float
    config: NEBConfig

    @property
    def energies(self) -> np.ndarray:
        """Energies of the images, eV."""
        return np.array([image.get_potential_energy() for image in self.images])

    @property
    def top(self) -> int:
        """Number of the highest image, which may be an end."""
        return int(np.argmax(self.energies))

    @property
    def barrier(self) -> float:
        """Highest image above the reactant, eV; without zero-point energy."""
        return float(self.energies.max() - self.energies[0])

    @property
    def reverse_barrier(self) -> float:
        """Highest image above the product, eV."""
        return float(self.energies.max() - self.energies[-1])

    @property
    def reaction_energy(self) -> float:
        """Product above the reactant, eV."""
        return float(self.energies[-1] - self.energies[0])

    @property
    def intermediates(self) -> list[int]:
        """Inner images 0.02 eV below both neighbours or more: the path has several steps."""
        e = self.energies
        inner = range(1, len(e) - 1)
        return [k for k in inner if e[k] < min(e[k - 1], e[k + 1]) - 0.02]

    @property
    def apart(self) -> list[int]:
        """Images of molecules that fall apart, the ends included."""
        if self.images[0].pbc.any():
            return []
        return [k for k, atoms in enumerate(self.images) if widest_gap(atoms.positions) > APART]

    @property
    def remarks(self) -> list[str]:
        """What is odd about the path, whether it converged or not."""
        out = []
        if self.apart:
            where = ", ".join(map(str, self.apart))
            gap = max(widest_gap(self.images[k].positions) for k in self.apart)
            out.append(
                f"the molecule falls apart at image {where}, where parts are {gap:.1f} Angstrom "
                "from the others"
            )
        if self.top in (0, len(self.images) - 1):
            out.append("no image is higher than both ends: there is no barrier on this path")
        if self.intermediates:
            where = ", ".join(map(str, self.intermediates))
            out.append(f"minimum between the ends at image {where}: split the path there")
        return out

    @property
    def fit(self) -> ForceFit:
        """The energies with a spline through them and their slopes; Angstrom and eV."""
        return fit_images(self.images)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; energies in eV, positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "max_force": self.max_force,
            "barrier": self.barrier,
            "reverse_barrier": self.reverse_barrier,
            "reaction_energy": self.reaction_energy,
            "top": self.top,
            "intermediates": self.intermediates,
            "apart": self.apart,
            "path_length": np.asarray(self.fit.path).tolist(),
            "energies": self.energies.tolist(),
            "numbers": self.images[0].numbers.tolist(),
            "positions": [image.positions.tolist() for image in self.images],
            "config": dataclasses.asdict(self.config),
        }
