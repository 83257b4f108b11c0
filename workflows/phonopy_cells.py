"""Cells, supercells and displacements between ASE and phonopy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from ase_mlseqm.differences import Move
from ase_mlseqm.errors import InputError

if TYPE_CHECKING:
    from phonopy import Phonopy

    from .phonons_config import PhononsConfig


NEAREST_WALL = 3.0
"""Angstrom; where walls are nearer an image may lie as a neighbour would, and seem to repeat."""


def require_phonopy() -> None:
    """InputError where phonopy is not installed."""
    try:
        import phonopy  # noqa: F401
    except ImportError:
        raise InputError(
            "phonons need phonopy: install it with pip install 'ase-mlseqm[phonons]'"
        ) from None


def phonopy_object(atoms: Atoms, config: PhononsConfig) -> Phonopy:
    """phonopy's object of ``atoms``; a molecule is put in the middle of a cubic box."""
    require_phonopy()
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell, positions = atoms.cell.array, atoms.positions
    if not atoms.pbc.any():
        length = np.ptp(positions, axis=0).max() + 2 * max(config.vacuum, NEAREST_WALL)
        cell = length * np.eye(3)
        positions = positions + 0.5 * (length - positions.max(0) - positions.min(0))
    moments = atoms.get_initial_magnetic_moments()
    unit = PhonopyAtoms(
        numbers=atoms.numbers,
        masses=atoms.get_masses(),
        positions=positions,
        cell=cell,
        magnetic_moments=moments if moments.any() else None,  # they have less symmetry
    )
    return Phonopy(
        unit,
        supercell_matrix=np.diag(config.supercell),
        primitive_matrix="P",
        is_symmetry=config.symmetry,
    )


def supercell(atoms: Atoms, phonon: Phonopy) -> Atoms:
    """The supercell, in phonopy's order; a molecule keeps its place and has no cell."""
    found = phonon.supercell
    base = atoms.copy()
    if atoms.pbc.any():
        base = base[[found.u2u_map[index] for index in found.s2u_map]]
        base.set_cell(found.cell)
        base.positions = found.positions
    return base


def forward_moves(phonon: Phonopy, step: float) -> list[Move]:
    """The first of every two displacements by ``step`` Angstrom; the second is the opposite."""
    phonon.generate_displacements(distance=step, is_plusminus=True, is_diagonal=False)
    return [
        (int(atom), (float(x), float(y), float(z))) for atom, x, y, z in phonon.displacements[::2]
    ]
