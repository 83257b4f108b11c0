"""ASE's constraints: what they hold, and whether a structure is as they want it."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixInternals,
)

from ase_mlseqm.errors import InputError

from .fingerprint import told

NOT_IN_MOTION = ("ExternalForce", "FixedMode", "FixSymmetry", "MirrorForce", "MirrorTorque")
"""Constraints whose momenta ASE does not know."""
IN_SPACE = (FixAtoms, FixCartesian, FixedLine, FixedPlane)
"""Constraints on where atoms are, rather than on how they lie to each other."""
APART = 0.01
"""Angstrom; what constraints move further than this is not where they want it."""


def in_order(atoms: Atoms) -> Atoms:
    """The atoms with their constraints in an order in which all hold.

    ASE applies one after the other, so that what is fixed in space comes last.  Constraints on no
    atom, as a file leaves where all of them may move, are left out.
    """
    # one number and, of all atoms, a slice are of size one
    kept = [c for c in atoms.constraints if np.size(getattr(c, "index", 0))]
    kept.sort(key=lambda constraint: isinstance(constraint, FixAtoms | FixCartesian))
    if [id(c) for c in kept] == [id(c) for c in atoms.constraints]:
        return atoms
    copy = atoms.copy()
    copy.calc = atoms.calc
    copy.set_constraint(kept)
    return copy


def impose(atoms: Atoms) -> None:
    """Move atoms to where their constraints want them, such as to a given dihedral (in place).

    ASE does so with the first step only, and a structure whose forces along what is held are the
    largest takes none.

    Raises
    ------
    InputError
        Where they cannot be met.
    """
    if not atoms.constraints:
        return
    _check_internals(atoms)
    try:
        atoms.set_positions(atoms.get_positions())
    except Exception as error:  # every constraint of ASE has its own
        raise InputError(
            f"the constraints cannot be met ({type(error).__name__}: {error}): change them, or "
            "begin nearer to what they ask for"
        ) from None


def _check_internals(atoms: Atoms) -> None:
    """InputError where internal coordinates are those of atoms that are fixed in space, too.

    ASE moves these atoms to meet the one, and back to meet the other: neither forces nor positions
    are then those of both.
    """
    in_space = [c for c in atoms.constraints if isinstance(c, IN_SPACE)]
    for internal in (c for c in atoms.constraints if isinstance(c, FixInternals)):
        for other in in_space:
            both = np.intersect1d(internal.get_indices(), other.get_indices())
            if len(both):
                raise InputError(
                    f"{type(other).__name__} holds atom {both[0]} ({atoms[int(both[0])].symbol}), "
                    "of which FixInternals holds a coordinate, and ASE cannot meet both: leave "
                    "out one of them"
                )


def check_equal(reactant: Atoms, product: Atoms) -> None:
    """InputError unless the constraints of both ends are the same."""
    kinds = [sorted(told(c) for c in atoms.constraints) for atoms in (reactant, product)]
    if kinds[0] != kinds[1]:
        raise InputError(
            "the constraints of reactant and product differ: give both the same, or none"
        )


def check_way(atoms: Atoms, way: np.ndarray) -> None:
    """InputError where the constraints do not let the atoms go along ``way`` (A, 3), Angstrom."""
    there = atoms.copy()
    wanted = atoms.positions + way
    with np.errstate(invalid="ignore", divide="ignore"):
        there.set_positions(wanted)
    off = np.linalg.norm(there.positions - wanted, axis=1)
    if off.max() > APART:
        k = int(off.argmax())
        raise InputError(
            f"constraints hold atom {k} ({atoms[k].symbol}) where it differs by {off[k]:.2g} "
            "Angstrom between reactant and product: bring both together there, or leave it free"
        )


def check_moves(atoms: Atoms, ensemble: str) -> None:
    """InputError for constraints with which ASE has no dynamics, or not those of ``ensemble``."""
    for constraint in atoms.constraints:
        kind = type(constraint).__name__
        # ASE gives every atom an equal share of the momentum of random forces, however light
        if isinstance(constraint, FixInternals) and ensemble == "langevin":
            raise InputError(
                "FixInternals lets langevin heat a molecule far above its temperature: use bussi, "
                "or FixBondLengths for bonds"
            )
        if kind in NOT_IN_MOTION:
            raise InputError(f"{kind} does not hold in dynamics: remove the constraint")


def removed_degrees(atoms: Atoms) -> int:
    """How many degrees of freedom the constraints take, those that several take once.

    ASE counts every constraint for itself, and of ``FixInternals`` only what it is told to hold,
    though that keeps a molecule from moving and turning as a whole, too.
    """
    fixed = np.zeros((len(atoms), 3), dtype=bool)
    pairs: list[tuple[int, int]] = []
    axes = np.eye(3)[:, None]
    drifts: list[np.ndarray] = []
    others = 0
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.index] = True
        elif isinstance(constraint, FixCartesian):
            fixed[constraint.index] |= constraint.mask
        elif isinstance(constraint, FixBondLengths):
            pairs += [(int(first), int(second)) for first, second in constraint.pairs]
        elif isinstance(constraint, FixCom):
            among = np.zeros((len(atoms), 1))
            among[constraint.index] = 1.0
            drifts.append(axes * among)
        else:
            others += int(constraint.get_removed_dof(atoms))
        if isinstance(constraint, FixInternals):
            turns = np.cross(axes, atoms.positions - atoms.get_center_of_mass())
            drifts += [axes * np.ones((len(atoms), 1)), turns]
    slopes = np.zeros((len(pairs), len(atoms), 3))
    for row, (first, second) in zip(slopes, pairs, strict=True):
        bond = atoms.get_distance(first, second, mic=bool(atoms.pbc.any()), vector=True)
        row[first], row[second] = -bond / np.linalg.norm(bond), bond / np.linalg.norm(bond)
    slopes = np.concatenate([slopes, *drifts])
    slopes[:, fixed] = 0.0
    rank = 0
    if len(slopes):
        rank = int(np.linalg.matrix_rank(slopes.reshape(len(slopes), -1), tol=1e-6))
    return int(fixed.sum()) + rank + others
