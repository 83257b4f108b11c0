"""Make `structures/ions_radicals.xyz`: `python benchmarks/ions_radicals.py`.

Ten ions and ten radicals: PM3 minima whose atoms are then displaced at random, so that no method
is at rest there, with wB97X/6-31G* energies and forces.  Needs rdkit and PySCF
(`pip install ase-mlseqm[reference,label]`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.optimize import LBFGS
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from ase_mlseqm import MLSEQM
from ase_mlseqm.labelling import Label, LabelSettings, label
from ase_mlseqm.labelling.files import write_labels

FILE = Path(__file__).parent / "structures" / "ions_radicals.xyz"
SEED = 7
FRAMES = 2
SIZE = 0.05
"""Standard deviation of the displacement of every coordinate, Angstrom."""
SMILES = {
    "hydronium": "[OH3+]",
    "ammonium": "[NH4+]",
    "methylammonium": "C[NH3+]",
    "guanidinium": "NC(N)=[NH2+]",
    "imidazolium": "c1c[nH]c[nH+]1",
    "hydroxide": "[OH-]",
    "cyanide": "[C-]#N",
    "nitrite": "[O-]N=O",
    "methoxide": "C[O-]",
    "acetate": "CC(=O)[O-]",
    "methyl": "[CH3]",
    "amino": "[NH2]",
    "hydroxyl": "[OH]",
    "ethyl": "C[CH2]",
    "methoxy": "C[O]",
    "hydroperoxyl": "O[O]",
    "nitric oxide": "[N]=O",
    "nitrogen dioxide": "O=[N+][O-]",
    "formyl": "[CH]=O",
    "allyl": "C=C[CH2]",
}
"""Ten ions, then ten radicals (doublets)."""


def relaxed(name: str, smiles: str) -> Atoms:
    """The PM3 minimum next to a conformer of ETKDG."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if rdDistGeom.EmbedMolecule(mol, randomSeed=SEED):
        raise RuntimeError(f"{name}: no conformer")
    atoms = Atoms(
        [atom.GetAtomicNum() for atom in mol.GetAtoms()], mol.GetConformer().GetPositions()
    )
    atoms.info.update(
        name=name,
        smiles=smiles,
        charge=Chem.GetFormalCharge(mol),
        multiplicity=1 + sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()),
    )
    atoms.calc = MLSEQM(method="PM3")
    if not LBFGS(atoms, logfile=None).run(fmax=0.005, steps=500):
        raise RuntimeError(f"{name}: did not relax")
    atoms.calc = None
    atoms.positions -= atoms.get_center_of_mass()
    return atoms


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    settings = LabelSettings()
    source = (
        f"RDKit {rdBase.rdkitVersion} ETKDG (seed {SEED}), PM3 minimum (ase-mlseqm), "
        f"displaced by {SIZE:g} A"
    )
    done: list[tuple[Atoms, Label]] = []
    for name, smiles in SMILES.items():
        minimum = relaxed(name, smiles)
        rng = np.random.default_rng([SEED, *name.encode()])
        for _ in range(FRAMES):
            atoms = minimum.copy()
            atoms.positions = (minimum.positions + rng.normal(0, SIZE, (len(atoms), 3))).round(6)
            atoms.info["geometry"] = source
            found = label(atoms, settings)
            if not found.converged:
                raise RuntimeError(f"{name}: {found.message}")
            done.append((atoms, found))
            spin = f"multiplicity {found.multiplicity}, <S2> {found.spin_squared:.3f}"
            print(f"{name:18s} {found.charge:+d} {spin}, {found.message}", flush=True)
    write_labels(FILE, done, settings)


if __name__ == "__main__":
    main()
