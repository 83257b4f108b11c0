"""A molecule as the engine sees it; without torch, which takes seconds to import."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .errors import InputError


@dataclasses.dataclass(frozen=True)
class Molecule:
    """One molecule with A atoms.

    Attributes
    ----------
    numbers : (A,) int array
        Atomic numbers.
    positions : (A, 3) float array
        Angstrom.
    charge : int
        Total charge, e.
    multiplicity : int or None
        2S + 1; None means the lowest that the electron count allows.
    unrestricted : bool
        Also as a singlet, unless the calculation is told otherwise.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charge: int = 0
    multiplicity: int | None = None
    unrestricted: bool = False

    @classmethod
    def from_atoms(
        cls,
        atoms: Any,
        charge: int = 0,
        multiplicity: int | None = None,
        unrestricted: bool = False,
    ) -> Molecule:
        """From any object with ``numbers``, ``positions`` and ``pbc`` (an ``ase.Atoms``).

        Raises
        ------
        InputError
            When the cell is periodic.
        """
        if np.any(getattr(atoms, "pbc", False)):
            raise InputError(
                "periodic cells are not supported yet: set atoms.pbc = False (command line: "
                "--no-pbc) to compute the molecule in vacuum"
            )
        return cls(
            np.asarray(atoms.numbers, dtype=np.int64),
            np.array(atoms.positions, dtype=np.float64),
            charge,
            multiplicity,
            unrestricted,
        )
