"""Labelled frames for the tests of energies and forces."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_mlseqm.training.blocks import SINGLE, as_text
from ase_mlseqm.training.dataset import Dataset, Skipped
from ase_mlseqm.training.isolated import given_energies
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.readers_hdf5 import groups
from ase_mlseqm.units import EV_TO_KCAL

from .base import TransferTest
from .config import TransferabilityConfig
from .methods import Point

HDF5 = (".h5", ".hdf5")


@dataclasses.dataclass(frozen=True)
class Frames:
    """F labelled frames.

    Attributes
    ----------
    data : Dataset
    cases : list of F str
        Molecule and number of the frame, as in ``nicotine[0]``.
    names : list of F str
        The molecule of every frame.
    """

    data: Dataset
    cases: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.data)

    @property
    def skipped(self) -> list[Skipped]:
        """Broken records; single atoms are none, they are there for their energy."""
        return [record for record in self.data.skipped if record.reason != SINGLE]

    @property
    def systems(self) -> list[Atoms]:
        """The structures."""
        return self.data.atoms(range(len(self)))

    def heavy(self, k: int) -> int:
        """Atoms of frame k that are no hydrogen."""
        return int((self.data.numbers[k] > 1).sum())

    def force_errors(self, k: int, point: Point) -> np.ndarray:
        """(A, 3), kcal/mol/Angstrom."""
        assert point.forces is not None
        return (point.forces - self.data.forces[k]) * EV_TO_KCAL

    def force_size(self, k: int) -> float:
        """Mean of the label's |force components|, kcal/mol/Angstrom."""
        return float(np.abs(self.data.forces[k]).mean()) * EV_TO_KCAL


def load_frames(files: Sequence[Path], config: TransferabilityConfig | None = None) -> Frames:
    """All frames of files that ``mlseqm train`` reads; equal SMILES are one molecule.

    Without SMILES and without a name molecules are called as their groups, with the file in front
    where groups of several files have one name.
    """
    config = config or TransferabilityConfig()
    isolated = given_energies(config.isolated)
    # the units may be meant for the files of another test
    units = config.units if any(path.suffix.lower() in HDF5 for path in files) else None
    data = read(list(files), config.level, units, isolated, config.gradients)
    names = _names(files)
    short = Counter(group.partition("/")[2] for group in set(data.names))
    labels = [
        names.get(group)
        or smiles
        or (group if short[group.partition("/")[2]] > 1 else group.partition("/")[2])
        for group, smiles in zip(data.names, data.smiles, strict=True)
    ]
    seen: dict[str, int] = {}
    cases, molecules = [], []
    for m in data.molecule:
        label = labels[m]
        seen[label] = seen.get(label, -1) + 1
        cases.append(f"{label}[{seen[label]}]")
        molecules.append(label)
    return Frames(data, cases, molecules)


class LabelledTest(TransferTest):
    """A test whose data are labelled frames."""

    settings = ("level", "units", "isolated", "gradients")

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Frames:
        """Labelled frames."""
        return load_frames(files, config)


def _names(files: Sequence[Path]) -> dict[str, str]:
    """The attribute ``name`` of the groups of HDF5 files that have one, by file stem and group."""
    out: dict[str, str] = {}
    for path in files:
        if path.suffix.lower() not in HDF5:
            continue
        import h5py

        # what is damaged has been listed with the frames
        with h5py.File(path, "r") as file, contextlib.suppress(OSError, RuntimeError):
            for key, group, _ in groups(file, "", set()):
                name = None if group is None else group.attrs.get("name")
                if name is not None:
                    out[f"{path.stem}/{key}"] = as_text(name)
    return out
