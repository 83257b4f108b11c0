"""Labelled frames that models are evaluated on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accuracy_methods import Properties
from ase.io import read as read_atoms

from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.batch import Molecule
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.split import split
from ase_mlseqm.units import HARTREE

STRUCTURES = Path(__file__).parent / "structures" / "ions_radicals.xyz"
TRAINING = "dft_train.h5"
FILES = {
    "validation": TRAINING,
    "large_val": "dft_large_val.h5",
    "test": "dft_test.h5",
    "large": "dft_large.h5",
    "heldout": "ani1x_heldout.h5",
}
"""File of each set in the data folder; the ions and radicals come with this repository."""
OPEN = "ions_radicals"
FINAL = ("test", "large", "heldout")
"""Sets on which no choice may be based: every evaluation is logged."""
SIZES = ((1, 3), (4, 6), (7, 9), (10, 12), (13, 15), (16, 99))
"""Heavy atoms, first and last, of the bins."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    """F labelled frames.

    Attributes
    ----------
    note : str
        What the set is, in words.
    molecules : list of F Molecule
    reference : Properties
        The labels.
    molecule : (F,) array of int
        Frames of equal SMILES have equal numbers.
    names, smiles : list of F str
        Group and frame in the file; SMILES.
    file, sha256 : str
        Name and checksum of the file.
    """

    note: str
    molecules: list[Molecule]
    reference: Properties
    molecule: np.ndarray
    names: list[str]
    smiles: list[str]
    file: str
    sha256: str

    def __len__(self) -> int:
        return len(self.molecules)

    @property
    def heavy(self) -> np.ndarray:
        """Heavy atoms of every frame, (F,)."""
        return np.array([int((m.numbers > 1).sum()) for m in self.molecules])

    @property
    def kinds(self) -> list[str]:
        """Of every frame: molecules or dimers; cations, anions, radicals."""
        return [_kind(m, s) for m, s in zip(self.molecules, self.smiles, strict=True)]

    def groups(self) -> dict[str, np.ndarray]:
        """Masks (F,) of all frames, and of those of each kind and each size."""
        kinds = np.array(self.kinds)
        out = {"all": np.ones(len(self), dtype=bool)}
        out |= {kind: kinds == kind for kind in dict.fromkeys(self.kinds)}
        for first, last in SIZES:
            inside = (self.heavy >= first) & (self.heavy <= last)
            if inside.any():
                out[f"{first}-{last} heavy atoms"] = inside
        return out


def _kind(molecule: Molecule, smiles: str) -> str:
    if molecule.charge:
        return "cations" if molecule.charge > 0 else "anions"
    if (molecule.multiplicity or 1) > 1:
        return "radicals"
    return "dimers" if "." in smiles else "molecules"


def element_counts(molecules: Sequence[Molecule], elements: Sequence[int]) -> np.ndarray:
    """Atoms of each element, (F, E)."""
    return np.array([[int((m.numbers == z).sum()) for z in elements] for m in molecules])


def labelled(data: Dataset, note: str) -> Labelled:
    """Frames of neutral closed shells, whose dipoles do not depend on the origin."""
    frames = range(len(data))
    charges = data.charges or [np.full(len(z), np.nan) for z in data.numbers]
    total = np.array([q.sum() for q in charges])
    if np.nanmax(np.abs(total), initial=0.0) > 1e-3:
        raise SystemExit(f"{note}: the charges of a frame do not add up to zero, so it is an ion")
    smiles = [data.smiles[m] or data.names[m] for m in data.molecule]
    # equal SMILES with other atoms would be a mistake of the file
    keys = [(s, tuple(sorted(z))) for s, z in zip(smiles, data.numbers, strict=True)]
    numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    seen: dict[int, int] = {}
    names = []
    for k in frames:
        m = int(data.molecule[k])
        seen[m] = seen.get(m, -1) + 1
        names.append(f"{data.names[m].partition('/')[2]}[{seen[m]}]")
    nan = np.full(len(data), np.nan)
    gaps = nan if data.homo is None or data.lumo is None else data.lumo - data.homo
    dipoles = np.full((len(data), 3), np.nan) if data.dipoles is None else data.dipoles
    (file, sha256), *_ = data.checksums.items()
    return Labelled(
        note,
        data.molecules(frames),
        Properties(
            data.atomization, data.forces, dipoles, charges, gaps, np.ones(len(data), dtype=bool)
        ),
        np.array([numbers[key] for key in keys]),
        names,
        smiles,
        file,
        sha256,
    )


def training_frames(folder: Path, fraction: float, seed: int) -> Labelled:
    """The frames of `dft_train.h5` that are not validation."""
    data = read(folder / TRAINING)
    return labelled(data.select(split(data, fraction, seed)[0]), "training frames")


def load(name: str, folder: Path, fraction: float, seed: int, n_frames: int) -> Labelled:
    """A set by name.

    Parameters
    ----------
    fraction, seed : float, int
        Of the split that makes the validation set.
    n_frames : int
        At least so many frames of `heldout`: whole molecules at random.
    """
    if name == OPEN:
        return ions_radicals(STRUCTURES)
    data = read(folder / FILES[name])
    note = FILES[name]
    if name == "validation":
        data = data.select(split(data, fraction, seed)[1])
        note += f", validation fragments (fraction {fraction:g}, seed {seed})"
    if name == "heldout" and n_frames < len(data):
        data = data.select(some_molecules(data, n_frames, seed))
        note += f", random molecules with all their frames (seed {seed})"
    return labelled(data, note)


def some_molecules(data: Dataset, n_frames: int, seed: int) -> np.ndarray:
    """Indices of all frames of random molecules, at least `n_frames`."""
    order = np.random.default_rng(seed).permutation(len(data.names))
    sizes = np.bincount(data.molecule, minlength=len(data.names))[order]
    n_molecules = int(np.searchsorted(np.cumsum(sizes), n_frames)) + 1
    return np.flatnonzero(np.isin(data.molecule, order[:n_molecules]))


def ions_radicals(path: Path) -> Labelled:
    """Frames of ions and radicals as `mlseqm label` writes them.

    Dipoles of ions (which depend on the origin) and gaps are left out.
    """
    frames = read_atoms(path, index=":")
    molecules = [molecule_from_atoms(atoms) for atoms in frames]
    isolated = KNOWN["wB97X/6-31G*"]
    names = [str(atoms.info["name"]) for atoms in frames]
    numbers = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return Labelled(
        f"{path.name}: ions and radicals",
        molecules,
        Properties(
            np.array(
                [
                    a.get_potential_energy() - sum(isolated[s] for s in a.symbols) * HARTREE
                    for a in frames
                ]
            ),
            [atoms.get_forces() for atoms in frames],
            np.array(
                [
                    np.full(3, np.nan) if m.charge else a.get_dipole_moment()
                    for a, m in zip(frames, molecules, strict=True)
                ]
            ),
            [atoms.get_charges() for atoms in frames],
            np.full(len(frames), np.nan),
            np.ones(len(frames), dtype=bool),
        ),
        np.array([numbers[name] for name in names]),
        names,
        [str(atoms.info["smiles"]) for atoms in frames],
        path.name,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
