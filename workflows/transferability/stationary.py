"""Barriers at the stationary points of a method: refined transition states, relaxed ends, paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.errors import InputError

from ..computed import largest_force
from ..geometry import bonds, distance
from ..neb import NEBConfig, neb
from ..relax import RelaxConfig, relax
from ..several import forget
from ..ts import TSConfig, TSResult, ts
from ..vibrations import VibrationsConfig, vibrations
from .config import TransferabilityConfig

ERRORS = (ValueError, RuntimeError, ArithmeticError)
"""What calculators, optimisers and linear algebra raise where a search goes astray."""
ENDS_FMAX = 0.01
"""Largest force on any atom of relaxed ends, eV/Angstrom."""
ASIDE = 0.1
"""Largest displacement of an atom from a saddle point with further imaginary modes, Angstrom."""


@dataclasses.dataclass(frozen=True)
class Reaction:
    """Structures of a data set, their atoms in the same order."""

    name: str
    reactant: Atoms
    top: Atoms
    product: Atoms | None


@dataclasses.dataclass
class Search:
    """What a method made of a reaction, by quantity ("barrier" or "reaction energy").

    Attributes
    ----------
    energies : dict
        Without zero-point energies, eV.
    zero_point : dict
        What these add, eV; where it was asked for.
    displacements : dict
        Root-mean-square distance from the structures of the data set, Angstrom; of the transition
        state, or the mean of both ends.  Of "search" that of whatever the refinement converged to.
    failures : dict
        Why there is no such energy.
    converged : bool
        Whether the transition state, or the path, has forces below the limit.
    one_mode : bool
        Whether that has exactly one imaginary mode; not known of a path.
    connects : bool or None
        Whether that lies between reactant and product; None where it was not followed.
    top : ase.Atoms, optional
        The transition state.
    """

    energies: dict[str, float] = dataclasses.field(default_factory=dict)
    zero_point: dict[str, float] = dataclasses.field(default_factory=dict)
    displacements: dict[str, float] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)
    converged: bool = False
    one_mode: bool | None = None
    connects: bool | None = None
    top: Atoms | None = None


def refined(
    reaction: Reaction,
    calc: BaseCalculator,
    config: TransferabilityConfig,
    zero_point: Collection[str] = (),
) -> Search:
    """Relax both ends, refine the transition state, and see what it connects.

    A barrier counts where the transition state has one imaginary mode and, if followed, leads to
    reactant and product; an end counts where its bonds are those of the data set.

    Parameters
    ----------
    zero_point : collection of str
        The quantities that get a zero-point energy.
    """
    found = Search(one_mode=False)
    ends: dict[str, Atoms] = {}
    lost: dict[str, str] = {}
    for side, start in (("reactant", reaction.reactant), ("product", reaction.product)):
        try:
            if start is None:
                raise InputError("it has no structure")
            ends[side] = _relaxed(start, calc, config)
        except ERRORS as error:
            lost[side] = f"the {side}: {error}"
    if lost:
        found.failures["reaction energy"] = next(iter(lost.values()))
    else:
        found.energies["reaction energy"] = _energy(ends["product"]) - _energy(ends["reactant"])
        moved = (
            distance(ends["reactant"], reaction.reactant),
            distance(ends["product"], reaction.product),
        )
        found.displacements["reaction energy"] = float(np.mean(moved))
    top = _transition_state(found, reaction, calc, config)
    if top is not None and "reactant" in lost:
        found.failures["barrier"] = lost["reactant"]
    elif top is not None:
        found.energies["barrier"] = _energy(top) - _energy(ends["reactant"])
        found.displacements["barrier"] = distance(top, reaction.top)
    last = {"barrier": top, "reaction energy": ends.get("product")}
    _add_zero_point(found, {name: last[name] for name in zero_point}, ends, calc)
    return found


def along_path(
    reaction: Reaction,
    calc: BaseCalculator,
    config: TransferabilityConfig,
    zero_point: Collection[str] = (),
) -> Search:
    """The barrier on the minimum-energy path between the relaxed ends, by a climbing image.

    ``zero_point`` as in :func:`refined`.
    """
    found = Search()
    settings = NEBConfig(
        images=config.path_images, max_steps=config.path_steps, ends_fmax=ENDS_FMAX
    )
    assert reaction.product is not None
    forget(calc)
    try:
        result = neb(reaction.reactant, reaction.product, calc, settings)
        found.converged = result.converged
        if not result.converged or result.top in (0, len(result.images) - 1):
            raise InputError(result.message)
        _same_bonds(result.images[0], reaction.reactant, "the reactant: ")
        _same_bonds(result.images[-1], reaction.product, "the product: ")
    except ERRORS as error:
        found.failures["barrier"] = f"the path: {error}"
        return found
    found.top = result.images[result.top]
    found.energies["barrier"] = result.barrier
    found.displacements["barrier"] = distance(found.top, reaction.top)
    if "barrier" in zero_point:
        _add_zero_point(found, {"barrier": found.top}, {"reactant": result.images[0]}, calc)
    return found


def vibrational_zero_point(atoms: Atoms, calc: BaseCalculator) -> float:
    """Harmonic, of the real modes at this structure, eV."""
    return vibrations(atoms, calc, VibrationsConfig(relax=False)).zero_point_energy


def _relaxed(start: Atoms, calc: BaseCalculator, config: TransferabilityConfig) -> Atoms:
    forget(calc)
    result = relax(start, calc, RelaxConfig(fmax=ENDS_FMAX, max_steps=config.refine_steps))
    if not result.converged:
        raise InputError(result.message)
    _same_bonds(result.atoms, start)
    return result.atoms


def _same_bonds(relaxed: Atoms, start: Atoms, which: str = "") -> None:
    if bonds(relaxed) != bonds(start):
        raise InputError(f"{which}relaxed, it has other bonds than in the data set")


def _transition_state(
    found: Search, reaction: Reaction, calc: BaseCalculator, config: TransferabilityConfig
) -> Atoms | None:
    """The refined structure, if it is that of the reaction; ``found`` gets what is known of it."""
    follow = config.irc and reaction.product is not None
    if follow:
        found.connects = False
    try:
        result = _saddle_point(reaction.top, calc, config)
        if follow and result.converged:
            steps = config.refine_steps
            settings = TSConfig(max_steps=steps, irc_steps=steps)
            ends = {"reactant": reaction.reactant, "product": reaction.product}
            result = ts(result.atoms, calc, settings, **ends)
    except ERRORS as error:
        found.failures["barrier"] = f"the transition state: {error}"
        return None
    found.top, found.converged = result.atoms, largest_force(result.atoms) <= result.config.fmax
    found.one_mode = found.converged and len(result.imaginary) == 1
    moved = distance(result.atoms, reaction.top)
    if found.converged:
        found.displacements["search"] = moved
    if follow:
        found.connects = found.one_mode and bool(result.connects)
    if found.one_mode and found.connects is not False:
        return result.atoms
    reason = f"the transition state: {result.message}"
    if result.connects is False:
        reason += f"; it leads to {_led_to(result, reaction)}, {moved:.2f} Å from the structure of "
        reason += "the data set"
    found.failures["barrier"] = reason
    return None


def _saddle_point(guess: Atoms, calc: BaseCalculator, config: TransferabilityConfig) -> TSResult:
    """Refined; one with further imaginary modes is left along the second of them, once."""
    settings = TSConfig(max_steps=config.refine_steps, irc=False)
    result = ts(guess, calc, settings)
    if len(result.imaginary) > 1:
        aside = result.atoms.copy()
        mode = result.vibrations.modes[1]
        aside.positions += ASIDE * mode / np.linalg.norm(mode, axis=1).max()
        result = ts(aside, calc, settings)
    return result


def _led_to(result: TSResult, reaction: Reaction) -> str:
    """What lies on both sides, by its bonds."""
    assert reaction.product is not None
    ends = {"the reactant": reaction.reactant, "the product": reaction.product}
    own = [bonds(minimum.atoms) for minimum in result.minima]
    names = [
        next((name for name, end in ends.items() if bonds(end) == found), "another minimum")
        for found in own
    ]
    return f"{names[0]} on both sides" if len(set(names)) == 1 else " and ".join(sorted(names))


def _add_zero_point(
    found: Search,
    last: dict[str, Atoms | None],
    ends: dict[str, Atoms],
    calc: BaseCalculator,
) -> None:
    """Zero-point energies, of the structure above the reactant; one that cannot be had is a failure
    of its quantity."""
    for quantity, atoms in last.items():
        if quantity not in found.energies or atoms is None:
            continue
        try:
            top, bottom = (vibrational_zero_point(x, calc) for x in (atoms, ends["reactant"]))
        except ERRORS as error:
            found.failures[quantity] = f"the zero-point energy: {error}"
            del found.energies[quantity]
        else:
            found.zero_point[quantity] = top - bottom


def _energy(atoms: Atoms) -> float:
    return float(atoms.get_potential_energy())
