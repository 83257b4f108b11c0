"""Curves of dimers in the layout of COMP6 (Smith, Nebgen, Lubbers, Isayev, Roitberg, 2018).

HDF5, one group a dimer, its frames at growing distance: ``species`` (A,), ``coordinates``
(F, A, 3) Angstrom, ``energies`` (F,) Hartree, ``forces`` (F, A, 3) Hartree/Angstrom, which are
gradients.  There are no monomers in it: energies are relative to the widest frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.sparse.csgraph import connected_components

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.blocks import Broken, Units
from ase_mlseqm.training.checks import Clean, clean
from ase_mlseqm.training.dataset import Skipped
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.readers_hdf5 import blocks, header
from ase_mlseqm.units import EV_TO_KCAL, HARTREE

from .reaction_set import Reaction, ReactionSet
from .records import require_some

UNITS = Units(energy=HARTREE, force=-HARTREE)
"""Of the layout, in which forces are gradients."""
SMALL_STEP = 0.5
"""Angstrom; between frames further apart than this the work says nothing."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Frames of one dimer.

    Attributes
    ----------
    name : str
    frames : list of F str
        Names of the frames, by their numbers in the file.
    systems : list of F ase.Atoms
    energies : (F,) array
        eV.
    forces : (F, A, 3) array
        Minus the gradient, eV/Angstrom.
    contacts : (F,) array
        Closest distance between atoms of both molecules, Angstrom.
    """

    name: str
    frames: list[str]
    systems: list[Atoms]
    energies: np.ndarray
    forces: np.ndarray
    contacts: np.ndarray


def read_curves(path: Path) -> Iterator[Curve | Skipped]:
    """The curves of a file, one at a time, and the records of it that are broken.

    Raises
    ------
    InputError
        When the file is not what its name says, or its forces are not gradients.
    """
    agree = 0
    stated = header(path).units
    # the layout has no attribute for units; where there is one it holds
    units = UNITS if stated is None else dataclasses.replace(stated, force=-stated.force)
    used: set[str] = set()
    for block in blocks(path):
        if isinstance(block, Broken):
            yield Skipped(path.name, block.record, block.reason)
            continue
        name = block.name.rpartition("/")[2]
        label = f"{path.stem}/{block.name if name in used else name}"
        used.add(name)
        sound, broken = clean(dataclasses.replace(block, name=label), units)
        yield from (Skipped(path.name, record.record, record.reason) for record in broken)
        if sound is None:
            continue
        if len(sound.energies) < 2:
            yield Skipped(path.name, label, "a single frame has nothing that it is relative to")
            continue
        curve = _curve(sound)
        agree += _agreement(curve)
        yield curve
    if agree < 0:
        raise InputError(
            f"{path.name}: the layout of COMP6 stores gradients, but here energies fall along "
            "them: change the sign of forces"
        )


def _curve(block: Clean) -> Curve:
    systems = [Atoms(numbers=block.numbers, positions=x) for x in block.positions]
    return Curve(block.name, block.frames, systems, block.energies, block.forces, contacts(systems))


def contacts(systems: list[Atoms]) -> np.ndarray:
    """Closest distance between two molecules, (F,) Angstrom; which atoms are one, the widest
    frame tells.  NaN where there are not two."""
    numbers = systems[0].numbers
    positions = np.array([atoms.positions for atoms in systems])
    linked = bonds(numbers, positions)
    parts = [connected_components(b) for b in linked]
    two = [labels for count, labels in parts if count == 2]
    if not two:
        return np.full(len(systems), np.nan)
    first = two[-1] == 0
    apart = np.linalg.norm(positions[:, first, None] - positions[:, None, ~first], axis=-1)
    return apart.min((1, 2))


def _agreement(curve: Curve) -> int:
    """Frames between which the energy falls along the forces, minus those where it rises."""
    x = np.array([atoms.positions for atoms in curve.systems])
    step = np.diff(x, axis=0)
    work = (0.5 * (curve.forces[1:] + curve.forces[:-1]) * step).sum((1, 2))
    near = np.abs(step).max((1, 2)) < SMALL_STEP
    return int((np.sign(work) * -np.sign(np.diff(curve.energies)))[near].sum())


def comp6_reactions(path: Path) -> ReactionSet:
    """Every frame against the widest of its curve, and the forces of all frames.

    Raises
    ------
    InputError
        When the file cannot be used, or nothing in it.
    """
    systems: dict[str, Atoms] = {}
    reactions: list[Reaction] = []
    skipped: list[Skipped] = []
    forces: dict[str, np.ndarray] = {}
    for curve in read_curves(path):
        if isinstance(curve, Skipped):
            skipped.append(curve)
            continue
        names = curve.frames
        systems |= dict(zip(names, curve.systems, strict=True))
        forces |= dict(zip(names, curve.forces, strict=True))
        widest = int(np.nanargmax(curve.contacts)) if np.isfinite(curve.contacts).any() else -1
        relative = (curve.energies - curve.energies[widest]) * EV_TO_KCAL
        for k, name in enumerate(names):
            if name != names[widest]:
                pair = {name: 1.0, names[widest]: -1.0}
                x, zero = float(curve.contacts[k]), float(curve.contacts[widest])
                reactions.append(Reaction(name, pair, float(relative[k]), curve.name, x, zero))
    require_some(reactions, path.name, skipped)
    return ReactionSet(systems, reactions, skipped, forces)
