"""The parameters that a learned Hamiltonian gives to atoms; no SCF is needed for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ..batch import Molecule, padded_numbers
from ..errors import InputError
from ..nddo.layout import build_layout
from ..nn.hamiltonian import LearnedHamiltonian
from ..nn.parameter_head import GAUSSIANS
from ..nn.weights import seeded

UNITS = {
    **dict.fromkeys(("U_ss", "U_pp", "beta_s", "beta_p"), "eV"),
    **dict.fromkeys(("g_ss", "g_sp", "g_pp", "g_p2", "h_sp"), "eV"),
    **dict.fromkeys(("zeta_s", "zeta_p"), "1/bohr"),
    "alpha": "1/Å",
    "K": "eV Å",
    "L": "1/Å²",
    "M": "Å",
}
"""By name of the parameter; see :class:`~ase_mlseqm.nddo.parameters.Parameters`."""
MAX_ATOMS = 2000
"""In one batch."""


def unit(label: str) -> str:
    """Unit of a column of the model's head, such as ``U_pp`` or ``K_1``."""
    name = label.partition("_")[0]
    return UNITS[name if name in GAUSSIANS else label]


@dataclasses.dataclass(frozen=True)
class AtomParameters:
    """Learned parameters of the A atoms of a molecule, in the units of :func:`unit`.

    Attributes
    ----------
    labels : tuple of k str
        Names of the parameters, those of Gaussians with their index.
    values : (A, k) array
        NaN where an atom does not have the parameter (hydrogen and all that concerns p orbitals).
    table : (A, k) array
        The published ones, likewise.
    """

    labels: tuple[str, ...]
    values: np.ndarray
    table: np.ndarray

    @property
    def corrections(self) -> np.ndarray:
        """(A, k), values minus those of the table."""
        return self.values - self.table

    def column(self, label: str) -> int:
        """Index of a parameter.

        Raises
        ------
        InputError
            When the model does not learn it.
        """
        if label not in self.labels:
            raise InputError(
                f"the model does not learn {label!r}: choose from {', '.join(self.labels)}"
            )
        return self.labels.index(label)


def atom_parameters(
    model: LearnedHamiltonian, molecules: Sequence[Molecule]
) -> list[AtomParameters]:
    """Parameters of all atoms of molecules of any sizes, whose elements the model knows."""
    labels = tuple(model.head.labels())
    found: dict[int, AtomParameters] = {}
    for batch in _batches([len(m.numbers) for m in molecules]):
        parts = [molecules[k] for k in batch]
        device = model.network.table.device
        layout = build_layout(torch.from_numpy(padded_numbers(parts)).to(device))
        positions = torch.from_numpy(np.concatenate([m.positions for m in parts])).to(device)
        with torch.no_grad():
            values = model.values(layout, positions)
            table = model.head.values(layout, torch.zeros_like(values))
            lacks = model.head.applies(layout) == 0
            columns = [v.masked_fill(lacks, torch.nan).cpu().numpy() for v in (values, table)]
        ends = np.cumsum([len(m.numbers) for m in parts])
        for k, stop in zip(batch, ends, strict=True):
            rows = slice(stop - len(molecules[k].numbers), stop)
            found[k] = AtomParameters(labels, *(column[rows] for column in columns))
    return [found[k] for k in range(len(molecules))]


def untrained(model: LearnedHamiltonian, seed: int) -> LearnedHamiltonian:
    """The same network with random weights.

    What its parameters tell about environments any function of the surroundings tells.
    """
    other = seeded(model.config, seed, name=f"untrained {seed}")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for read_out in other.network.network.read_outs:
            assert isinstance(read_out, torch.nn.Linear)
            read_out.weight.normal_(0.0, 0.1, generator=random)
    return other.on(model.network.table.device)


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Indices of molecules of like size, in batches of at most :data:`MAX_ATOMS` atoms."""
    batch: list[int] = []
    for k in sorted(range(len(sizes)), key=lambda k: sizes[k]):
        if batch and (len(batch) + 1) * sizes[k] > MAX_ATOMS:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch
