"""Difficult geometries end converged or flagged; the long version is benchmarks/robustness.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule as g2
from ase.data import covalent_radii
from helpers import problem

from ase_mlseqm import evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.scf.density import commutator

NAMES = ("CH3CH2OH", "CH3CONH2", "C6H6", "CH3NO2", "C5H5N", "HCOOCH3", "CH3CN", "C4H4O")
TOLERANCE = 1e-7


def stretched(name: str, factor: float, seed: int) -> Molecule:
    """One random bond made longer, its shorter side moved along."""
    atoms = g2(name)
    rng = np.random.default_rng(seed)
    x = atoms.positions + rng.normal(scale=0.05, size=(len(atoms), 3))
    reach = covalent_radii[atoms.numbers]
    distance = np.linalg.norm(x[:, None] - x[None], axis=-1)
    bonded = (distance < 1.3 * (reach[:, None] + reach)) & (distance > 0)
    bonds = np.argwhere(np.triu(bonded))
    i, j = bonds[rng.integers(len(bonds))]
    bonded[i, j] = bonded[j, i] = False
    side = {int(j)}
    while grown := {int(b) for a in side for b in np.flatnonzero(bonded[a])} - side:
        side |= grown
    moving = [int(j)] if int(i) in side else sorted(side)
    x[moving] += (factor - 1) * (x[j] - x[i])
    return Molecule(np.asarray(atoms.numbers, dtype=np.int64), x)


def box(seed: int) -> Molecule:
    """H, C, N and O atoms at random places at least 0.7 Angstrom apart."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 13))
    places: list[np.ndarray] = []
    while len(places) < n:
        place = rng.uniform(0, (6.0 * n) ** (1 / 3) + 1, 3)
        if all(np.linalg.norm(place - other) >= 0.7 for other in places):
            places.append(place)
    return Molecule(rng.choice([1, 6, 7, 8], n).astype(np.int64), np.array(places))


@pytest.fixture(scope="module")
def difficult() -> tuple[list[Molecule], list]:
    molecules = [
        stretched(name, factor, seed)
        for seed, name in enumerate(NAMES)
        for factor in (1.0, 1.5, 2.0, 3.0)
    ]
    molecules += [box(seed) for seed in range(6)]
    return molecules, evaluate(molecules, "PM3", ("energy", "forces", "density"))


def test_all_converge(difficult) -> None:
    molecules, results = difficult
    assert all(result.converged for result in results)
    for molecule, result in zip(molecules, results, strict=True):
        assert result.converged == bool(np.isfinite(result.energy))
        assert result.converged == bool(np.isfinite(result.forces).all())
        assert result.forces.shape == (len(molecule.numbers), 3)


def test_converged_means_converged(difficult) -> None:
    """[F, d] with F rebuilt from the density that was returned, for every molecule alone."""
    for molecule, result in zip(*difficult, strict=True):
        if result.converged:
            part = problem([molecule], "PM3", result.unrestricted)
            density = torch.from_numpy(result.density).unsqueeze(1)
            rebuilt = commutator(part.builder(density), density).abs().max()
            assert float(rebuilt) < 1.01 * TOLERANCE
            assert float((density @ density - density).abs().max()) < 1e-10
