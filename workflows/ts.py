"""Transition states: a saddle point of first order, its modes, and what it connects."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.data import covalent_radii
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate

from ase_mlseqm import MLSEQM
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import require_not_negative, require_positive
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import second_derivatives
from .irc import irc
from .many import Many
from .neb import align
from .normal_modes import NormalModes, normal_modes
from .relax import RelaxConfig, frozen, relax

REFINERS = ("auto", "sella", "dimer")
IMAGINARY = -20.0
"""cm-1; softer imaginary modes are what an imperfect geometry leaves."""
BOND = 1.25
"""A bond is shorter than this times the sum of the covalent radii."""


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


def ts(
    guess: Atoms,
    calc: BaseCalculator,
    config: TSConfig | None = None,
    *,
    reactant: Atoms | None = None,
    product: Atoms | None = None,
    callback: Callable[[str], None] | None = None,
) -> TSResult:
    """Refine a transition state, verify it, and find what it connects.

    Parameters
    ----------
    guess : ase.Atoms
        Near the transition state, such as the top of a path; not changed.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator.
    config : TSConfig, optional
    reactant, product : ase.Atoms, optional
        Minima that it should connect, their atoms in the same order.
    callback : callable, optional
        Called with a sentence on what is being done.

    Raises
    ------
    InputError
        When Sella is asked for and not installed, or the atoms of the ends differ.
    ase.calculators.calculator.CalculatorError
        When the guess or a displaced structure cannot be computed.
    """
    guess = as_atoms(guess)
    reactant, product = (x if x is None else as_atoms(x) for x in (reactant, product))
    config = config or TSConfig()
    for end in (reactant, product):
        if end is not None and not np.array_equal(end.numbers, guess.numbers):
            raise InputError("the ends do not have the atoms of the guess in the same order")
    if len(guess) < 3:
        raise InputError(f"{len(guess)} atoms have no transition state: give three or more")
    say = callback or (lambda sentence: None)
    problems: list[str] = []
    refiner = _refiner(config)
    calc.reset()
    say(f"refinement with {refiner}")
    atoms, steps = _refine(guess, calc, config, refiner)
    largest = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    if largest > config.fmax:
        problems.append(
            f"not refined in {steps} steps: largest force {largest:.3g} eV/Angstrom, asked for "
            f"{config.fmax:g}"
        )
    say("Hessian")
    hessian = second_derivatives(atoms, calc).hessian
    modes = normal_modes(hessian, atoms.positions, atoms.get_masses())
    count = int((modes.frequencies < IMAGINARY).sum())
    if count != 1:
        problems.append(f"{count} imaginary modes instead of one")
    minima: list[Minimum] = []
    connects = None
    if config.irc and count >= 1:
        minima = _minima(atoms, modes.modes[0], hessian, calc, config, say)
        problems += [
            f"the minimum on side {k} is not relaxed"
            for k, minimum in enumerate(minima)
            if not minimum.converged
        ]
        if reactant is not None and product is not None:
            minima, connects = _assigned(minima, reactant, product)
            if not connects:
                problems.append("it does not connect the reactant with the product")
    message = "; ".join(problems) or f"refined in {steps} steps, one imaginary mode"
    return TSResult(atoms, not problems, message, steps, modes, minima, connects, config)


def _refiner(config: TSConfig) -> str:
    found = importlib.util.find_spec("sella") is not None
    if config.refiner == "sella" and not found:
        raise InputError("Sella is not installed: pip install 'ase-mlseqm[ts]', or use the dimer")
    return ("sella" if found else "dimer") if config.refiner == "auto" else config.refiner


def _refine(
    guess: Atoms, calc: BaseCalculator, config: TSConfig, refiner: str
) -> tuple[Atoms, int]:
    """The saddle point nearby, with its results, and the steps to it."""
    work = guess.copy()
    work.calc = calc
    work.get_forces()
    if refiner == "sella":
        from sella import Sella  # takes seconds

        keywords = {"hessian_function": calc.get_hessian} if isinstance(calc, MLSEQM) else {}
        optimizer = Sella(work, order=1, internal=False, logfile=None, **keywords)
    else:
        hessian = second_derivatives(work, calc).hessian
        mode = normal_modes(hessian, work.positions, work.get_masses()).modes[0]
        control = DimerControl(logfile=None, eigenmode_logfile=None, f_rot_min=0.01, f_rot_max=0.1)
        optimizer = MinModeTranslate(MinModeAtoms(work, control, eigenmodes=[mode]), logfile=None)
    optimizer.run(fmax=config.fmax, steps=config.max_steps)
    work.calc = calc
    work.get_forces()
    return frozen(work), int(optimizer.nsteps)


def _minima(
    atoms: Atoms,
    mode: np.ndarray,
    hessian: np.ndarray,
    calc: BaseCalculator,
    config: TSConfig,
    say: Callable[[str], None],
) -> list[Minimum]:
    paths = irc(
        atoms,
        mode,
        hessian,
        Many(calc),
        step=config.irc_step,
        max_steps=config.irc_steps,
        fmax=10 * config.ends_fmax,
        callback=lambda step: say(f"reaction coordinate, step {step}"),
    )
    minima = []
    for path in paths:
        say("minima")
        calc.reset()
        found = relax((path or [atoms])[-1], calc, RelaxConfig(fmax=config.ends_fmax))
        bottom = found.atoms
        second = second_derivatives(bottom, calc).hessian
        modes = normal_modes(second, bottom.positions, bottom.get_masses())
        converged = found.converged and bool((modes.frequencies > IMAGINARY).all())
        minima.append(Minimum(bottom, converged, zero_point(modes), path))
    return minima


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of bonded atoms by distance, the smaller number first."""
    radii = covalent_radii[atoms.numbers]
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    first, second = np.nonzero(np.triu(distances < BOND * (radii[:, None] + radii), 1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def distance(atoms: Atoms, other: Atoms) -> float:
    """Root-mean-square distance of aligned structures, Angstrom."""
    moved = atoms.copy()
    moved.set_constraint()
    align(moved, other)
    return float(np.sqrt(((moved.positions - other.positions) ** 2).sum(1).mean()))


def _assigned(minima: list[Minimum], reactant: Atoms, product: Atoms) -> tuple[list[Minimum], bool]:
    """The minima, that of the reactant first, and whether they are reactant and product.

    Bonds decide; where both ends have the same, as conformers, the one that is closer.
    """
    ends = (reactant, product)

    def fits(order: list[Minimum]) -> bool:
        if any(bonds(m.atoms) != bonds(end) for m, end in zip(order, ends, strict=True)):
            return False
        if bonds(reactant) != bonds(product):
            return True
        near = [distance(m.atoms, end) for m, end in zip(order, ends, strict=True)]
        far = [distance(m.atoms, end) for m, end in zip(order, ends[::-1], strict=True)]
        return near[0] < far[0] and near[1] < far[1]

    for order in (minima, minima[::-1]):
        if fits(order):
            return order, True
    return minima, False
