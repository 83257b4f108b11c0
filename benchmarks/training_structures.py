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
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from new_structures import pairs, reactions, single
from rdkit import Chem, RDLogger

from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.training.smiles import smiles_fragments
from ase_mlseqm.training.split import LARGE


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
    "reactions": reactions.reactions,
    "torsions": single.torsions,
    "groups": single.groups,
    "rings": single.rings,
    "parts": single.parts,
    "ions": single.ions,
    "radicals": single.radicals,
    "abstractions": reactions.abstractions,
    "cleavages": reactions.cleavages,
    "contacts": pairs.contacts,
    "small": single.small,
    "transfers": reactions.transfers,
    "dimers": pairs.dimers,
    "stacks": pairs.stacks,
    "curves": pairs.curves,
    "walls": pairs.walls,
    "faces": pairs.faces,
    "encounters": pairs.encounters,
    "stiff": single.stiff,
}
OF_A_FILE = {
    "survey": single.survey,
    "rearrangements": reactions.rearrangements,
    "states": single.states,
}


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
