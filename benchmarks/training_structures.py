"""Make structures that the public labels lack, to be labelled by `mlseqm label` for training.

    python benchmarks/training_structures.py survey FOLDER/ani1x_labels.h5 --out survey.extxyz
    python benchmarks/training_structures.py reactions torsions groups contacts --out others.extxyz

`survey` takes the frames of which the committee of the shipped model is least sure.  The others
are made here: paths on which bonds form and break (of small molecules, of those of a file, or of
hydrogen between N and O) and rigid rotations about single bonds, both of minima of GFN2-xTB;
functional groups that are rare in the files, ions and radicals, in Langevin dynamics of GFN2-xTB;
radicals that take a hydrogen or add to a double bond; bonds stretched until they are broken, whose
labels are unrestricted; and pairs of small molecules from touching to apart, as they come or
relaxed.  Fragments of `--without
FILE...` with four or more heavy atoms are left out, and paths of a composition in RDB7: give all
files that are kept for tests.  Needs RDKit and tblite.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.constraints import Hookean
from ase.data import covalent_radii
from ase.io import iread, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite
from training_molecules import (
    ABSTRACTED,
    ABSTRACTING,
    AROMATICS,
    CLEAVED,
    GROUPS,
    HYDROCARBONS,
    IN_S66,
    IONS,
    LARGER_PARTNERS,
    LEFT_OUT,
    MEDIUM,
    PARTNERS,
    PARTS,
    RADICALS,
    REACTANTS,
    RINGS,
    SCANNED,
    SMALL,
    TRANSFERS,
    TURNED,
    VALIDATED,
)

from ase_mlseqm import evaluate
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.training.smiles import smiles_fragments
from ase_mlseqm.training.split import LARGE

HIGHEST = 5.5
"""Of a path above its start, eV."""
STIFF = 28
"""So many of the small molecules, which stand first in their list."""
SPRING = 25.0
"""That drives a path, eV/Angstrom^2."""
SHOWN = {
    Chem.MolToSmiles(Chem.MolFromSmiles(atoms.info["smiles"]))
    for atoms in iread(Path(__file__).parent / "structures" / "ions_radicals.xyz", ":")
}
"""Ions and radicals that show how models err on such."""


def embedded(smiles: str, seed: int) -> Atoms:
    """A conformer, relaxed with GFN2-xTB."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(mol, randomSeed=seed):
        raise ValueError(f"{smiles}: no conformer")
    numbers = [a.GetAtomicNum() for a in mol.GetAtoms()]
    charges = [a.GetFormalCharge() for a in mol.GetAtoms()]  # TBLite takes their sum
    spins = [a.GetNumRadicalElectrons() for a in mol.GetAtoms()]  # and that of these
    if smiles == "O=O":
        spins = [1, 1]
    atoms = Atoms(numbers, mol.GetConformer().GetPositions(), charges=charges, magmoms=spins)
    return relaxed(atoms, 0.05, 100)


def relaxed(atoms: Atoms, fmax: float, steps: int) -> Atoms:
    """Relaxed with GFN2-xTB as far as the steps go."""
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=fmax, steps=steps)
    return atoms


def finished(atoms: Atoms, smiles: str, kind: str) -> Atoms:
    """A structure as it is written."""
    info = {"smiles": smiles, "name": kind}
    if charge := round(atoms.get_initial_charges().sum()):
        info["charge"] = charge
    if spins := round(atoms.get_initial_magnetic_moments().sum()):
        info["multiplicity"] = 1 + spins
    return Atoms(atoms.numbers, atoms.positions.round(5), info=info)


def canonical(smiles: str) -> str:
    """RDKit's SMILES, as in the public labels."""
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def pair(a: Atoms, b: Atoms, gap: float, rng: np.random.Generator) -> Atoms:
    """Two molecules in random orientation, their nearest contact at the sum of radii plus a gap."""
    a, b = a.copy(), b.copy()
    for m in (a, b):
        m.positions -= m.positions.mean(0)
        m.positions = Rotation.random(random_state=rng).apply(m.positions)
    touch = {1: 1.2, 6: 1.7, 7: 1.55, 8: 1.52}  # Bondi's radii
    ra, rb = (np.array([touch[z] for z in m.numbers]) for m in (a, b))
    for shift in np.arange(0.0, 12.0, 0.02):
        away = np.linalg.norm(a.positions[:, None] - b.positions - [0, 0, shift], axis=-1)
        if (away - ra[:, None] - rb).min() >= gap:
            b.positions += [0, 0, shift]
            return a + b
    raise ValueError("no contact")


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


def together(smiles: str, rng: np.random.Generator) -> Atoms:
    """One molecule, or two that touch."""
    parts = [embedded(part, int(rng.integers(1000))) for part in smiles.split(".")]
    return parts[0] if len(parts) == 1 else pair(*parts, 0.0, rng)


def reactions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Tops of paths on which two atoms of a small molecule are pulled together."""
    for smiles in REACTANTS * 2:
        atoms = together(smiles, rng)
        chosen = changes(atoms, rng)
        if chosen is not None:
            yield from tops(path(atoms, *chosen), smiles, rng)


def molecules_of(
    file: str, least: int, most: int, rng: np.random.Generator
) -> Iterator[tuple[str, Chem.Mol]]:
    """Single molecules of a labelled file with so many heavy atoms, in random order."""
    names = sorted({str(s) for s in read_labels([file]).smiles if s and "." not in s})
    for k in rng.permutation(len(names)):
        mol = Chem.MolFromSmiles(names[k])
        if mol is not None and least <= mol.GetNumHeavyAtoms() <= most:
            yield names[k], mol


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


def behind(mol: Chem.Mol, i: int, j: int) -> list[int]:
    """Atoms on the side of ``j`` of the bond between two atoms."""
    bond = mol.GetBondBetweenAtoms(i, j).GetIdx()
    cut = Chem.FragmentOnBonds(mol, [bond], addDummies=False)
    return list(next(part for part in Chem.GetMolFrags(cut) if j in part))


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


def moved(
    names: Sequence[str],
    temperatures: Sequence[int],
    rng: np.random.Generator,
    kind: str = "group",
) -> Iterator[Atoms]:
    """Structures of trajectories of GFN2-xTB, 80 fs at each temperature."""
    for smiles in names:
        atoms = embedded(smiles, int(rng.integers(1000)))
        for kelvin in temperatures:
            thermalize_momenta(atoms, temperature_K=kelvin, rng=rng)
            friction = 0.02 / units.fs
            Langevin(
                atoms, 1 * units.fs, temperature_K=kelvin, friction=friction, rng=rng, fixcm=False
            ).run(80)
            yield finished(atoms, canonical(smiles), kind)


def small(rng: np.random.Generator) -> Iterator[Atoms]:
    """Minima, and these shaken little and much."""
    yield from shaken(SMALL, (0.0, 0.03, 0.05, 0.07, 0.09, 0.12), rng)


def stiff(rng: np.random.Generator) -> Iterator[Atoms]:
    """The smallest of these, shaken no more than their vibrations do."""
    yield from shaken(SMALL[:STIFF], (0.02, 0.02, 0.03, 0.03, 0.04, 0.04, 0.05, 0.05), rng)


def shaken(
    names: Sequence[str], widths: Sequence[float], rng: np.random.Generator
) -> Iterator[Atoms]:
    """Minima of GFN2-xTB with normal displacements of these widths, Angstrom."""
    for smiles in names:
        atoms = embedded(smiles, 1)
        for width in widths:
            frame = atoms.copy()
            frame.rattle(width, rng=rng)
            yield finished(frame, canonical(smiles), "small")


def contacts(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of molecules, contacts from 0.35 Angstrom inside Bondi's radii to 0.6 outside."""
    for _ in range(160):
        one = rng.choice(HYDROCARBONS if rng.random() < 0.4 else PARTNERS)
        other = rng.choice(PARTNERS)
        if {str(one), str(other)} <= LEFT_OUT:
            continue
        parts = [embedded(str(s), int(rng.integers(1000))) for s in (one, other)]
        atoms = pair(*parts, float(rng.uniform(-0.35, 0.6)), rng)
        if len(atoms) <= 16:
            yield finished(atoms, canonical(f"{one}.{other}"), "contact")


def dimers(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of a larger and a small molecule, relaxed."""
    yield from relaxed_pairs(LARGER_PARTNERS, PARTNERS, 17, rng)


def stacks(rng: np.random.Generator) -> Iterator[Atoms]:
    """Pairs of aromatic rings, relaxed."""
    yield from relaxed_pairs(AROMATICS, AROMATICS, 21, rng)


def curves(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two points of the curve of a pair, relaxed; one pair in seven is for validation."""
    moves = ((-0.35, 0.3), (0.3, 1.6))
    smallest = [s for s in PARTNERS if Chem.MolFromSmiles(s).GetNumHeavyAtoms() < LARGE]
    for _ in range(3000):
        if rng.random() < 1 / 7:
            sides = VALIDATED, smallest
        else:
            sides = MEDIUM, MEDIUM if rng.random() < 0.5 else PARTNERS
        yield from relaxed_pair(*sides, 24, rng, moves)


def walls(rng: np.random.Generator) -> Iterator[Atoms]:
    """Three points of the curve of a small relaxed pair: inside its minimum, there, and outside."""
    moves = ((-0.4, -0.1), (-0.1, 0.25), (0.25, 1.2))
    for _ in range(3000):
        first = (*AROMATICS, *LARGER_PARTNERS) if rng.random() < 0.5 else PARTNERS
        yield from relaxed_pair(first, PARTNERS, 18, rng, moves)


def faces(rng: np.random.Generator) -> Iterator[Atoms]:
    """Three points of the curve of a relaxed pair of aromatic rings: inside, there, and outside."""
    moves = ((-0.4, -0.1), (-0.1, 0.25), (0.25, 1.5))
    for _ in range(3000):
        yield from relaxed_pair(AROMATICS, AROMATICS, 24, rng, moves)


def encounters(rng: np.random.Generator) -> Iterator[Atoms]:
    """One point each of the curves of many small relaxed pairs."""
    small = (*PARTNERS, *SMALL)
    large = (*small, *MEDIUM, *AROMATICS, *LARGER_PARTNERS)
    for _ in range(5000):
        yield from relaxed_pair(large, small, 18, rng, ((-0.4, 0.6),))


def relaxed_pairs(
    first: Sequence[str], second: Sequence[str], most: int, rng: np.random.Generator
) -> Iterator[Atoms]:
    """Relaxed pairs of up to so many atoms, one point of each."""
    for _ in range(300):
        yield from relaxed_pair(first, second, most, rng, ((-0.25, 0.8),))


def relaxed_pair(
    first: Sequence[str],
    second: Sequence[str],
    most: int,
    rng: np.random.Generator,
    moves: Sequence[tuple[float, float]],
) -> Iterator[Atoms]:
    """One pair relaxed with GFN2-xTB, then moved together or apart along the line of the centres.

    Nothing if it is a pair of S66, has more than ``most`` atoms, or has reacted.
    """
    names = [str(rng.choice(side)) for side in (first, second)]
    if {canonical(s) for s in names} <= IN_S66:
        return
    one, other = (embedded(s, int(rng.integers(1000))) for s in names)
    if len(one) + len(other) > most:
        return
    atoms = relaxed(pair(one, other, 0.0, rng), 0.02, 80)
    own = np.arange(len(atoms)) < len(one)
    if bonds(atoms.numbers, atoms.positions[None])[0][own][:, ~own].any():
        return
    line = atoms.positions[~own].mean(0) - atoms.positions[own].mean(0)
    for shortest, longest in moves:
        frame = atoms.copy()
        away = float(rng.uniform(shortest, longest))
        frame.positions[~own] += away * line / np.linalg.norm(line)
        frame.rattle(0.01, rng=rng)
        yield finished(frame, canonical(".".join(names)), "contact")


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


def held_back(files: list[str]) -> tuple[set[str], set[str]]:
    """Names of the large fragments of labelled files and of RDB7; compositions in RDB7."""
    names, compositions = [], set()
    for file in files:
        if Path(file).is_dir():
            for row in csv.DictReader((Path(file) / "data.csv").open()):
                for mapped in row["smiles"].split(">>"):
                    mol = Chem.MolFromSmiles(mapped)
                    for atom in mol.GetAtoms():
                        atom.SetAtomMapNum(0)
                    names.append(Chem.MolToSmiles(Chem.RemoveHs(mol)))
                    whole = Chem.AddHs(Chem.MolFromSmiles(names[-1]))
                    numbers = [a.GetAtomicNum() for a in whole.GetAtoms()]
                    compositions.add(Atoms(numbers).get_chemical_formula())
        else:
            names += [s for s in read_labels([file]).smiles if s is not None]
    large = {f.name for name in names for f in smiles_fragments(name) if f.heavy >= LARGE}
    return large, compositions


KINDS = {
    "reactions": reactions,
    "torsions": torsions,
    "groups": groups,
    "rings": rings,
    "parts": parts,
    "ions": ions,
    "radicals": radicals,
    "abstractions": abstractions,
    "cleavages": cleavages,
    "contacts": contacts,
    "small": small,
    "transfers": transfers,
    "dimers": dimers,
    "stacks": stacks,
    "curves": curves,
    "walls": walls,
    "faces": faces,
    "encounters": encounters,
    "stiff": stiff,
}
OF_A_FILE = {"survey": survey, "rearrangements": rearrangements, "states": states}


def main() -> None:
    """Parse arguments, make structures, write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    choice = f"{', '.join(KINDS)}; or {' or '.join(OF_A_FILE)} and a FILE"
    parser.add_argument("kinds", nargs="+", help=choice)
    parser.add_argument("--without", nargs="*", default=[], help="files kept for tests")
    parser.add_argument("--most", type=int, default=200, help="structures of a kind")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    left_out, compositions = held_back(options.without)
    found: list[Atoms] = []
    of_file = options.kinds[0] in OF_A_FILE and len(options.kinds) == 2
    if not of_file and set(options.kinds) - set(KINDS):
        parser.error(f"give kinds among {choice}")
    for number, kind in enumerate(options.kinds[:1] if of_file else options.kinds):
        rng = np.random.default_rng(options.seed + number)
        source = OF_A_FILE[kind](options.kinds[1], rng) if of_file else KINDS[kind](rng)
        kept = 0
        for atoms in source:
            known = any(f.name in left_out for f in smiles_fragments(atoms.info["smiles"]))
            reacts = atoms.info["name"] == "reaction"
            if not known and not (reacts and atoms.get_chemical_formula() in compositions):
                found.append(atoms)
                kept += 1
            if kept == options.most:
                break
        print(f"{kept} of {kind}", flush=True)
        write(options.out, found, format="extxyz")


if __name__ == "__main__":
    main()
