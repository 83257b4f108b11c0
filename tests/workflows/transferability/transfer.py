"""Small reference data that a published method has labelled, and runs on them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from ase.build import molecule

from ase_mlseqm import evaluate
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.units import HARTREE
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig

NAMES = ("CH4", "H2O", "CH3OH", "C2H6", "CH3CHO", "C3H8")
PLAIN = TransferabilityConfig(
    method=("PM3", "AM1"), worst=2, samples=200, max_refined=0, max_paths=0
)


def shaken(name: str, frames: int = 2, size: float = 0.05) -> list[Atoms]:
    """Frames of a molecule with displaced atoms."""
    rng = np.random.default_rng([len(name), *name.encode()])
    out = []
    for _ in range(frames):
        atoms = molecule(name)
        atoms.positions += size * rng.standard_normal(atoms.positions.shape)
        out.append(atoms)
    return out


def write_labels(path: Path, names=NAMES, method: str = "AM1", frames: int = 2) -> Path:
    """HDF5 in the layout of the training data whose labels are those of a published method."""
    isolated = KNOWN["wB97X/6-31G*"]
    with h5py.File(path, "w") as file:
        file.attrs["level"] = "wB97X/6-31G*"
        file.attrs["units"] = "Hartree, Angstrom, Hartree/Angstrom, e*Angstrom, e"
        for name in names:
            systems = shaken(name, frames)
            found = evaluate(
                systems, method, ("energy", "forces", "dipole", "mulliken_charges", "mo_energies")
            )
            group = file.create_group(f"m_{name}")
            group.attrs["smiles"], group.attrs["name"] = name, name.lower()
            group["species"] = systems[0].numbers
            group["coordinates"] = [atoms.positions for atoms in systems]
            atoms = sum(isolated[s] for s in systems[0].symbols)
            group["energies"] = [r.atomization_energy / HARTREE + atoms for r in found]
            group["forces"] = [r.forces / HARTREE for r in found]
            group["dipoles"] = [r.dipole for r in found]
            group["charges"] = [r.mulliken_charges for r in found]
            group["homo"] = [-r.ionization_potential / HARTREE for r in found]
            group["lumo"] = [(r.gap - r.ionization_potential) / HARTREE for r in found]
    return path


def stationary_points(reaction: str) -> dict[str, dict]:
    """What MOPAC says about reactant, top and product of a reaction with PM3."""
    file = Path(__file__).parents[2] / "reference" / "stationary.json"
    found = json.loads(file.read_text())["structures"]
    return {record["place"]: record for record in found if record["reaction"] == reaction}


def table(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def metrics(path: Path, test: str) -> dict[tuple[str, str], float]:
    """Values of summary.csv by method and metric."""
    return {
        (row["method"], row["metric"]): float(row["value"] or "nan")
        for row in table(path / "summary.csv")
        if row["test"] == test
    }
