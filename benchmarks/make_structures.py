"""Make the structures of the benchmarks: `python benchmarks/make_structures.py`.

Needs rdkit (`pip install ase-mlseqm[reference]`).
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.io import write
from ase.optimize import LBFGS
from fullerene import bonds, embed, face_neighbours
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem
from rdkit.Chem import rdMolTransforms as transforms

from ase_mlseqm import MLSEQM

FOLDER = Path(__file__).parent / "structures"
SEED = 7
SPIRAL = [1, 7, 9, 11, 13, 15, 27, 29, 31, 33, 35, 37]  # of D5h C70
SEQUENCE = "ADGAVLTNFYIA"  # 176 atoms
TRIPEPTIDE = "CC(=O)N[C@@H](CO)C(=O)N[C@@H](C)C(=O)NCC(=O)NC"  # Ac-Ser-Ala-Gly-NHMe, 40 atoms
PHI, PSI = -57.0, -47.0  # degrees, alpha helix


def to_atoms(mol: Chem.Mol) -> Atoms:
    """The only conformer of a molecule."""
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return Atoms(numbers, mol.GetConformer().GetPositions())


def relaxed_conformer(smiles: str) -> Atoms:
    """ETKDG conformer relaxed with MMFF94."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=SEED)
    AllChem.MMFFOptimizeMolecule(mol, maxIters=5000)
    return to_atoms(mol)


def relax(atoms: Atoms, fmax: float = 0.005) -> Atoms:
    """PM3 minimum."""
    atoms.calc = MLSEQM(method="PM3")
    if not LBFGS(atoms, logfile=None).run(fmax=fmax, steps=500):
        raise RuntimeError(f"{atoms.get_chemical_formula()} did not relax")
    atoms.calc = None
    return atoms


def c70() -> Atoms:
    """D5h C70, relaxed with PM3."""
    edges = bonds(face_neighbours(SPIRAL, 70))
    if len(edges) != 105:
        raise RuntimeError(f"C70 has 105 bonds, not {len(edges)}")
    return relax(Atoms("C70", embed(edges)))


def helix(sequence: str) -> Atoms:
    """Neutral peptide as an alpha helix: backbone set, then relaxed with MMFF94."""
    mol = Chem.AddHs(Chem.MolFromSequence(sequence))
    AllChem.EmbedMolecule(mol, randomSeed=SEED, useRandomCoords=True)
    conformer = mol.GetConformer()
    residue = Chem.MolFromSmarts("[NX3][CX4]C=O")
    backbone = sorted(mol.GetSubstructMatches(residue))
    if len(backbone) != len(sequence):
        raise RuntimeError(f"{len(backbone)} residues found in {sequence}")
    for (n1, a1, c1, _), (n2, a2, c2, _) in pairwise(backbone):
        transforms.SetDihedralDeg(conformer, n1, a1, c1, n2, PSI)
        transforms.SetDihedralDeg(conformer, a1, c1, n2, a2, 180.0)
        transforms.SetDihedralDeg(conformer, c1, n2, a2, c2, PHI)
    field = AllChem.MMFFGetMoleculeForceField(mol, AllChem.MMFFGetMoleculeProperties(mol))
    field.Initialize()
    for _ in range(50):
        if field.Minimize(maxIts=2000) == 0:
            break
    return to_atoms(mol)


def closest(atoms: Atoms) -> float:
    """Smallest distance between two atoms, Angstrom."""
    distances = atoms.get_all_distances()
    return float(distances[np.triu_indices(len(atoms), 1)].min())


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rdkit = f"RDKit {rdBase.rdkitVersion}"
    mmff = f"{rdkit}, ETKDG (seed {SEED}), MMFF94 minimum"
    spiral = " ".join(map(str, SPIRAL))
    made = {
        "water": (molecule("H2O"), "ase.build.molecule: G2 geometry, MP2/6-31G(d)"),
        "ethanol": (molecule("CH3CH2OH"), "ase.build.molecule: G2 geometry, MP2/6-31G(d)"),
        "benzene": (molecule("C6H6"), "ase.build.molecule: G2 geometry, MP2/6-31G(d)"),
        "aspirin": (relaxed_conformer("CC(=O)Oc1ccccc1C(=O)O"), mmff),
        "tripeptide": (relaxed_conformer(TRIPEPTIDE), f"{TRIPEPTIDE}; {mmff}"),
        "coronene": (relaxed_conformer("c1cc2ccc3ccc4ccc5ccc6ccc1c7c2c3c4c5c67"), mmff),
        "c70": (c70(), f"D5h, face spiral {spiral}, PM3 minimum (ase-mlseqm)"),
        "peptide": (
            helix(SEQUENCE),
            f"{rdkit}, sequence {SEQUENCE}, neutral, alpha helix (phi {PHI:g}, psi {PSI:g}), "
            "MMFF94 minimum",
        ),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, (atoms, source) in made.items():
        atoms.positions -= atoms.get_center_of_mass()
        path = FOLDER / f"{name}.xyz"
        write(path, atoms, format="xyz", comment=f"{name}; {source}", fmt="%14.8f")
        formula = atoms.get_chemical_formula()
        print(f"{name:10s} {len(atoms):4d} {formula:14s} closest {closest(atoms):.3f} A; {source}")


if __name__ == "__main__":
    main()
