"""Molecules of all kinds, and how results are compared."""

import dataclasses

import numpy as np
import pytest
from helpers import build

from ase_mlseqm.batch import Molecule

RESTRICTED = [
    build("C6H6"),
    build("H2"),
    build("CHFBrI"),
    build("HCOO", -1),
    build("CH3CONH2"),
    build("NH4", 1),
    build("SO2"),
    build("AlH3"),
    build("CH3SiH3"),
    Molecule(np.array([9]), np.array([[0.3, 0.1, 0.2]]), -1),
    build("PF3"),
]
UNRESTRICTED = [
    build("CH3", 0, 2),
    build("C2H5", 0, 2),
    build("O2", 0, 3),
    build("H2O", 1, 2),
    build("NO2", 0, 2),
    Molecule(np.array([7]), np.array([[0.3, 0.1, 0.2]]), 0, 4),
    build("H2", 0, 3),
    build("CH3S", 0, 2),
]
MIXED = RESTRICTED + UNRESTRICTED


def same(one, two, energy=1e-9, forces=1e-8):
    assert one.energy == pytest.approx(two.energy, rel=0, abs=energy)
    np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=forces)


def shuffled(items, seed):
    order = np.random.default_rng(seed).permutation(len(items))
    return [items[k] for k in order], order


def ground(molecule):
    return dataclasses.replace(molecule, multiplicity=molecule.multiplicity or 1)


def atoms_of(molecule):
    from ase import Atoms

    atoms = Atoms(molecule.numbers, molecule.positions)
    atoms.info["charge"] = molecule.charge
    if molecule.multiplicity is not None:
        atoms.info["multiplicity"] = molecule.multiplicity
    return atoms
