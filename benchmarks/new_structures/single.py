"""Structures of one molecule: torsions, trajectories, minima shaken, and frames of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.io import iread
from rdkit import Chem

from ase_mlseqm import evaluate
from ase_mlseqm.training.readers import read as read_labels
from new_structures.common import (
    behind,
    canonical,
    embedded,
    finished,
    molecules_of,
    moved,
    shaken,
)
from new_structures.names import (
    GROUPS,
    IONS,
    PARTS,
    RADICALS,
    REACTANTS,
    RINGS,
    SCANNED,
    SMALL,
    TURNED,
)

STIFF = 28
"""So many of the small molecules, which stand first in their list."""
SHOWN = {
    canonical(atoms.info["smiles"])
    for atoms in iread(Path(__file__).parents[1] / "structures" / "ions_radicals.xyz", ":")
}
"""Ions and radicals that show how models err on such."""


def torsions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two angles about a single bond between two heavy atoms that are no ends of chains."""
    single = Chem.MolFromSmarts("[!#1;!$(*#*);!D1]-!@[!#1;!$(*#*);!D1]")
    names = [*GROUPS, *REACTANTS, *TURNED]
    for smiles in dict.fromkeys(names):
        if "." in smiles or canonical(smiles) in {canonical(s) for s in SCANNED}:
            continue
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        found = mol.GetSubstructMatches(single)
        if not found:
            continue
        b, c = found[rng.integers(len(found))]
        a, d = (
            next(n.GetIdx() for n in mol.GetAtomWithIdx(x).GetNeighbors() if n.GetIdx() != y)
            for x, y in ((b, c), (c, b))
        )
        atoms = embedded(smiles, int(rng.integers(1000)))
        side = behind(mol, b, c)
        for angle in rng.choice([45, 60, 90, 120, 180], 2, replace=False):
            frame = atoms.copy()
            frame.rotate_dihedral(a, b, c, d, float(angle), indices=side)
            frame.rattle(0.01, rng=rng)
            away = frame.get_all_distances() + 9 * np.eye(len(frame))
            if away.min() > 0.8:
                yield finished(frame, canonical(smiles), "torsion")


def groups(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two structures of a trajectory at 300 and 800 K."""
    yield from moved(GROUPS, (300, 800), rng)


def rings(rng: np.random.Generator) -> Iterator[Atoms]:
    """One structure of a trajectory at 400 K."""
    yield from moved(RINGS, (400,), rng)


def parts(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two structures of a trajectory at 300 and 600 K."""
    yield from moved(PARTS, (300, 600), rng)


def ions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two structures of a trajectory at 300 and 600 K."""
    yield from moved(IONS, (300, 600), rng, "ion")


def radicals(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two structures of a trajectory at 300 and 600 K."""
    yield from moved(RADICALS, (300, 600), rng, "radical")


def states(file: str, rng: np.random.Generator) -> Iterator[Atoms]:
    """A radical or an ion of each molecule of two to five heavy atoms of a labelled file, one
    structure of a trajectory at 300 or 600 K."""
    for _, mol in molecules_of(file, 2, 5, rng):
        smiles = other_state(mol, rng)
        if smiles is None or smiles in SHOWN:
            continue
        try:
            yield from moved((smiles,), (int(rng.choice((300, 600))),), rng, "state")
        except (ValueError, CalculationFailed):  # no conformer, or no SCF
            continue


def other_state(mol: Chem.Mol, rng: np.random.Generator) -> str | None:
    """SMILES with a hydrogen less, which half of them get, or a proton more or less where it may
    be; None where it may not."""
    hydrogens, charge, where = (
        (-1, 0, "[!H0]"),
        (-1, 0, "[!H0]"),
        (1, 1, "[$([OX1,OX2,NX1,NX2;+0]),$([nX2;+0]),$([NX3;+0;!$(N-*=*);!$(N-a)])]"),
        (-1, -1, "[$([O,N,n;!H0]),$([CH]#C),$([C;!H0]-C=O),$([C;!H0]C#N),$([C;!H0]N(=O));+0]"),
    )[rng.integers(4)]
    found = [match[0] for match in mol.GetSubstructMatches(Chem.MolFromSmarts(where))]
    if not found:
        return None
    other = Chem.RWMol(mol)
    atom = other.GetAtomWithIdx(int(rng.choice(found)))
    total = atom.GetTotalNumHs() + hydrogens
    atom.SetNoImplicit(True)
    atom.SetNumExplicitHs(total)
    atom.SetFormalCharge(atom.GetFormalCharge() + charge)
    atom.SetNumRadicalElectrons(int(not charge))
    try:
        Chem.SanitizeMol(other)
    except ValueError:
        return None
    return str(Chem.MolToSmiles(other))


def small(rng: np.random.Generator) -> Iterator[Atoms]:
    """Minima, and these shaken little and much."""
    yield from shaken(SMALL, (0.0, 0.03, 0.05, 0.07, 0.09, 0.12), rng)


def stiff(rng: np.random.Generator) -> Iterator[Atoms]:
    """The smallest of these, shaken no more than their vibrations do."""
    yield from shaken(SMALL[:STIFF], (0.02, 0.02, 0.03, 0.03, 0.04, 0.04, 0.05, 0.05), rng)


def survey(file: str, rng: np.random.Generator) -> Iterator[Atoms]:
    """The most uncertain of 6,000 frames, one of a molecule in the first round, then two."""
    data = read_labels([file])
    drawn = rng.choice(len(data), 6000, replace=False)
    frames = [Atoms(data.numbers[k], data.positions[k]) for k in drawn]
    result = evaluate(frames, properties=("energy", "uncertainty"))
    doubt = np.array([r.uncertainty / len(a) ** 0.5 for r, a in zip(result, frames, strict=True)])
    seen: dict[int, int] = {}
    for k in np.argsort(-np.nan_to_num(doubt)):
        molecule = int(data.molecule[drawn[k]])
        seen[molecule] = seen.get(molecule, 0) + 1
        if seen[molecule] <= 2:
            yield finished(frames[k], str(data.smiles[molecule]), "survey")
