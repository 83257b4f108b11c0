"""Transition states: a saddle point of first order, its modes, and what it connects."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate

from ase_mlseqm import MLSEQM
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms

from .activation import Activation, activation
from .hessians import second_derivatives
from .irc import irc
from .many import Many
from .normal_modes import normal_modes
from .relax import RelaxConfig, frozen, relax
from .ts_config import IMAGINARY, Minimum, TSConfig, TSResult
from .ts_ends import assigned, bonds, distance
from .vibrations import harmonic

__all__ = ["Activation", "Minimum", "TSConfig", "TSResult", "bonds", "distance", "ts"]


def ts(
    guess: Atoms,
    calc: BaseCalculator,
    config: TSConfig | None = None,
    *,
    reactant: Atoms | None = None,
    product: Atoms | None = None,
    callback: Callable[[str], None] | None = None,
) -> TSResult:
    """Refine a transition state, verify it, find what it connects, and the barriers to it.

    Parameters
    ----------
    guess : ase.Atoms
        Near the transition state, such as the top of a path; not changed.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator.
    config : TSConfig, optional
    reactant, product : ase.Atoms, optional
        Minima that it should connect, their atoms in the same order.  Without the reaction
        coordinate (``irc=False``) the barriers are those from them.
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
    top = harmonic(atoms, calc)
    count = int((top.frequencies < IMAGINARY).sum())
    if count != 1:
        problems.append(f"{count} imaginary modes instead of one")
    minima: list[Minimum] = []
    connects = None
    if config.irc and count >= 1:
        paths = irc(
            atoms,
            top.modes[0],
            top.hessian,
            Many(calc),
            step=config.irc_step,
            max_steps=config.irc_steps,
            fmax=10 * config.ends_fmax,
            callback=lambda step: say(f"reaction coordinate, step {step}"),
        )
        say("minima")
        minima = [_minimum((path or [atoms])[-1], path, calc, config) for path in paths]
        if reactant is not None and product is not None:
            minima, connects = assigned(minima, reactant, product)
            if not connects:
                problems.append("it does not connect the reactant with the product")
    elif not config.irc and reactant is not None and product is not None:
        say("minima")
        minima = [_minimum(end, [], calc, config) for end in (reactant, product)]
    names = ("reactant", "product")
    if config.irc and not connects:
        names = ("first minimum", "second minimum")
    problems += [
        f"the {name} is not relaxed to a minimum"
        for name, minimum in zip(names, minima, strict=False)
        if not minimum.converged
    ]
    barriers = None
    if minima and count == 1 and not atoms.pbc.any():
        ends = [minimum.vibrations for minimum in minima]
        barriers = activation(top, ends, config.temperature, config.pressure, names)
    message = "; ".join(problems) or f"refined in {steps} steps, one imaginary mode"
    return TSResult(atoms, not problems, message, steps, top, minima, connects, barriers, config)


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


def _minimum(start: Atoms, path: list[Atoms], calc: BaseCalculator, config: TSConfig) -> Minimum:
    calc.reset()
    found = relax(start, calc, RelaxConfig(fmax=config.ends_fmax))
    bottom = harmonic(found.atoms, calc)
    converged = found.converged and bool((bottom.frequencies > IMAGINARY).all())
    return Minimum(found.atoms, converged, bottom, path)
