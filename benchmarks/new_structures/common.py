"""Conformers and pairs of molecules, and how structures are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite

from ase_mlseqm.training.readers import read as read_labels


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


def together(smiles: str, rng: np.random.Generator) -> Atoms:
    """One molecule, or two that touch."""
    parts = [embedded(part, int(rng.integers(1000))) for part in smiles.split(".")]
    return parts[0] if len(parts) == 1 else pair(*parts, 0.0, rng)


def molecules_of(
    file: str, least: int, most: int, rng: np.random.Generator
) -> Iterator[tuple[str, Chem.Mol]]:
    """Single molecules of a labelled file with so many heavy atoms, in random order."""
    names = sorted({str(s) for s in read_labels([file]).smiles if s and "." not in s})
    for k in rng.permutation(len(names)):
        mol = Chem.MolFromSmiles(names[k])
        if mol is not None and least <= mol.GetNumHeavyAtoms() <= most:
            yield names[k], mol


def behind(mol: Chem.Mol, i: int, j: int) -> list[int]:
    """Atoms on the side of ``j`` of the bond between two atoms."""
    bond = mol.GetBondBetweenAtoms(i, j).GetIdx()
    cut = Chem.FragmentOnBonds(mol, [bond], addDummies=False)
    return list(next(part for part in Chem.GetMolFrags(cut) if j in part))


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
