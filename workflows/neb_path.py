"""The first path of a reaction: ends that fit together, and images between them.

The path is that of the image-dependent pair potential (IDPP): Smidstrup, Pedersen, Stokbro,
Jonsson, J. Chem. Phys. 140 (2014) 214106.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.geometry import find_mic
from ase.mep import NEB
from ase.mep.neb import idpp_interpolate, interpolate

from ase_mlseqm.errors import InputError

from .constraints import check_equal, check_way
from .foreign import foreign_errors
from .geometry import align
from .md_config import has_field
from .neb_config import NEBConfig
from .relax_config import RelaxConfig
from .relax_many import relax_many
from .several import forget
from .states import state

SAME = 0.05
"""Angstrom; ends whose root-mean-square distance is smaller are one structure."""
BOW = (0.02, 0.4)
"""Angstrom; how far the middle of the first path is bent.  The second where it runs through atoms
or stays in a plane, which it could never leave."""
ISOTOPES = 1e-3
"""Share of a mass by which it may differ: those of one element in files do."""
CLASH = 0.7
"""Angstrom; two atoms that are closer are one through the other."""


def free(atoms: Atoms, calc: BaseCalculator) -> bool:
    """Whether a molecule may be moved and turned as a whole: in an electric field it may not."""
    bound = has_field(calc) or bool(atoms.constraints)
    return not bound and not atoms.pbc.any() and len(atoms) > 1


def check_ends(reactant: Atoms, product: Atoms, calc: BaseCalculator) -> None:
    """Raise :class:`InputError` unless both are the same atoms in the same order and state."""
    if len(reactant) == 0:
        raise InputError("the reactant has no atoms")
    formulas = [atoms.get_chemical_formula() for atoms in (reactant, product)]
    if formulas[0] != formulas[1]:
        raise InputError(
            f"the reactant is {formulas[0]}, the product {formulas[1]}: give the same atoms"
        )
    differ = np.flatnonzero(reactant.numbers != product.numbers)
    if len(differ):
        k = int(differ[0])
        raise InputError(
            "the atoms of reactant and product are in different orders: atom "
            f"{k} is {reactant[k].symbol} here and {product[k].symbol} there"
        )
    _check_masses(reactant, product)
    for atoms in (reactant, product):
        if not np.isfinite(atoms.positions).all():
            raise InputError("positions of an end are not finite numbers")
    states = [state(atoms, calc) for atoms in (reactant, product)]
    if states[0] != states[1]:
        (charge, spin), (other, other_spin) = states
        raise InputError(
            f"the reactant has charge {charge} and multiplicity {spin}, the product {other} and "
            f"{other_spin}: give both the same"
        )
    same = not reactant.pbc.any() or np.allclose(reactant.cell, product.cell)
    if (reactant.pbc != product.pbc).any() or not same:
        raise InputError("the cells of reactant and product differ")
    check_equal(reactant, product)


def _check_masses(reactant: Atoms, product: Atoms) -> None:
    """Raise :class:`InputError` where an atom is another isotope in the product."""
    here, there = reactant.get_masses(), product.get_masses()
    differ = np.flatnonzero(~np.isclose(here, there, rtol=ISOTOPES))
    if len(differ):
        k = int(differ[0])
        raise InputError(
            f"atom {k} has a mass of {here[k]:g} u in the reactant and of {there[k]:g} u in the "
            "product: give both the same"
        )


def first_path(
    reactant: Atoms, product: Atoms, calc: BaseCalculator, config: NEBConfig
) -> tuple[list[Atoms], list[str]]:
    """Ends, relaxed and aligned, with the IDPP path between them; and what is wrong with them."""
    ends, problems = [reactant.copy(), product.copy()], []
    if config.relax_ends:
        settings = RelaxConfig(fmax=config.ends_fmax)
        forget(calc)
        for k, result in enumerate(relax_many(ends, calc, settings)):
            if isinstance(result, Exception):
                raise result
            ends[k] = result.atoms.copy()
            if not result.converged:
                name = ("reactant", "product")[k]
                problems.append(f"the {name} is not relaxed ({result.message})")
    forget(calc)
    before = _apart(*ends)
    if free(ends[0], calc):
        align(ends[1], ends[0])
    if _apart(*ends) < SAME:
        steps = ["relaxed"] * config.relax_ends
        if before >= SAME:  # such as like atoms that a turn about an axis exchanges
            steps.append("moved and turned onto each other")
        once = f" once they are {' and '.join(steps)}" if steps else ""
        raise InputError(
            f"reactant and product are the same structure{once}, so there is no path between them: "
            "give two minima that differ"
        )
    moved, _ = find_mic(ends[0].positions - ends[1].positions, ends[0].cell, ends[0].pbc)
    with foreign_errors():
        check_way(ends[0], -moved)
        return _between(ends, config), problems


def _apart(here: Atoms, there: Atoms) -> float:
    """Root-mean-square distance of two structures as they lie, Angstrom."""
    moved, _ = find_mic(here.positions - there.positions, here.cell, here.pbc)
    return float(np.sqrt((moved**2).sum(1).mean()))


def _between(ends: list[Atoms], config: NEBConfig) -> list[Atoms]:
    """The ends with images between them."""
    images = [ends[0], *(ends[0].copy() for _ in range(config.images - 2)), ends[1]]
    periodic = bool(ends[0].pbc.any())
    interpolate(images, mic=periodic, apply_constraint=False)
    stuck = _flat(*ends) or min(_closest(image) for image in images) < CLASH
    bow = BOW[stuck]
    way = np.random.default_rng(0).normal(size=(len(ends[0]), 3))
    way /= np.linalg.norm(way, axis=1).max()
    for k, image in enumerate(images[1:-1], start=1):
        image.set_positions(image.positions + bow * np.sin(np.pi * k / (len(images) - 1)) * way)
    idpp_interpolate(NEB(images, method="improvedtangent"), traj=None, log=None, mic=periodic)
    return images


def _closest(atoms: Atoms) -> float:
    """Shortest distance between two atoms, Angstrom."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    return float(distances[np.triu_indices(len(atoms), 1)].min(initial=np.inf))


def _flat(reactant: Atoms, product: Atoms) -> bool:
    """Whether all atoms of both ends are in one plane."""
    both = np.concatenate([reactant.positions, product.positions])
    return bool(np.linalg.svd(both - both.mean(0), compute_uv=False)[-1] < 0.1)
