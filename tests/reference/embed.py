"""Write `embedded.xyz`: geometries of molecules that neither ASE's G2 set nor a formula gives.

RDKit's distance geometry (ETKDGv3, fixed seed) followed by UFF. Coordinates depend on the RDKit
version, so the file is committed and this script is only a record of where it came from.
"""

from __future__ import annotations

from pathlib import Path

from ase import Atoms
from ase.io import write
from rdkit import Chem
from rdkit.Chem import AllChem

SEED = 20220131
SMILES = {
    # closed-shell neutrals
    "glycine": "NCC(=O)O",
    "formamide": "NC=O",
    "N-methylacetamide": "CC(=O)NC",
    "urea": "NC(N)=O",
    "thiourea": "NC(N)=S",
    "uracil": "O=c1cc[nH]c(=O)[nH]1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "nitrobenzene": "O=[N+]([O-])c1ccccc1",
    "cysteine": "NC(CS)C(=O)O",
    "methanesulfonic acid": "CS(=O)(=O)O",
    "phosphoric acid": "OP(=O)(O)O",
    "phosphoryl chloride": "O=P(Cl)(Cl)Cl",
    "phosphorus trichloride": "ClP(Cl)Cl",
    "methylphosphine": "CP",
    "disiloxane": "[SiH3]O[SiH3]",
    "dichlorosilane": "Cl[SiH2]Cl",
    "trimethylaluminium": "C[Al](C)C",
    "aluminium hydroxide": "O[Al](O)O",
    "fluoromethane": "CF",
    "bromomethane": "CBr",
    "bromobenzene": "Brc1ccccc1",
    "bromotrifluoromethane": "FC(F)(F)Br",
    "iodomethane": "CI",
    "iodoethene": "C=CI",
    "hypoiodous acid": "OI",
    "boric acid": "OB(O)O",
    "borazine": "B1NBNBN1",
    "methylborane": "CB",
    # ions
    "ammonium": "[NH4+]",
    "hydronium": "[OH3+]",
    "hydrazinium": "N[NH3+]",
    "phosphonium": "[PH4+]",
    "tropylium": "[cH+]1cccccc1",
    "tert-butyl cation": "C[C+](C)C",
    "guanidinium": "NC(N)=[NH2+]",
    "formate": "[O-]C=O",
    "nitrate": "O=[N+]([O-])[O-]",
    "dihydrogenphosphate": "OP(=O)(O)[O-]",
    "phenoxide": "[O-]c1ccccc1",
    "tetrahydroborate": "[BH4-]",
    # radicals
    "phenoxyl": "[O]c1ccccc1",
    "allyl": "C=C[CH2]",
    "peroxyl": "CO[O]",
}


def embed(smiles: str) -> Atoms:
    """A three-dimensional structure, coordinates rounded to 1e-4 Angstrom."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(molecule, randomSeed=SEED) != 0:
        raise RuntimeError(f"RDKit cannot embed {smiles}")
    if AllChem.UFFHasAllMoleculeParams(molecule):
        AllChem.UFFOptimizeMolecule(molecule)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return Atoms(symbols, molecule.GetConformer().GetPositions().round(4))


def main() -> None:
    frames = []
    for name, smiles in SMILES.items():
        frames.append(embed(smiles))
        frames[-1].info = {"name": name, "smiles": smiles}
    write(Path(__file__).with_name("embedded.xyz"), frames, format="extxyz")


if __name__ == "__main__":
    main()
