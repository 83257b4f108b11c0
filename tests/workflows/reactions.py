"""Reactants and products for the tests of paths and transition states."""

import functools

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, fcc100, molecule
from ase.constraints import FixAtoms

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.ts import TSConfig, ts


def inversion():
    """NH3 and its mirror image."""
    up = molecule("NH3")
    down = up.copy()
    down.positions[:, 2] *= -1
    return up, down


def planar():
    """Ammonia at the top of its inversion."""
    atoms = molecule("NH3")
    atoms.positions[0, 2] = atoms.positions[1, 2]
    return atoms


def torsion():
    """HONO, cis and trans."""
    trans = Atoms("HONO", [(0, 0, 0), (0.96, 0, 0), (1.3, 1.3, 0), (2.4, 1.4, 0)])
    cis = trans.copy()
    cis.set_dihedral(0, 1, 2, 3, 0, indices=[0])
    trans.set_dihedral(0, 1, 2, 3, 180, indices=[0])
    return cis, trans


def isomerisation():
    """HCN and HNC: the straight path runs through both heavy atoms."""
    hcn = Atoms("HCN", [(0, 0, -1.06), (0, 0, 0), (0, 0, 1.16)])
    hnc = Atoms("HCN", [(0, 0, 2.14), (0, 0, 0), (0, 0, 1.16)])
    return hcn, hnc


@functools.cache
def bent():
    """Transition state of that reaction, by the dimer from a guess by hand, with PM3."""
    guess = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
    ends = isomerisation()
    calc = MLSEQM(method="PM3")
    return ts(guess, calc, TSConfig(refiner="dimer"), reactant=ends[0], product=ends[1])


def hop():
    """A gold atom on aluminium and in the next hollow, for calculators that cost nothing."""
    here = fcc100("Al", size=(2, 2, 2))
    add_adsorbate(here, "Au", 1.7, "hollow")
    here.center(axis=2, vacuum=4.0)
    here.set_constraint(FixAtoms(mask=here.get_tags() == 2))
    there = here.copy()
    there[-1].x += there.cell[0, 0] / 2
    return here, there


def rotation():
    """A rotation matrix without symmetry."""
    return np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
