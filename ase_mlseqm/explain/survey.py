"""Atoms and bonds of a data set, with their parameters, environments, lengths and orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import chemical_symbols
from scipy.sparse.csgraph import connected_components

from ..batch import Molecule
from ..engine import Engine
from ..nn.hamiltonian import LearnedHamiltonian
from ..results import Callback, SinglePoint
from ..training.dataset import Dataset
from ..training.graph import bonds, graph_fragments
from ..validate import check
from .environments import environments
from .parameters import atom_parameters, untrained

N_UNTRAINED = 3
"""Networks with random weights, for comparison."""
VOTES = 100
"""Frames of a molecule, at most, that decide which of its atoms are bonded."""


@dataclasses.dataclass(frozen=True)
class AtomTable:
    """n atoms.

    Attributes
    ----------
    labels : tuple of k str
        The learned parameters.
    frame : (n,) int
        Index of the frame in the data set.
    atom : (n,) int
        Index in the frame.
    molecule : (n,) str
        Name of the molecule (or dimer) of the frame.
    fragment : (n,) str
        Name of the molecule that the atom belongs to, the same in all dimers and conformers.
    element, hybridisation, neighbours : (n,) str
        See :class:`~ase_mlseqm.explain.environments.Environments`.
    values, table : (n, k)
        See :class:`~ase_mlseqm.explain.parameters.AtomParameters`.
    untrained : list of (n, k)
        Values of networks with random weights.
    """

    labels: tuple[str, ...]
    frame: np.ndarray
    atom: np.ndarray
    molecule: np.ndarray
    fragment: np.ndarray
    element: np.ndarray
    hybridisation: np.ndarray
    neighbours: np.ndarray
    values: np.ndarray
    table: np.ndarray
    untrained: list[np.ndarray] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class BondTable:
    """m bonds.

    Attributes
    ----------
    kind : (m,) str
        Elements, as in "C-N": by atomic number, hydrogen last.
    first, second : (m,) int
        Rows of the atoms in the :class:`AtomTable`.
    length : (m,)
        Angstrom.
    order : (m,)
        Wiberg bond order with the learned Hamiltonian, NaN where the SCF did not converge.
    """

    kind: np.ndarray
    first: np.ndarray
    second: np.ndarray
    length: np.ndarray
    order: np.ndarray


@dataclasses.dataclass(frozen=True)
class Survey:
    """Atoms and bonds of ``n_frames`` frames, and names of those ``unconverged``."""

    n_frames: int
    atoms: AtomTable
    bonds: BondTable
    unconverged: list[str]


@dataclasses.dataclass(frozen=True)
class _Topology:
    """Bonds (A, A) of a molecule, and what follows from them for its A atoms."""

    linked: np.ndarray
    hybridisation: np.ndarray
    neighbours: np.ndarray
    fragment: np.ndarray


def described(data: Dataset) -> np.ndarray:
    """Frames of neutral closed shells, of which bonds alone tell the hybridisation."""
    return np.flatnonzero((data.charge == 0) & ~data.unrestricted)


def survey(
    model: LearnedHamiltonian,
    data: Dataset,
    max_frames: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    callback: Callback | None = None,
) -> Survey:
    """Atoms and bonds of the frames of a data set that :func:`described` names, or of a random
    choice of ``max_frames`` of them.

    Parameters
    ----------
    callback : callable, optional
        Called with (index, result) as soon as a frame is done, from any thread.

    Raises
    ------
    InputError
        When a frame has an element that the model does not know.
    """
    chosen = np.random.default_rng(seed).permutation(described(data))[:max_frames]
    chosen.sort()
    topologies = _topologies(data, chosen)
    molecules = [check(m, model, unrestricted=None) for m in data.molecules(chosen)]
    engine = Engine(model, device)
    points = engine.run(molecules, ("energy", "bond_orders"), callback=callback)
    model = model.on(engine.device)
    parameters = atom_parameters(model, molecules)
    others = [atom_parameters(untrained(model, k), molecules) for k in range(N_UNTRAINED)]
    atoms = AtomTable(
        labels=parameters[0].labels,
        frame=np.repeat(chosen, [len(m.numbers) for m in molecules]),
        atom=np.concatenate([np.arange(len(m.numbers)) for m in molecules]),
        molecule=np.array([data.names[data.molecule[k]] for k in chosen for _ in data.numbers[k]]),
        element=np.array([chemical_symbols[z] for m in molecules for z in m.numbers]),
        values=np.concatenate([p.values for p in parameters]),
        table=np.concatenate([p.table for p in parameters]),
        untrained=[np.concatenate([p.values for p in found]) for found in others],
        **{
            name: np.concatenate([getattr(topology, name) for topology in topologies])
            for name in ("hybridisation", "neighbours", "fragment")
        },
    )
    failed = [
        f"{data.names[data.molecule[k]]} (frame {k})"
        for k, point in zip(chosen, points, strict=True)
        if not point.converged
    ]
    return Survey(len(chosen), atoms, _bonds(molecules, topologies, points), failed)


def _bonds(
    molecules: Sequence[Molecule], topologies: Sequence[_Topology], points: Sequence[SinglePoint]
) -> BondTable:
    kinds, atoms, numbers = [], [], []
    start = 0
    for molecule, topology, point in zip(molecules, topologies, points, strict=True):
        if (orders := point.bond_orders) is None:  # the memory was too small
            start += len(molecule.numbers)
            continue
        for i, j in _pairs(molecule.numbers, topology.linked):
            kinds.append("-".join(chemical_symbols[molecule.numbers[a]] for a in (i, j)))
            atoms.append((start + i, start + j))
            length = np.linalg.norm(molecule.positions[i] - molecule.positions[j])
            numbers.append((length, orders[i, j]))
        start += len(molecule.numbers)
    first, second = np.array(atoms, dtype=np.int64).reshape(-1, 2).T
    lengths, strengths = np.array(numbers, dtype=np.float64).reshape(-1, 2).T
    return BondTable(np.array(kinds, dtype=str), first, second, lengths, strengths)


def _pairs(numbers: np.ndarray, linked: np.ndarray) -> Iterator[tuple[int, int]]:
    """Bonded atoms, the one with the smaller atomic number first, but hydrogen last."""
    rank = np.where(numbers == 1, 1000, numbers)
    for i, j in np.argwhere(np.triu(linked)).tolist():
        yield (i, j) if rank[i] <= rank[j] else (j, i)


def _topologies(data: Dataset, chosen: np.ndarray) -> list[_Topology]:
    """Of the chosen frames; bonded is what is bonded in most frames of the molecule."""

    def key(k: int) -> tuple[int, bytes]:
        return int(data.molecule[k]), data.numbers[k].tobytes()

    frames: dict[tuple[int, bytes], list[int]] = {key(k): [] for k in chosen}
    for k in range(len(data)):
        if key(k) in frames and len(frames[key(k)]) < VOTES:
            frames[key(k)].append(k)
    found = {
        name: _topology(data.numbers[same[0]], np.stack([data.positions[k] for k in same]))
        for name, same in frames.items()
    }
    return [found[key(k)] for k in chosen]


def _topology(numbers: np.ndarray, positions: np.ndarray) -> _Topology:
    """From frames (F, A, 3) of one molecule."""
    votes = bonds(numbers, positions)
    linked = votes.mean(0) > 0.5
    typical = positions[(votes == linked).all((1, 2)).argmax()]
    fragment = np.empty(len(numbers), dtype=object)
    count, component = connected_components(linked)
    for c in range(count):
        part = component == c
        fragment[part] = graph_fragments(numbers[part], typical[part])[0].name
    around = environments(numbers, linked)
    return _Topology(linked, around.hybridisation, around.neighbours, fragment.astype(str))
