"""From a saddle point down both sides: the intrinsic reaction coordinate.

Steepest descent in mass-weighted coordinates with the local quadratic approximation of Page and
McIver, J. Chem. Phys. 88 (1988) 922, its Hessian updated as Bofill, J. Comput. Chem. 15 (1994) 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.optimize import brentq

from .computed import frozen, largest_force
from .many import Many


@dataclasses.dataclass
class _Side:
    """One side of the saddle point, in mass-weighted coordinates (3A,), Angstrom u^(1/2)."""

    atoms: Atoms
    hessian: np.ndarray
    before: tuple[np.ndarray, np.ndarray]
    path: list[Atoms] = dataclasses.field(default_factory=list)
    done: bool = False


def irc(
    saddle: Atoms,
    mode: np.ndarray,
    hessian: np.ndarray,
    many: Many,
    *,
    step: float,
    max_steps: int,
    fmax: float,
    known: Sequence[Sequence[Atoms]] = ((), ()),
    callback: Callable[[int, list[list[Atoms]]], None] | None = None,
) -> list[list[Atoms]]:
    """Follow the reaction coordinate down both sides; an iteration is one batch of two.

    Parameters
    ----------
    saddle : ase.Atoms
    mode : (A, 3) array
        Cartesian displacement along the imaginary mode, Angstrom; its length does not matter.
    hessian : (3A, 3A) array
        At the saddle point, eV/Angstrom^2.
    step : float
        Length of a step in mass-weighted coordinates, Angstrom u^(1/2).
    fmax : float
        A side ends where the largest force is smaller and no longer grows, or where the energy no
        longer falls.
    known : two sequences of ase.Atoms
        First structures of either side, of an earlier run with the same arguments: they are not
        computed again, and the Hessian is updated with them as it was then.
    callback : callable, optional
        Called with (step, structures on either side so far) after every step that was computed.

    Returns
    -------
    list of two lists of ase.Atoms
        Structures on either side with energy and forces, the first one a step from the top.
    """
    root = np.sqrt(np.repeat(saddle.get_masses(), 3))
    weighted = hessian / np.outer(root, root)
    start = root * mode.ravel() / np.linalg.norm(root * mode.ravel())
    top = (root * saddle.positions.ravel(), np.zeros_like(root))
    sides = [_Side(saddle.copy(), weighted, top) for _ in range(2)]
    for side, sign in zip(sides, (1.0, -1.0), strict=True):
        side.atoms.set_constraint()
        side.atoms.positions += (sign * step * start / root).reshape(-1, 3)
    for count in range(max_steps):
        going = [k for k, side in enumerate(sides) if not side.done]
        if not going:
            break
        new = [k for k in going if count >= len(known[k])]
        for k in going:
            if k not in new:
                _recall(sides[k].atoms, known[k][count])
        if new:
            many([sides[k].atoms for k in new], new)
        for k in going:
            _advance(sides[k], root, step, fmax)
        if new and callback is not None:
            callback(count + 1, [side.path for side in sides])
    return [side.path for side in sides]


def _recall(atoms: Atoms, known: Atoms) -> None:
    atoms.positions = known.positions
    atoms.calc = SinglePointCalculator(atoms, **known.calc.results)


def _advance(side: _Side, root: np.ndarray, step: float, fmax: float) -> None:
    forces, energy = side.atoms.get_forces(), side.atoms.get_potential_energy()
    if side.path and energy > side.path[-1].get_potential_energy():
        side.done = True
        return
    side.path.append(frozen(side.atoms))
    # on the flat top forces are small, too, but grow
    if len(side.path) > 3 and largest_force(side.path[-1]) < min(
        fmax, largest_force(side.path[-2])
    ):
        side.done = True
        return
    x, gradient = side.atoms.positions.ravel() * root, -forces.ravel() / root
    moved, change = x - side.before[0], gradient - side.before[1]
    side.hessian = side.hessian + bofill(side.hessian, moved, change)
    side.before = (x, gradient)
    there = x + quadratic_step(gradient, side.hessian, step)
    side.atoms.positions = (there / root).reshape(-1, 3)


def quadratic_step(gradient: np.ndarray, hessian: np.ndarray, length: float) -> np.ndarray:
    """Steepest descent of this length on a quadratic surface; shorter if that has a minimum."""
    values, vectors = np.linalg.eigh(hessian)
    along = vectors.T @ gradient

    def move(log_time: float) -> np.ndarray:
        exponent = values * np.exp(log_time)
        small = np.abs(exponent) < 1e-8
        safe = np.where(small, 1.0, values)
        factor = np.where(small, np.exp(log_time), -np.expm1(-np.minimum(exponent, 700.0)) / safe)
        return -factor * along

    def excess(log_time: float) -> float:
        return float(np.linalg.norm(move(log_time)) - length)

    low = float(np.log(1e-3 * length / max(np.linalg.norm(gradient), 1e-12)))
    high = low
    while excess(high) < 0.0 and high < low + 25.0:
        high += 0.5
    time = brentq(excess, low, high) if excess(high) > 0.0 else high
    return vectors @ move(time)


def bofill(hessian: np.ndarray, moved: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Update of a Hessian from the change of the gradient: symmetric rank one and Powell, mixed."""
    error = change - hessian @ moved
    square, overlap = moved @ moved, error @ moved
    if square < 1e-16 or error @ error < 1e-24:
        return np.zeros_like(hessian)
    share = overlap**2 / (square * (error @ error))
    rank_one = np.outer(error, error) * overlap / (error @ error) / square
    both = np.outer(error, moved)
    powell = (both + both.T) / square - overlap * np.outer(moved, moved) / square**2
    return rank_one + (1.0 - share) * powell
