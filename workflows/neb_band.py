"""The nudged elastic band: forces on a chain of images, all of them computed at once.

Improved tangents: Henkelman, Jonsson, J. Chem. Phys. 113 (2000) 9978.  Climbing image, and springs
that are stiffer the higher the images: Henkelman, Uberuaga, Jonsson, ibid. 9901.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB

from .geometry import align
from .many import Many
from .neb_config import NEBConfig
from .neb_path import free


class Band(NEB):
    """ASE's band, of which all inner images are computed at once."""

    def __init__(self, images: list[Atoms], many: Many, config: NEBConfig) -> None:
        super().__init__(images, k=config.spring, method="improvedtangent")
        self.springs = config.spring_low, config.spring
        self.many = many
        self.free = free(images[0], many.calc)
        self.last_forces = self.computed_at = np.empty((0, 3))
        self._climbed: bool | None = self.climb

    def take(self) -> None:
        """Take the results that all images have: nothing is computed where they are."""
        self.computed_at, self._climbed = self.get_positions(), None
        self._set_springs()

    def recall(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Put the images where they were once, with the forces that the band had there.

        Parameters
        ----------
        positions, forces : ((images - 2) * atoms, 3) arrays
            Angstrom and eV/Angstrom.
        """
        places = positions.reshape(self.nimages - 2, -1, 3)
        for image, place in zip(self.images[1:-1], places, strict=True):
            image.positions = place
        self.computed_at, self.last_forces, self._climbed = positions, forces, self.climb

    def get_forces(self) -> np.ndarray:
        """Forces of the band ((images - 2) * atoms, 3), eV/Angstrom."""
        moved = not np.array_equal(self.computed_at, self.get_positions())
        if moved:
            if self.free:
                self._align()
            # the ends do not change
            inner = range(1, len(self.images) - 1) if len(self.computed_at) else range(self.nimages)
            self.many([self.images[k] for k in inner], inner)
            self.computed_at = self.get_positions()  # optimisers ask three times
            self._set_springs()
        if moved or self.climb != self._climbed:
            self.last_forces, self._climbed = super().get_forces(), self.climb
        return self.last_forces

    def _set_springs(self) -> None:
        self.k = spring_constants([a.get_potential_energy() for a in self.images], *self.springs)

    def _align(self) -> None:
        """Turn every image onto the one before, and the forces of the last with it."""
        end = self.images[-1]
        known = dict(end.calc.results) if len(self.computed_at) else {}
        for before, image in itertools.pairwise(self.images):
            turn = align(image, before)
        if known:
            known["forces"] = known["forces"] @ turn
            end.calc = SinglePointCalculator(end, **known)


def spring_constants(energies: Sequence[float], low: float, high: float) -> list[float]:
    """Constants of the springs between neighbours: ``high`` at the top, ``low`` below the ends."""
    reference, top = max(energies[0], energies[-1]), max(energies)
    rise = max(top - reference, 1e-6)  # eV; a path without a barrier has weak springs
    return [
        low + (high - low) * max(0.0, (max(pair) - reference) / rise)
        for pair in itertools.pairwise(energies)
    ]
