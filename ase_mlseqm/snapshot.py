"""What a calculation depended on, kept to tell whether it is still valid."""

from __future__ import annotations

import copy

import numpy as np
from ase import Atoms

from .atoms import KEYS, other_names

ARRAYS = ("positions", "numbers", "initial_charges", "initial_magmoms")


class Snapshot:
    """Copy of an ``ase.Atoms``, taken and compared in a tenth of the time that ASE needs.

    Both happen in every step of a simulation, next to a calculation of a few milliseconds.
    """

    def __init__(self, atoms: Atoms) -> None:
        self.arrays = {name: array.copy() for name, array in atoms.arrays.items()}
        self.cell = atoms.cell.array.copy()
        self.pbc = atoms.pbc.copy()
        self.info = dict(atoms.info)
        self.constraints = copy.deepcopy(atoms.constraints) if atoms.constraints else []

    def to_atoms(self) -> Atoms:
        """The atoms again."""
        atoms = Atoms(cell=self.cell, pbc=self.pbc, info=self.info)
        atoms.arrays = {name: array.copy() for name, array in self.arrays.items()}
        atoms.constraints = copy.deepcopy(self.constraints)
        return atoms

    def changes(self, atoms: Atoms, tol: float) -> list[str]:
        """Names of what differs: those of ``ase.calculators.calculator.all_changes``, and info."""
        changed = []
        for name in ARRAYS:
            old, new = self.arrays.get(name), atoms.arrays.get(name)
            if old is None and new is None:
                continue
            if old is None or new is None or _differ(old, new, tol):
                changed.append(name)
        if (self.pbc != atoms.pbc).any():
            changed.append("pbc")
        if _differ(self.cell, atoms.cell.array, tol):
            changed.append("cell")
        # ASE's own comparison does not look at info: a new charge would be silently ignored
        if self.info or atoms.info:
            for key in (*KEYS, *other_names(atoms.info)):
                before, now = self.info.get(key), atoms.info.get(key)
                # someone may have put an array there, which has no truth value
                if before is not now and not bool(np.all(before == now)):
                    changed.append("info")
                    break
        return changed


def _differ(old: np.ndarray, new: np.ndarray, tol: float) -> bool:
    if old.shape != new.shape:
        return True
    # not > instead of <=: what is not a number differs from everything
    return not bool((np.abs(old - new) <= tol).all())
