"""Labels in HDF5, in the layout of the training data, and in extxyz."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ..files.frames import with_results
from ..results import SinglePoint, Status
from ..training.blocks import name_text, smiles_text
from ..training.graph import bonds
from ..units import HARTREE
from ..wholefile import write_whole, write_whole_frames
from . import Label, LabelSettings

HDF5 = (".h5", ".hdf5")
EXTXYZ = (".xyz", ".extxyz")
UNITS = "Hartree, Angstrom, Hartree/Angstrom, e*Angstrom, e"


def single_point(found: Label, settings: LabelSettings) -> SinglePoint:
    """A label as the tables and files of the other commands know results."""
    return SinglePoint(
        energy=found.energy,
        method=settings.method,
        charge=found.charge,
        multiplicity=found.multiplicity,
        unrestricted=settings.unrestricted or found.multiplicity > 1,
        converged=found.converged,
        status=Status.CONVERGED if found.converged else Status.UNCONVERGED,
        iterations=found.iterations,
        residual=np.nan,
        rung=found.solver,
        forces=found.forces,
        charges=found.charges,
        dipole=found.dipole,
        gap=found.lumo - found.homo,
        ionization_potential=-found.homo,
        spin_squared=found.spin_squared,
    )


def write_labels(path: Path, done: Sequence[tuple[Atoms, Label]], settings: LabelSettings) -> None:
    """Write a file of the kind that its name says; at no moment is half of it there."""
    if path.suffix.lower() in HDF5:
        write_whole(path, _hdf5(done, settings))
    else:
        write_whole_frames(path, _frames(done, settings))


def _frames(done: Sequence[tuple[Atoms, Label]], settings: LabelSettings) -> list[Atoms]:
    """Labels with ASE's names and units (eV, eV/Angstrom, e*Angstrom)."""
    frames = []
    for atoms, found in done:
        extra = {"level": settings.level, "program": found.program}
        frames.append(with_results(atoms, single_point(found, settings), **extra))
    return frames


def _hdf5(done: Sequence[tuple[Atoms, Label]], settings: LabelSettings) -> memoryview:
    """Labels in the layout of the training data, one group per molecule.

    F frames of A atoms are one molecule when their name and SMILES (``info["name"]`` and
    ``info["smiles"]``, where given, else their bonds), atoms in their order, charge and
    multiplicity agree.
    Datasets: ``species`` (A,), ``coordinates`` (F, A, 3) Angstrom, ``energies`` (F,) Hartree,
    ``forces`` (F, A, 3) Hartree/Angstrom, ``dipoles`` (F, 3) e*Angstrom, ``charges`` (F, A) e,
    ``homo`` and ``lumo`` (F,) Hartree.
    """
    import h5py

    molecules: dict[tuple, list[tuple[Atoms, Label]]] = {}
    for atoms, found in done:
        info = atoms.info
        names = (name_text(info.get("name")) or "", smiles_text(info.get("smiles")) or "")
        linked = b"" if any(names) else bonds(atoms.numbers, atoms.positions[None]).tobytes()
        identity = (*names, tuple(atoms.numbers), found.charge, found.multiplicity, linked)
        molecules.setdefault(identity, []).append((atoms, found))
    # in memory: HDF5 does not survive a disk that fills up
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["level"] = settings.level
        file.attrs["units"] = UNITS
        file.attrs["program"] = ", ".join(sorted({found.program for _, found in done}))
        file.attrs["settings"] = json.dumps(dataclasses.asdict(settings))
        for (name, smiles, numbers, charge, multiplicity, _), frames in molecules.items():
            group = file.create_group(_free(file, name or frames[0][0].get_chemical_formula()))
            group.attrs["charge"] = charge
            group.attrs["multiplicity"] = multiplicity
            group.attrs["unrestricted"] = settings.unrestricted or multiplicity > 1
            group.attrs.update({k: v for k, v in (("name", name), ("smiles", smiles)) if v})
            results = [found for _, found in frames]
            group["species"] = np.array(numbers, np.int8)
            group["coordinates"] = np.array([atoms.positions for atoms, _ in frames])
            group["energies"] = np.array([found.energy for found in results]) / HARTREE
            group["forces"] = np.array([found.forces for found in results]) / HARTREE
            group["dipoles"] = np.array([found.dipole for found in results])
            group["charges"] = np.array([found.charges for found in results])
            group["homo"] = np.array([found.homo for found in results]) / HARTREE
            group["lumo"] = np.array([found.lumo for found in results]) / HARTREE
    return image.getbuffer()


def _free(file: Any, name: str) -> str:
    """A name for a group that HDF5 allows and the file does not have yet."""
    stem = name.replace("/", "_").strip(". ") or "molecule"
    found, number = stem, 2
    while found in file:
        found, number = f"{stem}_{number}", number + 1
    return found
