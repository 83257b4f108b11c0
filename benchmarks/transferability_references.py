"""Make `transferability/`: references at wB97X/6-31G* for `mlseqm transferability`.

    python benchmarks/transferability_references.py frequencies torsions relaxed dissociation \\
        extensibility
    python benchmarks/transferability_references.py reactions level --rdb7 FOLDER
    python benchmarks/transferability_references.py unseen --heldout FOLDER/ani1x_heldout.h5

Needs PySCF (`pip install ase-mlseqm[label]`).  Every label goes to a journal at once, and the
folder of `--work` also keeps minima and Hessians: after a run was killed the same command goes on.
One core needs about half an hour for all.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixInternals
from ase.data.vdw import vdw_radii
from ase.io import read, write
from ase.optimize import BFGS
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds
from scipy.sparse.csgraph import connected_components

from ase_mlseqm import MLSEQM
from ase_mlseqm.labelling import Label, LabelSettings, label, prepare
from ase_mlseqm.labelling.files import write_labels
from ase_mlseqm.labelling.run import LabelJournal, fingerprint
from ase_mlseqm.labelling.scf import solve
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.units import BOHR, EV_TO_KCAL, HARTREE
from ase_mlseqm.workflows.harmonic import harmonic
from ase_mlseqm.workflows.normal_modes import normal_modes, rigid_motions

OUT = Path(__file__).parent / "transferability"
RESTRICTED = LabelSettings()
UNRESTRICTED = LabelSettings(unrestricted=True)
FMAX = 0.001
"""Of the minima, eV/Angstrom."""
STIFF = 2.0
"""Least curvature where a relaxation starts, eV/Angstrom^2."""
TORSIONS = {
    "hydrogen_peroxide": ("H2O2", "HOOH", 15, 180),
    "formic_acid": ("HCOOH", "OCOH", 15, 180),
    "hydrazine": ("N2H4", "HNNH", 30, 330),
    "methanol": ("CH3OH", "HOCH", 10, 120),
    "glyoxal": ("OCHCHO", "OCCO", 15, 180),
}
"""Molecule of ASE's G2 set, elements along the torsion, step and last angle in degrees."""
RELAXED = {"hydrogen_peroxide": 30, "hydrazine": 30}
"""Torsions of which the rest is relaxed, too, and the step in degrees."""
RELAXED_FMAX = 0.01
"""Of these, eV/Angstrom."""
UNSEEN, UNSEEN_ATOMS, UNSEEN_STEP, UNSEEN_FMAX = 6, 14, 30, 0.03
"""Molecules that no training has seen: number, most atoms, step of their torsions in degrees, and
largest force where these start, eV/Angstrom."""
CLASH = 0.75
"""Of the sum of Bondi's radii: atoms further than three bonds apart come no closer in a torsion."""
BONDS = {
    "water_OH": ("H2O", "OH"),
    "hydrogen_peroxide_OO": ("H2O2", "OO"),
    "methane_CH": ("CH4", "CH"),
    "hydrazine_NN": ("N2H4", "NN"),
    "methanol_CO": ("CH3OH", "CO"),
}
"""Molecule of ASE's G2 set, and the elements of the bond."""
STRETCHES = np.array(
    [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.3, 1.6, 2, 2.5]
)
"""Changes of the length, Angstrom; denser where the curve bends."""
SPECTRA = (
    *("H2O", "NH3", "HCN", "C2H2", "H2CO", "CH4"),
    *("C2H4", "H2O2", "CO2", "N2O"),
)
FINITE = ("H2O",)
"""Of these the analytic Hessian is compared with finite differences of the labelled forces."""
SHAKEN = (
    *("H2O", "NH3", "CH4", "C2H2", "C2H6", "H3CNH2", "H2CO", "N2H4", "CH3OH", "C2H4", "HCN"),
    *("H2O2", "CH3CHO", "HCOOH", "CH3CH2OH", "CH3CN", "C3H6_D3h", "CO2", "CH3OCH3", "C3H8"),
    *("H2CCO", "CH3CH2NH2", "C2H6NH", "CH2OCH2"),
)
WIDTH = 0.05
"""Of the normal displacements of their atoms, Angstrom."""
REACTIONS, SEED, HEAVY, ATOMS = 5, 5, 6, 11
"""Drawn from the reactions of RDB7 with at most so many heavy atoms, and atoms."""


class Work:
    """Finished labels, minima and Hessians in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = LabelJournal(folder / "labels.journal")

    def label(self, atoms: Atoms, settings: LabelSettings = RESTRICTED) -> Label:
        """From the journal, or computed."""
        key = fingerprint(prepare(atoms, settings), settings)
        found = self.journal.find(key)
        if found is None:
            found = label(atoms, settings)
            if not found.converged:
                raise RuntimeError(f"{atoms.symbols}: {found.message}")
            self.journal.add(key, found)
            print(f"  {atoms.symbols} {found.energy:.6f} eV, <S2> {found.spin_squared:.3f}, "
                  f"{found.message}", flush=True)  # fmt: skip
        return found

    def minimum(self, name: str, start: Atoms | None = None, fmax: float = FMAX) -> Atoms:
        """From a start, or from a molecule of the G2 set (MP2/6-31G*), with the model's Hessian."""
        path = self.folder / f"{name}.extxyz"
        if not path.exists():
            atoms = molecule(name) if start is None else start.copy()
            atoms.set_initial_magnetic_moments(None)
            atoms.calc = model = MLSEQM()
            optimizer = BFGS(atoms, logfile=None)
            values, modes = np.linalg.eigh(model.get_hessian(atoms))
            optimizer.H0 = modes * np.maximum(values, STIFF) @ modes.T
            atoms.calc = Labelled(self, still=True)
            if not optimizer.run(fmax=fmax, steps=80):
                raise RuntimeError(f"{name}: did not relax")
            atoms = Atoms(atoms.numbers, atoms.positions.round(6), info={"name": name})
            write(path, atoms)
        found = read(path)
        return Atoms(found.numbers, found.positions.round(6), info={"name": name})

    def hessian(self, atoms: Atoms) -> np.ndarray:
        """PySCF's analytic Hessian of a minimum, (3A, 3A), eV/Angstrom^2."""
        path = self.folder / f"{atoms.info['name']}.npy"
        if not path.exists():
            mf, _, _ = solve(prepare(atoms, RESTRICTED), RESTRICTED)
            found = mf.Hessian().kernel().transpose(0, 2, 1, 3)
            np.save(path, found.reshape(3 * len(atoms), -1) * (HARTREE / BOHR**2))
        return np.load(path)


class Labelled(Calculator):
    """Labels as an ASE calculator."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, work: Work, still: bool = False) -> None:
        super().__init__()
        self.work = work
        self.still = still
        """Whether forces on the whole molecule, which are noise of the grid, are left out."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        """Energy and forces, eV and eV/Angstrom."""
        super().calculate(atoms, properties, system_changes)
        found = self.work.label(Atoms(self.atoms.numbers, self.atoms.positions.round(6)))
        forces = found.forces
        if self.still:
            rigid = rigid_motions(self.atoms.positions, np.ones(len(forces)))
            forces = forces - (rigid @ (rigid.T @ forces.ravel())).reshape(-1, 3)
        self.results = {"energy": found.energy, "forces": forces}


def chain(atoms: Atoms, symbols: str, start: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The first chain of bonded atoms with these elements."""
    if len(start) == len(symbols):
        return start
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    for k, symbol in enumerate(atoms.symbols):
        if symbol == symbols[len(start)] and k not in start and (not start or linked[start[-1], k]):
            found = chain(atoms, symbols, (*start, k))
            if found:
                return found
    return ()


def side(atoms: Atoms, i: int, j: int) -> np.ndarray:
    """Which atoms move with j when the bond from i to j is cut."""
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    linked[i, j] = linked[j, i] = False
    _, part = connected_components(linked)
    return part == part[j]


def frequencies(work: Work) -> None:
    """Minima and all harmonic frequencies, cm-1."""
    done = []
    for name in SPECTRA:
        atoms = work.minimum(name)
        modes = normal_modes(work.hessian(atoms), atoms.positions, atoms.get_masses())
        line = " ".join(f"{value:.0f}" for value in modes.frequencies)
        print(f"{name}: {line}", flush=True)
        if name in FINITE:
            other = harmonic(atoms, Labelled(work)).frequencies
            print(f"{name}: finite differences {other - modes.frequencies}", flush=True)
        atoms.info["frequencies"] = modes.frequencies.round(1)
        done.append((atoms, work.label(atoms)))
    write_labels(OUT / "frequencies.extxyz", done, RESTRICTED)


def torsions(work: Work) -> None:
    """Rigid rotations, one side of the bond turned, of the minima."""
    for name, (formula, elements, step, last) in TORSIONS.items():
        start = work.minimum(formula)
        write_torsion(work, name, turned(start, chain(start, elements), step, last))


def turned(start: Atoms, scan: tuple[int, ...], step: int, last: int) -> list[Atoms]:
    """A molecule at all angles of a dihedral, in degrees."""
    moving = np.flatnonzero(side(start, *scan[1:3]))
    found = []
    for angle in range(0, last + 1, step):
        atoms = start.copy()
        atoms.set_dihedral(*scan, angle, indices=moving)
        atoms.positions = atoms.positions.round(6)
        atoms.info |= {"scan_atoms": np.array(scan), "relaxed": False}
        found.append(atoms)
    return found


def write_torsion(work: Work, name: str, frames: list[Atoms]) -> None:
    """Label the frames of a torsion and write its file."""
    for atoms in frames:
        atoms.info["name"] = name
    done = [(atoms, work.label(atoms)) for atoms in frames]
    write_labels(OUT / "torsions" / f"{name}.extxyz", done, RESTRICTED)
    profile = np.array([found.energy for _, found in done]) * EV_TO_KCAL
    print(f"{name}: {(profile - profile.min()).round(2)} kcal/mol", flush=True)


def unseen(work: Work, file: Path) -> None:
    """The same of molecules drawn at random from a file of fragments that are in no training."""
    data = read_labels([str(file)])
    rng = np.random.default_rng(SEED)
    single = [k for k, smiles in enumerate(data.smiles) if smiles and "." not in smiles]
    chosen = 0
    for k in rng.permutation(single):
        frame = int(np.flatnonzero(data.molecule == k)[0])
        atoms = Atoms(data.numbers[frame], data.positions[frame])
        scan = rotatable(atoms, rng) if len(atoms) <= UNSEEN_ATOMS else ()
        if not scan:
            continue
        angles = UNSEEN_STEP, 360 - UNSEEN_STEP
        if any(clash(turn) for turn in turned(atoms, scan, *angles)):
            print(f"{data.smiles[k]}: atoms come too close when it is turned", flush=True)
            continue
        name = f"{atoms.get_chemical_formula()}_{k}"
        frames = turned(work.minimum(name, atoms, UNSEEN_FMAX), scan, *angles)
        for frame in frames:
            frame.info["smiles"] = data.smiles[k]
        write_torsion(work, name, frames)
        chosen += 1
        if chosen == UNSEEN:
            return


def rotatable(atoms: Atoms, rng: np.random.Generator) -> tuple[int, ...]:
    """The atoms of a dihedral about a single bond drawn at random, none without such a bond."""
    xyz = io.StringIO()
    write(xyz, Atoms(atoms.numbers, atoms.positions), format="xyz")
    mol = Chem.MolFromXYZBlock(xyz.getvalue())
    rdDetermineBonds.DetermineBonds(mol, charge=0)
    single = Chem.MolFromSmarts("[!#1;!$(*#*);!$([CX4H3])]-!@[!#1;!$(*#*);!$([CX4H3])]")
    found = [
        f
        for f in mol.GetSubstructMatches(single)
        if all(mol.GetAtomWithIdx(x).GetDegree() > 1 for x in f)
    ]
    if not found:
        return ()
    b, c = found[rng.integers(len(found))]
    ends = []
    for one, other in ((b, c), (c, b)):
        near = [n for n in mol.GetAtomWithIdx(one).GetNeighbors() if n.GetIdx() != other]
        ends.append(max(near, key=lambda n: n.GetAtomicNum()).GetIdx())
    return ends[0], b, c, ends[1]


def clash(atoms: Atoms) -> bool:
    """Whether two atoms further than three bonds apart touch."""
    linked = bonds(atoms.numbers, atoms.positions[None])[0] | np.eye(len(atoms), dtype=bool)
    near = np.linalg.matrix_power(linked.astype(int), 3) > 0
    radii = np.array([vdw_radii[z] for z in atoms.numbers])
    return bool((atoms.get_all_distances() < CLASH * (radii[:, None] + radii))[~near].any())


def relaxed(work: Work) -> None:
    """The same torsions with all else relaxed, from one angle to the next."""
    for name, step in RELAXED.items():
        formula, elements, _, last = TORSIONS[name]
        atoms = work.minimum(formula)
        scan = chain(atoms, elements)
        moving = np.flatnonzero(side(atoms, *scan[1:3]))
        done = []
        for angle in range(0, last + 1, step):
            atoms.set_constraint()
            atoms.set_dihedral(*scan, angle, indices=moving)
            held = FixInternals(dihedrals_deg=[[angle, list(scan)]], epsilon=1e-6)
            atoms.set_constraint(held)
            atoms.calc = Labelled(work, still=True)
            if not BFGS(atoms, logfile=None).run(fmax=RELAXED_FMAX, steps=40):
                raise RuntimeError(f"{name} at {angle} degrees: did not relax")
            frame = Atoms(atoms.numbers, atoms.positions.round(6))
            frame.info |= {"name": name, "scan_atoms": np.array(scan), "relaxed": True}
            done.append((frame, work.label(frame)))
        write_labels(OUT / "torsions" / f"{name}_relaxed.extxyz", done, RESTRICTED)
        profile = np.array([found.energy for _, found in done]) * EV_TO_KCAL
        print(f"{name}: {(profile - profile.min()).round(2)} kcal/mol", flush=True)


def extensibility(work: Work) -> None:
    """Two shaken structures of molecules that are smaller than those of the public files."""
    rng = np.random.default_rng(SEED)
    found = []
    for name in SHAKEN:
        for _ in range(2):
            atoms = molecule(name)
            positions = atoms.positions + rng.normal(scale=WIDTH, size=(len(atoms), 3))
            atoms = Atoms(atoms.numbers, positions.round(6), info={"name": name})
            found.append((atoms, work.label(atoms)))
    write_labels(OUT / "extensibility_small.extxyz", found, RESTRICTED)


def dissociation(work: Work) -> None:
    """Both sides rigid; ``limit`` is the energy of the two radicals as they are in the minimum."""
    for name, (formula, elements) in BONDS.items():
        start = work.minimum(formula)
        i, j = chain(start, elements)
        moving = side(start, i, j)
        parts = [Atoms(start.numbers[k], start.positions[k]) for k in (moving, ~moving)]
        for part in parts:
            part.info["multiplicity"] = 2
        limit = sum(work.label(part).energy for part in parts)
        along = start.positions[j] - start.positions[i]
        along /= np.linalg.norm(along)
        done = []
        for change in STRETCHES:
            atoms = start.copy()
            atoms.positions[moving] += change * along
            atoms.positions = atoms.positions.round(6)
            atoms.info |= {"name": name, "scan_atoms": np.array([i, j]), "limit": limit}
            done.append((atoms, work.label(atoms, UNRESTRICTED)))
        write_labels(OUT / "dissociation" / f"{name}.extxyz", done, UNRESTRICTED)
        curve = (np.array([found.energy for _, found in done]) - limit) * EV_TO_KCAL
        print(f"{name}: {curve.round(2)} kcal/mol", flush=True)


def reactions(work: Work, source: Path) -> None:
    """Single points at some of the structures of RDB7, whose files are copied."""
    sizes = {path.name: read(path / f"ts{path.name[3:]}.xyz") for path in source.glob("rxn*")}
    small = sorted(
        name
        for name, atoms in sizes.items()
        if (atoms.numbers > 1).sum() <= HEAVY and len(atoms) <= ATOMS
    )
    chosen = np.random.default_rng(SEED).choice(small, REACTIONS, replace=False)
    names = sorted(map(str, chosen))
    for name in names:
        shutil.copytree(source / name, OUT / "reactions" / "rdb7" / name, dirs_exist_ok=True)
    differences(work, source, names, UNRESTRICTED, OUT / "reactions" / "rdb7" / "data.csv")


def level(work: Work, source: Path) -> None:
    """Single points at all structures of RDB7, closed shells as in training; no file is copied."""
    names = sorted(path.name for path in source.glob("rxn*"))
    differences(work, source, names, RESTRICTED, OUT / "rdb7_level.csv")


def differences(
    work: Work, source: Path, names: Sequence[str], settings: LabelSettings, path: Path
) -> None:
    """Write barriers and reaction energies, kcal/mol, in the layout of RDB7."""
    rows = []
    for name in names:
        number = name[3:]
        energy = {
            kind: work.label(read(source / name / f"{kind}{number}.xyz"), settings).energy
            for kind in ("r", "ts", "p")
        }
        rows.append(
            {
                "rxn": int(number),
                "barrier": f"{(energy['ts'] - energy['r']) * EV_TO_KCAL:.3f}",
                "reaction_energy": f"{(energy['p'] - energy['r']) * EV_TO_KCAL:.3f}",
                "level": settings.level,
            }
        )
        print(rows[-1], flush=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


OF_RDB7 = {"reactions": reactions, "level": level}


def main() -> None:
    parts = {"frequencies": frequencies, "torsions": torsions, "relaxed": relaxed}
    parts |= {"dissociation": dissociation, "extensibility": extensibility}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="+", choices=[*parts, *OF_RDB7, "unseen"])
    parser.add_argument("--rdb7", type=Path, help=f"folder of RDB7, for {' and '.join(OF_RDB7)}")
    parser.add_argument(
        "--heldout", type=Path, help="labels of fragments of no training, for unseen"
    )
    parser.add_argument("--work", type=Path, default=Path("transferability_work"))
    given = parser.parse_args()
    if set(OF_RDB7) & set(given.part) and given.rdb7 is None:
        parser.error(f"{' and '.join(OF_RDB7)} need --rdb7 FOLDER")
    if "unseen" in given.part and given.heldout is None:
        parser.error("unseen needs --heldout FILE")
    work = Work(given.work)
    for folder in ("torsions", "dissociation", "reactions"):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
    failed = []
    for name in given.part:
        try:
            if name in OF_RDB7:
                OF_RDB7[name](work, given.rdb7)
            elif name == "unseen":
                unseen(work, given.heldout)
            else:
                parts[name](work)
        except RuntimeError as error:  # the other parts can still be made
            failed.append(f"{name}: {error}")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
