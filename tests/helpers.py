"""Molecules, rotations and short-cuts that the tests of the engine share."""

from __future__ import annotations

import dataclasses
import functools
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as g2
from ase.calculators.emt import EMT
from scipy.sparse.csgraph import connected_components

from ase_mlseqm import Engine, SCFSettings
from ase_mlseqm.batch import Batch, Molecule, collate
from ase_mlseqm.model import PlainModel
from ase_mlseqm.nddo import energy as energies
from ase_mlseqm.nddo.fock import FockBuilder, build_maps, fock_builder, split
from ase_mlseqm.nddo.integrals import integrals, prepare
from ase_mlseqm.nddo.layout import Layout, build_layout
from ase_mlseqm.nddo.one_center import isolated_atom_energy
from ase_mlseqm.nddo.parameters import Parameters
from ase_mlseqm.scf import SCFResult, solve
from ase_mlseqm.scf.guess import n_occupied
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.validate import check

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""The project's reference data, beside the repository."""
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="no reference data")

TIGHT = SCFSettings(tolerance=1e-10)
FOLLOW = SCFSettings(tolerance=1e-10, max_iterations=300, ladder=False)
"""For small displacements: stay on the solution whose density is the starting point."""

_TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
# Elements and ions that the G2 set of ASE lacks: symbols and positions, Angstrom.
_BY_HAND: dict[str, tuple[list[int], list]] = {
    "HF": ([1, 9], [[0, 0, 0], [0, 0, 0.93]]),
    "AlF": ([13, 9], [[0, 0, 0], [0, 0, 1.66]]),
    "HBr": ([1, 35], [[0, 0, 0], [0, 0, 1.43]]),
    "HI": ([1, 53], [[0, 0, 0], [0, 0, 1.62]]),
    "BH3": ([5, 1, 1, 1], [[0, 0, 0], [1.2, 0, 0], [-0.6, 1.04, 0], [-0.6, -1.04, 0]]),
    "AlH3": ([13, 1, 1, 1], [[0, 0, 0], [1.6, 0, 0], [-0.8, 1.39, 0], [-0.8, -1.39, 0]]),
    "NH4": ([7, 1, 1, 1, 1], [[0, 0, 0], *(1.02 * _TETRAHEDRON)]),
    "CHFBrI": (
        [6, 1, 9, 35, 53],
        [
            [0, 0, 0],
            *(np.array([1.1, 1.36, 1.93, 2.13])[:, None] * _TETRAHEDRON),
        ],
    ),
    "HCOO": ([6, 1, 8, 8], [[0, 0, 0], [0, 0, 1.11], [1.1, 0, -0.6], [-1.1, 0, -0.6]]),
}


def build(
    name: str, charge: int = 0, multiplicity: int | None = None, shake: float = 0.05, seed: int = 0
) -> Molecule:
    """A molecule by name, turned and with every coordinate displaced by ``shake`` Angstrom."""
    if name in _BY_HAND:
        numbers, positions = (np.array(v) for v in _BY_HAND[name])
    else:
        atoms = g2(name)
        numbers, positions = atoms.numbers, atoms.positions
    rng = np.random.default_rng([seed, *name.encode()])
    positions = positions + shake * rng.standard_normal(positions.shape)
    positions = positions @ rotation(rng).T
    return Molecule(np.asarray(numbers, dtype=np.int64), positions, charge, multiplicity)


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A random proper rotation."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation about ``axis`` by ``angle`` (Rodrigues)."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def moved(molecule: Molecule, positions: np.ndarray) -> Molecule:
    """The molecule somewhere else."""
    return dataclasses.replace(molecule, positions=np.asarray(positions, dtype=float))


def run(molecules, method="PM3", properties=("energy",), scf=TIGHT, **options):
    """Converged results of several molecules."""
    results = Engine(method, scf=scf).run(list(molecules), properties, **options)
    for index, result in enumerate(results):
        assert result.converged, f"molecule {index}: {result.message}"
    return results


def single(molecule, method="PM3", properties=("energy",), scf=TIGHT, **options):
    """Converged result of one molecule."""
    return run([molecule], method, properties, scf, **options)[0]


def five_point(values: np.ndarray, h: float) -> np.ndarray:
    """Derivative from values (4, ...) at -2h, -h, h, 2h."""
    return (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)


STEPS = (-2, -1, 1, 2)


def displaced(molecule: Molecule, h: float = 1e-3) -> list[Molecule]:
    """The molecule with every coordinate at the four points of :func:`five_point`."""
    out = []
    for step in STEPS:
        for atom in range(len(molecule.numbers)):
            for axis in range(3):
                positions = molecule.positions.copy()
                positions[atom, axis] += step * h
                out.append(moved(molecule, positions))
    return out


def numerical_forces(
    molecule: Molecule, density: np.ndarray, method: str = "PM3", h: float = 1e-3, **options
) -> np.ndarray:
    """(A, 3) from energies converged from the undisplaced ``density``."""
    many = displaced(molecule, h)
    results = run(many, method, scf=FOLLOW, guesses=[density] * len(many), **options)
    values = np.array([result.energy for result in results]).reshape(4, -1, 3)
    return -five_point(values, h)


@dataclasses.dataclass
class Problem:
    """The pieces of one batch that :func:`ase_mlseqm.singlepoint.compute` puts together."""

    batch: Batch
    layout: Layout
    builder: FockBuilder
    occupied: torch.Tensor


def problem(molecules, method="PM3", unrestricted=False) -> Problem:
    """Fock builder and occupations of molecules in one batch."""
    model = PlainModel(method)
    batch = collate([check(molecule, model, unrestricted or None) for molecule in molecules])
    layout = build_layout(batch.numbers)
    constants = prepare(layout, model.parameters(layout, batch.positions))
    ints = integrals(layout, constants, batch.positions.flatten(0, 1)[layout.slot])
    builder = fock_builder(layout, build_maps(layout), constants, ints)
    occupied = n_occupied(layout, batch.charge, batch.multiplicity, unrestricted)
    return Problem(batch, layout, builder, occupied)


@dataclasses.dataclass
class ParametricEnergy:
    """Energy of a batch for given parameters: converged without, evaluated with a graph."""

    total: torch.Tensor
    isolated: torch.Tensor
    scf: SCFResult


def parametric_energy(
    batch: Batch,
    parameters: Parameters,
    unrestricted: bool,
    scf: SCFSettings = TIGHT,
    guess: torch.Tensor | None = None,
) -> ParametricEnergy:
    """Converge the SCF and write the energy at that density as a function of ``parameters``."""
    layout = build_layout(batch.numbers)
    positions = batch.positions.flatten(0, 1)[layout.slot]
    constants = prepare(layout, parameters)
    ints = integrals(layout, constants, positions)
    with torch.no_grad():
        builder = fock_builder(layout, _maps(batch.numbers), constants, ints.detach())
        occupied = n_occupied(layout, batch.charge, batch.multiplicity, unrestricted)
        result = solve(builder, occupied, guess, scf)
        parts = split(layout, builder.maps, result.density)
        atoms = energies.atom_densities(layout, parts)
        coefficients = energies.pair_coefficients(layout, parts)
    pair = energies.pair_energy(ints, coefficients)
    one = energies.one_center_energy(constants, atoms)
    total = layout.molecule_sum(one) + layout.molecule_sum(pair, layout.pair_molecule)
    isolated = layout.molecule_sum(isolated_atom_energy(parameters, layout.core_charge))
    return ParametricEnergy(total, isolated, result)


def _maps(numbers: torch.Tensor):
    return _cached_maps(tuple(map(tuple, numbers.tolist())))


@functools.lru_cache(maxsize=4)
def _cached_maps(numbers: tuple):
    return build_maps(build_layout(torch.tensor(numbers)))


class Broken(EMT):
    """A calculator whose forces are not numbers after the first ``good`` calls."""

    def __init__(self, good=0):
        super().__init__()
        self.good = good

    def calculate(self, *args, **keywords):
        super().calculate(*args, **keywords)
        self.good -= 1
        if self.good < 0:
            self.results["forces"][0, 0] = np.nan


def interruptible() -> None:
    """Let a new process have Ctrl-C, which the children of a shell's background jobs lack."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def hydrogens(*distances):
    """Hydrogen molecules, Angstrom."""
    return [Atoms("H2", [[0, 0, 0], [0, 0, d]], info={"name": "dihydrogen"}) for d in distances]


def recorded(patch: pytest.MonkeyPatch) -> list[int]:
    """Molecules of every call of the engine from now on, in order."""
    calls: list[int] = []
    run = Engine.run

    def counting(self, molecules, *args, **keywords):
        calls.append(len(molecules))
        return run(self, molecules, *args, **keywords)

    patch.setattr(Engine, "run", counting)
    return calls


def torn(name, i, j, factor):
    """A molecule of the G2 set with one bond stretched by a factor, both sides rigid."""
    atoms = g2(name)
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    linked[i, j] = linked[j, i] = False
    _, part = connected_components(linked)
    along = atoms.positions[j] - atoms.positions[i]
    atoms.positions[part == part[j]] += (factor - 1) * along
    return atoms
