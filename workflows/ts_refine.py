"""From a guess to the saddle point nearby: Sella, or the dimer of ASE."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculationFailed, CalculatorError
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate

from ase_mlseqm.calculator import batched
from ase_mlseqm.errors import InputError

from .computed import frozen, largest_force
from .hessians import second_derivatives
from .normal_modes import normal_modes
from .ts_checkpoint import Checkpoint
from .ts_config import TSConfig


def chosen_refiner(config: TSConfig) -> str:
    """sella or dimer.

    Raises
    ------
    InputError
        When Sella is asked for and not installed.
    """
    found = importlib.util.find_spec("sella") is not None
    if config.refiner == "sella" and not found:
        raise InputError("Sella is not installed: pip install 'ase-mlseqm[ts]', or use the dimer")
    return ("sella" if found else "dimer") if config.refiner == "auto" else config.refiner


def refine(
    guess: Atoms, calc: BaseCalculator, config: TSConfig, refiner: str, kept: Checkpoint
) -> Atoms:
    """The saddle point nearby, with its results; from where ``kept`` is, which gets every step.

    Raises
    ------
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed, or the refiner breaks down.
    """
    known = kept.known
    work = guess.copy()
    if known.positions is not None:
        work.positions = known.positions
    work.calc = calc
    work.get_forces()
    try:
        # Sella judges forces without what was a rotation where it began; far from there it can be
        # content while they are large, and begins anew
        while not known.refined and known.steps < config.max_steps:
            before = known.steps
            _climb(work, calc, config, refiner, kept)
            known.refined = largest_force(work) <= config.fmax
            if known.steps == before:
                break
    except CalculatorError:
        raise
    except (np.linalg.LinAlgError, RuntimeError) as error:  # of Sella, where it is lost
        raise CalculationFailed(f"{refiner} broke down in step {known.steps}: {error}") from error
    work.calc = calc
    work.get_forces()
    return frozen(work)


def _climb(
    work: Atoms, calc: BaseCalculator, config: TSConfig, refiner: str, kept: Checkpoint
) -> None:
    """One run of the refiner, which changes ``work``, until it is content or out of steps."""
    known = kept.known
    before = known.steps
    dimer = None if refiner == "sella" else _dimer(work, calc, kept)
    optimizer = _sella(work, calc) if dimer is None else MinModeTranslate(dimer, logfile=None)

    def step() -> None:
        known.steps = before + int(optimizer.nsteps)
        known.positions = work.positions.copy()
        if dimer is not None:
            known.mode = dimer.get_eigenmode().copy()
        kept.write()

    optimizer.attach(step)
    optimizer.run(fmax=config.fmax, steps=config.max_steps - before)


def _sella(atoms: Atoms, calc: BaseCalculator) -> Any:
    from sella import Sella  # takes seconds

    keywords = {"hessian_function": calc.get_hessian} if batched(calc) else {}
    return Sella(atoms, order=1, internal=False, logfile=None, **keywords)


def _dimer(atoms: Atoms, calc: BaseCalculator, kept: Checkpoint) -> MinModeAtoms:
    mode = kept.known.mode
    if mode is None:
        hessian = second_derivatives(atoms, calc, cache=kept.hessians).hessian
        mode = normal_modes(hessian, atoms.positions, atoms.get_masses()).modes[0]
    control = DimerControl(logfile=None, eigenmode_logfile=None, f_rot_min=0.01, f_rot_max=0.1)
    return MinModeAtoms(atoms, control, eigenmodes=[mode])
