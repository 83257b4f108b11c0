"""Write `environments.json`: molecules and what RDKit says of the hybridisation of their atoms.

Geometries are RDKit's distance geometry (ETKDGv3, fixed seed) and MMFF94. The file is committed and
this script is only a record of where it came from.
"""

from __future__ import annotations

import json
from pathlib import Path

import rdkit
from rdkit import Chem
from rdkit.Chem import AllChem

SEED = 7
SMILES = {
    "methane": "C",
    "ammonia": "N",
    "water": "O",
    "nitrogen": "N#N",
    "ethane": "CC",
    "ethene": "C=C",
    "ethyne": "C#C",
    "allene": "C=C=C",
    "butadiene": "C=CC=C",
    "cyclopropane": "C1CC1",
    "acetonitrile": "CC#N",
    "methanimine": "C=N",
    "acetamide": "CC(N)=O",
    "methyl acetate": "COC(C)=O",
    "acetic acid": "CC(=O)O",
    "carbon dioxide": "O=C=O",
    "ketene": "C=C=O",
    "dimethyl ether": "COC",
    "methyl vinyl ether": "C=COC",
    "trimethylamine": "CN(C)C",
    "hydrazine": "NN",
    "acetohydrazide": "CC(=O)NN",
    "nitromethane": "C[N+](=O)[O-]",
    "nitrosomethane": "CN=O",
    "methyl azide": "CN=[N+]=[N-]",
    "diazomethane": "C=[N+]=[N-]",
    "methyl isocyanide": "C[N+]#[C-]",
    "methyl isocyanate": "CN=C=O",
    "acetonitrile oxide": "CC#N=O",
    "dimethylcarbodiimide": "CN=C=NC",
    "benzene": "c1ccccc1",
    "phenol": "Oc1ccccc1",
    "aniline": "Nc1ccccc1",
    "styrene": "C=Cc1ccccc1",
    "benzonitrile": "N#Cc1ccccc1",
    "pyridine": "c1ccncc1",
    "pyridine N-oxide": "[O-][n+]1ccccc1",
    "pyrrole": "c1cc[nH]c1",
    "furan": "c1ccoc1",
    "thiophene": "c1ccsc1",
    "imidazole": "c1c[nH]cn1",
    "oxazole": "c1cocn1",
    "indole": "c1ccc2[nH]ccc2c1",
    "naphthalene": "c1ccc2ccccc2c1",
    "uracil": "O=c1cc[nH]c(=O)[nH]1",
    "adenine": "Nc1ncnc2[nH]cnc12",
    "2-pyridone": "O=c1cccc[nH]1",
    "oxazin-imine": "N=c1ccnco1",
    "maleimide": "O=C1C=CC(=O)N1",
    "benzoquinone": "O=C1C=CC(=O)C=C1",
    "p-xylylene": "C=C1C=CC(=C)C=C1",
    "fulvene": "C=C1C=CC=C1",
    "cyclopentadiene": "C1=CCC=C1",
    "cyclooctatetraene": "C1=CC=CC=CC=C1",
    "biphenyl": "c1ccc(-c2ccccc2)cc1",
    "fluorobenzene": "Fc1ccccc1",
    "dimethyl sulfide": "CSC",
    "thioacetamide": "CC(N)=S",
}


def entry(smiles: str) -> dict:
    """Numbers, positions (Angstrom, rounded to 1e-3) and hybridisation of the atoms."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    atoms = list(molecule.GetAtoms())
    hybridisation = [  # read now: MMFF replaces RDKit's idea of aromaticity by its own
        "aromatic" if atom.GetIsAromatic() else str(atom.GetHybridization()).lower()
        for atom in atoms
    ]
    if AllChem.EmbedMolecule(molecule, randomSeed=SEED) != 0:
        raise RuntimeError(f"RDKit cannot embed {smiles}")
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule)
    return {
        "smiles": smiles,
        "numbers": [atom.GetAtomicNum() for atom in atoms],
        "positions": molecule.GetConformer().GetPositions().round(3).tolist(),
        "hybridisation": hybridisation,
        "bonds": [[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in molecule.GetBonds()],
    }


def main() -> None:
    lines = ",\n".join(f'"{name}": {json.dumps(entry(s))}' for name, s in SMILES.items())
    text = f'{{"program": "RDKit {rdkit.__version__}", "molecules": {{\n{lines}\n}}}}\n'
    Path(__file__).with_name("environments.json").write_text(text)


if __name__ == "__main__":
    main()
