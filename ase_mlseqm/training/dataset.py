"""Labelled frames in memory, in eV and Angstrom whatever the files held."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from ..molecule import Molecule


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A record of a file that is not in the data set.

    Attributes
    ----------
    file : str
        Name of the file.
    record : str
        Group, or group and frame, as in ``name[3]``.
    reason : str
        Why it was left out.
    """

    file: str
    record: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """F labelled frames of M molecules from one or more files.

    Attributes
    ----------
    numbers : list of (A,) int64
        Atomic numbers of each frame.
    positions : list of (A, 3) float64
        Angstrom.
    energies : (F,) float64
        Total energies, eV; equal to ``atomization`` where a file has only these, and the isolated
        atoms are not known.
    atomization : (F,) float64
        Energies minus those of the isolated atoms at the same level, eV; negative when bound.
    forces : list of (A, 3) float64
        Minus the gradient of the energy, eV/Angstrom.
    charge, multiplicity : (F,) int64
        Total charge, e, and 2S + 1.
    unrestricted : (F,) bool
        Open shells, and singlets whose labels are unrestricted.
    molecule : (F,) int64
        The molecule (a group of its file) a frame belongs to, an index into ``names``.
    names : list of M str
        File stem and group.
    smiles : list of M str or None
        As the file gives it; a dot separates the molecules of a dimer.
    level : list of str
        Level of theory of each file.
    source : (F,) int64
        The file of each frame, an index into ``level``.
    dipoles : (F, 3) float64, optional
        e*Angstrom; like all that follow NaN where a file has none, None where no file has any.
    charges : list of (A,) float64, optional
        Mulliken charges, e.
    homo, lumo : (F,) float64, optional
        Orbital energies, eV.
    skipped : list of Skipped
        Broken records.
    checksums : dict
        SHA-256 of every file, by its name.
    """

    numbers: list[np.ndarray]
    positions: list[np.ndarray]
    energies: np.ndarray
    atomization: np.ndarray
    forces: list[np.ndarray]
    charge: np.ndarray
    multiplicity: np.ndarray
    unrestricted: np.ndarray
    molecule: np.ndarray
    names: list[str]
    smiles: list[str | None]
    level: list[str]
    source: np.ndarray
    dipoles: np.ndarray | None = None
    charges: list[np.ndarray] | None = None
    homo: np.ndarray | None = None
    lumo: np.ndarray | None = None
    skipped: list[Skipped] = dataclasses.field(default_factory=list)
    checksums: dict[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.energies)

    def molecules(self, indices: Iterable[int]) -> list[Molecule]:
        """The frames of ``indices``, to be computed."""
        return [
            Molecule(
                self.numbers[k],
                self.positions[k],
                int(self.charge[k]),
                int(self.multiplicity[k]),
                bool(self.unrestricted[k]),
            )
            for k in indices
        ]

    def atoms(self, indices: Iterable[int]) -> list[Atoms]:
        """The frames of ``indices`` with charge and multiplicity in ``info``; unrestricted singlets
        have initial magnetic moments of both signs."""
        out = []
        for k in indices:
            state = {"charge": int(self.charge[k]), "multiplicity": int(self.multiplicity[k])}
            atoms = Atoms(self.numbers[k], self.positions[k], info=state)
            if self.unrestricted[k] and state["multiplicity"] == 1:
                atoms.set_initial_magnetic_moments([1, -1] + [0] * (len(atoms) - 2))
            out.append(atoms)
        return out

    def select(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """The frames of ``indices`` (or of a mask), in that order; molecules and files stay."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        changes: dict[str, Any] = {}
        for field in PER_FRAME:
            value = getattr(self, field)
            if isinstance(value, list):
                changes[field] = [value[k] for k in chosen]
            elif value is not None:
                changes[field] = value[chosen]
        return dataclasses.replace(self, **changes)

    @staticmethod
    def concatenate(datasets: Sequence[Dataset]) -> Dataset:
        """All frames of several data sets; their molecules stay different ones."""
        if len(datasets) == 1:
            return datasets[0]
        if not datasets:
            raise ValueError("there is nothing to concatenate")
        molecules = np.cumsum([0] + [len(d.names) for d in datasets])
        files = np.cumsum([0] + [len(d.level) for d in datasets])
        checksums: dict[str, str] = {}
        for data in datasets:
            for name, digest in data.checksums.items():
                checksums[free_name(name, digest, checksums)] = digest
        return Dataset(
            numbers=[v for d in datasets for v in d.numbers],
            positions=[v for d in datasets for v in d.positions],
            energies=np.concatenate([d.energies for d in datasets]),
            atomization=np.concatenate([d.atomization for d in datasets]),
            forces=[v for d in datasets for v in d.forces],
            charge=np.concatenate([d.charge for d in datasets]),
            multiplicity=np.concatenate([d.multiplicity for d in datasets]),
            unrestricted=np.concatenate([d.unrestricted for d in datasets]),
            molecule=np.concatenate(
                [d.molecule + m for d, m in zip(datasets, molecules, strict=False)]
            ),
            names=[v for d in datasets for v in d.names],
            smiles=[v for d in datasets for v in d.smiles],
            level=[v for d in datasets for v in d.level],
            source=np.concatenate([d.source + m for d, m in zip(datasets, files, strict=False)]),
            dipoles=_join(datasets, "dipoles", (3,)),
            charges=_join_charges(datasets),
            homo=_join(datasets, "homo"),
            lumo=_join(datasets, "lumo"),
            skipped=[v for d in datasets for v in d.skipped],
            checksums=checksums,
        )


PER_FRAME = (
    "numbers",
    "positions",
    "energies",
    "atomization",
    "forces",
    "charge",
    "multiplicity",
    "unrestricted",
    "molecule",
    "source",
    "dipoles",
    "charges",
    "homo",
    "lumo",
)
"""Fields with one entry a frame."""


def free_name(name: str, digest: str, taken: dict[str, str]) -> str:
    """The name, numbered when another file (in another folder) is called the same."""
    free, number = name, 2
    while taken.get(free, digest) != digest:
        free, number = f"{name} ({number})", number + 1
    return free


def _join(
    datasets: Sequence[Dataset], field: str, shape: tuple[int, ...] = ()
) -> np.ndarray | None:
    values = [getattr(d, field) for d in datasets]
    if all(v is None for v in values):
        return None
    return np.concatenate(
        [
            np.full((len(d), *shape), np.nan) if v is None else v
            for d, v in zip(datasets, values, strict=True)
        ]
    )


def _join_charges(datasets: Sequence[Dataset]) -> list[np.ndarray] | None:
    if all(d.charges is None for d in datasets):
        return None
    return [
        v for d in datasets for v in (d.charges or [np.full(len(n), np.nan) for n in d.numbers])
    ]
