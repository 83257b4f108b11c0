"""Make structures that the public labels lack, to be labelled by `mlseqm label` for training.

    python benchmarks/training_structures.py survey FOLDER/ani1x_labels.h5 --out survey.extxyz
    python benchmarks/training_structures.py reactions torsions groups contacts --out others.extxyz

`survey` takes the frames of which the committee of the shipped model is least sure.  The others
are made here: paths on which bonds form and break and rigid rotations about single bonds (both of
minima of GFN2-xTB), functional groups that are rare in the files in Langevin dynamics of GFN2-xTB,
and pairs of small molecules from touching to apart.  Fragments of `--without FILE...` with four or
more heavy atoms are left out: give all files that are kept for tests.  Needs RDKit and tblite.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.constraints import Hookean
from ase.data import covalent_radii
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite

from ase_mlseqm import evaluate
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.training.smiles import smiles_fragments
from ase_mlseqm.training.split import LARGE

REACTANTS = (
    *("C=C", "C=O", "CC=O", "CO", "CN", "C=CO", "NC=O", "OC=O", "C=N", "CC", "CC=N", "C=C=O"),
    *("C#N", "C#C", "CC#N", "C#CC", "NO", "NN", "OO", "CNO", "N=NC", "C=C=C", "O=CO", "CC=C"),
    *("COO", "NC=N", "CN=O", "C=CN", "C1CC1", "C1CO1", "C1CN1", "C1=CC1", "CC(C)=O", "CC(=O)O"),
    *("CC(N)=O", "C=CC=O", "C=CC=C", "OCC=O", "NCC=O", "CC(=O)C=O", "COC=O", "CNC=O", "CC=CO"),
    *("C1CCC1", "C1CCO1", "C1=CCC1", "OC=CC=O", "CCC=O", "N#CC=O", "C#CC=O", "OCCO", "NCCO"),
    *("C=C.C=C", "C=C.C=O", "C=O.O", "C=O.N", "C=C.O", "C#N.N", "C=N.O", "N=C=O.O", "O=C=O.N"),
    *("C#C.O", "C=C=O.O", "OC=O.O", "NC=O.O", "C=C.N=[N+]=[N-]", "C=C.C#N", "CO.C=O", "N.C=N"),
)
"""SMILES; a dot separates the partners of a reaction of two molecules."""
GROUPS = (
    *("C[N+](=O)[O-]", "C=C[N+](=O)[O-]", "CC(C)[N+](=O)[O-]", "CCC[N+](=O)[O-]"),
    *("NC=C[N+](=O)[O-]", "O=[N+]([O-])c1ccco1", "O=[N+]([O-])c1ccc[nH]1", "CN(C)[N+](=O)[O-]"),
    *("O=[N+]([O-])c1ccccc1", "Nc1ccccc1[N+](=O)[O-]", "CO[N+](=O)[O-]", "CCO[N+](=O)[O-]"),
    *("CON=O", "CCN=O", "CN=NC", "CN=[N+]=[N-]", "CCN=[N+]=[N-]", "C=[N+]=[N-]", "N#CN", "CN=C=O"),
    *("CC(C)=NO", "C=NO", "CC=NN", "NC(=O)NN", "CNC(N)=O", "NC(N)=N", "COC(N)=O", "COC(=O)OC"),
    *("O=C1C=CC(=O)N1", "O=C1CCC(=O)O1", "CC(=O)OC(C)=O", "c1nnn[nH]1", "c1ncn[nH]1", "c1cnon1"),
    *("c1nnco1", "c1cnoc1", "c1cn[nH]c1", "c1ccnnc1", "c1ncncn1", "C[N+](C)(C)[O-]"),
    *("[O-][n+]1ccccc1", "C[N+]#[C-]", "CC#N", "N#CC#N", "C=C=C", "C=C=CC", "C=C=O", "CC=C=O"),
    *("CC#CC", "C#CC#C", "C1CC1=O", "C1=CC1", "C1CC12CC2", "C1C2CC12", "C1OC1C=O", "CC1OO1"),
    *("COOC", "CC(=O)OO", "OCO", "COCOC", "C1OCOCO1", "NCN", "CN(C)N(C)C", "NO", "CNO", "CON"),
    *("O=C1C=CC=CC1=O", "O=C1C=CC(=O)C=C1", "C1=CC=CC=CC=C1", "C1=CC2C=CC12", "C1=COC=CO1"),
)
"""SMILES of functional groups that the public labels have few frames of."""
SMALL = (
    *("[H][H]", "N#N", "[C-]#[O+]", "O", "C", "N", "C#N", "C#C", "C=C", "CC", "C=O", "CO", "OO"),
    *("NN", "O=C=O", "[N-]=[N+]=O", "CN", "CC=O", "OC=O", "C1CN1", "C1CO1", "CC#N", "COC", "C#CC"),
    *("C=C=C", "C1=CC1", "CC=C", "C1CC1", "CCC", "C=C=O", "CCO", "N=O", "N=C=O", "[C-]#[N+]O"),
    *("ON=O", "N=[N+]=[N-]", "C=[N+]=[N-]", "NC=O", "NO", "C=N", "CNC", "CCN", "OCO", "C=CO"),
    *("N#CN", "N=N", "NC=N", "N=CO"),
)
"""SMILES of molecules of up to three heavy atoms."""
PARTNERS = (
    *("C", "CC", "CCC", "C=C", "CC=C", "C#C", "C1CC1", "N", "CN", "O", "CO", "COC", "C=O", "CC=O"),
    *("OC=O", "NC=O", "C#N", "CC#N", "O=C=O", "CC(C)C", "C=CC=C", "c1ccoc1", "c1cc[nH]c1"),
)
"""Of pairs; in four cases of ten the first one is drawn again from the hydrocarbons."""
HYDROCARBONS = ("C", "CC", "CCC", "C=C", "CC=C", "C#C", "C1CC1", "CC(C)C", "C=CC=C")
LEFT_OUT = {"O", "CO", "CN", "C=C", "C#C"}
"""Pairs of these are in S66."""
SCANNED = {"OO", "OC=O", "NN", "CO", "O=CC=O"}
"""Their torsions are references of a test."""
HIGHEST = 5.5
"""Of a path above its start, eV."""
SPRING = 25.0
"""That drives a path, eV/Angstrom^2."""


def embedded(smiles: str, seed: int) -> Atoms:
    """A conformer, relaxed with GFN2-xTB."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(mol, randomSeed=seed):
        raise ValueError(f"{smiles}: no conformer")
    numbers = [a.GetAtomicNum() for a in mol.GetAtoms()]
    atoms = Atoms(numbers, mol.GetConformer().GetPositions())
    return relaxed(atoms, 0.05, 100)


def relaxed(atoms: Atoms, fmax: float, steps: int) -> Atoms:
    """Relaxed with GFN2-xTB as far as the steps go."""
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=fmax, steps=steps)
    return atoms


def finished(atoms: Atoms, smiles: str, kind: str) -> Atoms:
    """A structure as it is written."""
    return Atoms(atoms.numbers, atoms.positions.round(5), info={"smiles": smiles, "name": kind})


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


def reactions(rng: np.random.Generator) -> Iterator[Atoms]:
    """The top of a path and a structure on each of its sides."""
    for smiles in REACTANTS * 2:
        parts = [embedded(part, int(rng.integers(1000))) for part in smiles.split(".")]
        atoms = parts[0] if len(parts) == 1 else pair(*parts, 0.0, rng)
        chosen = changes(atoms, rng)
        if chosen is None:
            continue
        frames = path(atoms, *chosen)
        energies = np.array([f.info["energy"] for f in frames])
        top = int(energies.argmax())
        if not 0.5 < np.ptp(energies) < HIGHEST or top < 2:
            continue
        side = min(top + 1 + int(rng.integers(2)), len(frames) - 1)
        for k in sorted({top, side, top - 1 - int(rng.integers(min(3, top)))}):
            frames[k].rattle(0.02, rng=rng)
            yield finished(frames[k], canonical(smiles), "reaction")


def torsions(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two angles about a single bond between two heavy atoms that are no ends of chains."""
    single = Chem.MolFromSmarts("[!#1;!$(*#*);!D1]-!@[!#1;!$(*#*);!D1]")
    names = [*GROUPS, *REACTANTS, "CCCC", "CCCO", "CCC=C", "CCC=O", "COCC", "CNCC", "NCCN", "OCCN"]
    names += ["CC(=O)NC", "CC(=O)OC", "C=CC(N)=O", "C=COC", "COC(C)=O", "NCC(=O)O", "CC(C)CO"]
    names += ["C=Cc1ccccc1", "COc1ccccc1", "Nc1ccccc1", "O=Cc1ccccc1", "Cc1ccccc1", "CCc1ccccc1"]
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
        cut = Chem.FragmentOnBonds(mol, [mol.GetBondBetweenAtoms(b, c).GetIdx()], addDummies=False)
        moved = next(part for part in Chem.GetMolFrags(cut) if c in part)
        for angle in rng.choice([45, 60, 90, 120, 180], 2, replace=False):
            frame = atoms.copy()
            frame.rotate_dihedral(a, b, c, d, float(angle), indices=list(moved))
            frame.rattle(0.01, rng=rng)
            away = frame.get_all_distances() + 9 * np.eye(len(frame))
            if away.min() > 0.8:
                yield finished(frame, canonical(smiles), "torsion")


def groups(rng: np.random.Generator) -> Iterator[Atoms]:
    """Two structures of a trajectory at 300 and 800 K."""
    for smiles in GROUPS:
        atoms = embedded(smiles, int(rng.integers(1000)))
        for kelvin in (300, 800):
            thermalize_momenta(atoms, temperature_K=kelvin, rng=rng)
            friction = 0.02 / units.fs
            Langevin(
                atoms, 1 * units.fs, temperature_K=kelvin, friction=friction, rng=rng, fixcm=False
            ).run(80)
            yield finished(atoms, canonical(smiles), "group")


def small(rng: np.random.Generator) -> Iterator[Atoms]:
    """Minima, and these shaken little and much."""
    for smiles in SMALL:
        atoms = embedded(smiles, 1)
        for width in (0.0, 0.03, 0.05, 0.07, 0.09, 0.12):
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


def fragments(files: list[str]) -> set[str]:
    """Names of the large fragments of labelled files and of the folder of RDB7."""
    names = []
    for file in files:
        if Path(file).is_dir():
            for row in csv.DictReader((Path(file) / "data.csv").open()):
                for mapped in row["smiles"].split(">>"):
                    mol = Chem.MolFromSmiles(mapped)
                    for atom in mol.GetAtoms():
                        atom.SetAtomMapNum(0)
                    names.append(Chem.MolToSmiles(Chem.RemoveHs(mol)))
        else:
            names += [s for s in read_labels([file]).smiles if s is not None]
    return {f.name for name in names for f in smiles_fragments(name) if f.heavy >= LARGE}


KINDS = {
    "reactions": reactions,
    "torsions": torsions,
    "groups": groups,
    "contacts": contacts,
    "small": small,
}


def main() -> None:
    """Parse arguments, make structures, write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kinds", nargs="+", help=f"{', '.join(KINDS)}; or survey FILE")
    parser.add_argument("--without", nargs="*", default=[], help="files kept for tests")
    parser.add_argument("--most", type=int, default=200, help="structures of a kind")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    left_out = fragments(options.without)
    found: list[Atoms] = []
    surveyed = options.kinds[0] == "survey" and len(options.kinds) == 2
    if not surveyed and set(options.kinds) - set(KINDS):
        parser.error(f"give kinds among {', '.join(KINDS)}, or survey FILE")
    for number, kind in enumerate(options.kinds[:1] if surveyed else options.kinds):
        rng = np.random.default_rng(number)
        source = survey(options.kinds[1], rng) if surveyed else KINDS[kind](rng)
        kept = 0
        for atoms in source:
            if not any(f.name in left_out for f in smiles_fragments(atoms.info["smiles"])):
                found.append(atoms)
                kept += 1
            if kept == options.most:
                break
        print(f"{kept} of {kind}", flush=True)
    write(options.out, found, format="extxyz")


if __name__ == "__main__":
    main()
