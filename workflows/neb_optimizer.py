"""Quasi-Newton steps for the forces of a band, which are those of no energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.optimize.optimize import Optimizer

from .neb_band import Band

SOFTEST = 2.0
"""eV/Angstrom^2; no direction of the band is taken for softer than this."""
START = 70.0
"""eV/Angstrom^2; all curvatures at first, as in ASE's BFGS."""


class BandBFGS(Optimizer):
    """BFGS with steps that stay sensible where the Hessian is not.

    Forces of a band derive from no energy: tangents turn and springs change between two steps, so
    that the updated Hessian gets eigenvalues near zero.  ASE's BFGS divides forces by them, and
    then shortens the whole step until the longest displacement fits: it follows noise, and stalls
    in all other directions.  Here curvatures count as ``SOFTEST`` at least, and a step that is too
    long is shortened by adding the same number to all of them, which takes from the soft directions
    first (Levenberg, Quart. Appl. Math. 2 (1944) 164; Marquardt, J. SIAM 11 (1963) 431).

    Parameters
    ----------
    atoms : ase.mep.NEB
    maxstep : float
        Largest displacement of an atom in one step, Angstrom.
    """

    def __init__(self, atoms: Any, *, maxstep: float, logfile: Any = None) -> None:
        super().__init__(atoms, logfile=logfile)
        self.maxstep = maxstep

    def initialize(self) -> None:
        """Forget everything (called by ASE)."""
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def learn(self) -> tuple[np.ndarray, np.ndarray]:
        """Update the curvatures; returns positions and forces (3n,) where the images are."""
        forces, positions = self.atoms.get_forces().ravel(), self.atoms.get_positions().ravel()
        if self.last is None:
            self.hessian = START * np.eye(len(forces))
        else:
            self._update(positions - self.last[0], self.last[1] - forces)
        self.last = positions, forces
        return self.last

    def step(self, *_: Any) -> None:
        """Move the images."""
        positions, forces = self.learn()
        moved = positions + self._displacement(forces)
        self.atoms.set_positions(moved.reshape(-1, 3))

    def _update(self, moved: np.ndarray, change: np.ndarray) -> None:
        product, image = moved @ change, self.hessian @ moved
        if np.abs(moved).max() > 1e-7 and product:  # Angstrom
            self.hessian += np.outer(change, change) / product
            self.hessian -= np.outer(image, image) / (moved @ image)

    def _displacement(self, forces: np.ndarray) -> np.ndarray:
        """Displacements (3n,) for forces (3n,), Angstrom."""
        curvatures, directions = np.linalg.eigh(self.hessian)
        curvatures = np.maximum(np.abs(curvatures), SOFTEST)
        along = forces @ directions

        def step(shift: float) -> np.ndarray:
            return directions @ (along / (curvatures + shift))

        def too_long(shift: float) -> bool:
            return bool(np.linalg.norm(step(shift).reshape(-1, 3), axis=1).max() > self.maxstep)

        if not too_long(0.0):
            return step(0.0)
        # no atom goes further than the length of all forces divided by the shift
        low, high = 0.0, float(np.linalg.norm(forces)) / self.maxstep
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if too_long(middle) else (low, middle)
        return step(high)


def replay(
    optimizer: Optimizer, band: Band, history: Sequence[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Bring an optimiser of a band where it was when it had taken these steps.

    It knows then what it knew, whichever it is, and takes the same next step.

    Parameters
    ----------
    history : sequence of pairs of ((images - 2) * atoms, 3) arrays
        Positions (Angstrom) and forces of the band (eV/Angstrom) before every step, in order; the
        last are those of the next one.
    """
    *past, present = history
    for positions, forces in past:
        band.recall(positions, forces)
        if isinstance(optimizer, BandBFGS):
            optimizer.learn()  # where to go from there costs much more, and is known
        else:
            optimizer.step()  # type: ignore[attr-defined]
    band.recall(*present)
