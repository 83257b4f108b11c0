"""Paths on which bonds form and break, and bonds stretched until they are broken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.constraints import Hookean
from ase.data import covalent_radii
from ase.optimize import BFGS
from rdkit import Chem
from tblite.ase import TBLite

from ase_mlseqm.training.graph import bonds
from new_structures.common import (
    behind,
    canonical,
    embedded,
    finished,
    molecules_of,
    pair,
    relaxed,
    together,
)
from new_structures.names import ABSTRACTED, ABSTRACTING, CLEAVED, REACTANTS, TRANSFERS

HIGHEST = 5.5
"""Of a path above its start, eV."""
SPRING = 25.0
"""That drives a path, eV/Angstrom^2."""


def reactions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Tops of paths on which two atoms of a small molecule are pulled together."""
    for smiles in REACTANTS * 2:
        atoms = together(smiles, rng)
        chosen = changes(atoms, rng)
        if chosen is not None:
            yield from tops(path(atoms, *chosen), smiles, rng)


def rearrangements(file: str, rng: np.random.Generator) -> Iterator[Atoms]:
    """The same of molecules of five to seven heavy atoms of a labelled file, two frames of each."""
    for name, _ in molecules_of(file, 5, 7, rng):
        try:
            atoms = together(name, rng)
        except ValueError:  # a cage that RDKit cannot embed
            continue
        chosen = changes(atoms, rng)
        if chosen is not None:
            yield from list(tops(path(atoms, *chosen), name, rng))[:2]


def transfers(rng: np.random.Generator) -> Iterator[Atoms]:
    """Tops of paths on which a hydrogen goes from one N or O to another that is near."""
    for smiles in TRANSFERS * 2:
        atoms = together(smiles, rng)
        if "." in smiles:
            relaxed(atoms, 0.05, 60)
        polar = np.isin(atoms.numbers, (7, 8))
        away = atoms.get_all_distances()
        linked = bonds(atoms.numbers, atoms.positions[None])[0]
        donor = linked[:, polar].any(1) & (atoms.numbers == 1)
        near = donor[:, None] & polar & ~linked & (away < 3.2)
        i, j = np.nonzero(near)
        if len(i):
            k = rng.choice(np.argsort(away[near])[:3])
            yield from tops(path(atoms, int(i[k]), int(j[k])), smiles, rng, 0.05)


def abstractions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Tops of paths on which a radical takes a hydrogen or adds to a double bond."""
    for _ in range(3000):
        names = [str(rng.choice(side)) for side in (ABSTRACTING, ABSTRACTED)]
        one, other = (embedded(s, int(rng.integers(1000))) for s in names)
        if len(one) + len(other) > 16:
            continue
        atoms = pair(one, other, 0.0, rng)
        own = np.arange(len(atoms)) < len(one)
        centre = int(atoms.get_initial_magnetic_moments().argmax())
        linked = bonds(atoms.numbers, atoms.positions[None])[0]
        mol = Chem.AddHs(Chem.MolFromSmiles(names[1]))
        double = [
            len(one) + a.GetIdx()
            for a in mol.GetAtoms()
            if any(b.GetBondTypeAsDouble() > 1 for b in a.GetBonds())
        ]
        takes = rng.random() < 0.6 or not double
        there = np.flatnonzero(~own & (atoms.numbers == 1)) if takes else np.array(double)
        if not len(there) or linked[own][:, ~own].any():
            continue
        goal = int(rng.choice(there))
        try:
            frames = path(atoms, centre, goal)
        except CalculationFailed:  # the SCF of a radical
            continue
        yield from tops(frames, ".".join(names), rng, 0.05)


def cleavages(rng: np.random.Generator) -> Iterator[Atoms]:
    """Three lengths of a bond of a minimum, which is stretched rigidly and shaken."""
    for smiles in CLEAVED * 2:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        breakable = [b for b in mol.GetBonds() if not b.IsInRing()]
        if not breakable:
            continue
        bond = breakable[rng.integers(len(breakable))]
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        side = behind(mol, i, j)
        atoms = embedded(smiles, int(rng.integers(1000)))
        line = atoms.positions[j] - atoms.positions[i]
        for lower, upper in ((1.15, 1.5), (1.5, 1.9), (1.9, 2.6)):
            frame = atoms.copy()
            frame.positions[side] += (rng.uniform(lower, upper) - 1) * line
            frame.rattle(0.03, rng=rng)
            yield finished(frame, canonical(smiles), "cleavage")


def changes(atoms: Atoms, rng: np.random.Generator) -> tuple[int, int] | None:
    """Two atoms to bring together: in half of the cases a hydrogen and where it may go."""
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    near = linked | (linked @ linked)
    np.fill_diagonal(near, True)
    heavy = atoms.numbers > 1
    one = ~heavy if rng.random() < 0.6 else heavy
    # a hydrogen may also go to the neighbour of the atom that it leaves
    free = ~(linked | np.eye(len(atoms), dtype=bool)) if one is not heavy else ~near
    i, j = np.nonzero(free & one[:, None] & heavy)
    if not len(i):
        return None
    k = rng.integers(len(i))
    return int(i[k]), int(j[k])


def path(atoms: Atoms, i: int, j: int) -> list[Atoms]:
    """Structures while two atoms are pulled together, all else relaxed with GFN2-xTB."""
    found = []
    start = atoms.get_distance(i, j)
    end = 1.05 * (covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]])
    for length in np.linspace(start, end, 14):
        atoms.set_constraint(Hookean(i, j, SPRING, rt=length))
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        BFGS(atoms, logfile=None, maxstep=0.08).run(fmax=0.15, steps=14)
        frame = atoms.copy()
        frame.set_constraint()
        frame.info["energy"] = atoms.get_potential_energy(apply_constraint=False)
        found.append(frame)
    return found


def tops(
    frames: list[Atoms], smiles: str, rng: np.random.Generator, lowest: float = 0.5
) -> Iterator[Atoms]:
    """The top of a path, if above ``lowest`` (eV), and a structure on each of its sides."""
    energies = np.array([f.info["energy"] for f in frames])
    top = int(energies.argmax())
    if not lowest < np.ptp(energies) < HIGHEST or top < 2:
        return
    side = min(top + 1 + int(rng.integers(2)), len(frames) - 1)
    for k in sorted({top, side, top - 1 - int(rng.integers(min(3, top)))}):
        frames[k].rattle(0.02, rng=rng)
        yield finished(frames[k], canonical(smiles), "reaction")
