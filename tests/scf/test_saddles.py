"""Saddles are told from minima, with directions in which the energy goes down."""

import numpy as np
import pytest
import torch
from ase.build import molecule
from helpers import build, problem, rotation

from ase_mlseqm import SCFSettings, evaluate
from ase_mlseqm.scf import solve
from ase_mlseqm.scf.density import aufbau, density_matrix
from ase_mlseqm.scf.saddles import downhill

BARE = SCFSettings(ladder=False, tolerance=1e-9)


def dioxygen(length):
    molecule = build("O2", 0, 3)
    positions = molecule.positions - molecule.positions[0]
    positions = positions * (length / (positions[1] ** 2).sum() ** 0.5)
    return type(molecule)(molecule.numbers, positions, molecule.charge, molecule.multiplicity)


def test_the_energy_goes_down_from_a_saddle():
    """DIIS alone keeps the symmetry of stretched triplet dioxygen; others of the batch stay."""
    part = problem(
        [dioxygen(1.2), build("CH3", 0, 2), dioxygen(1.5), build("NO2", 0, 2)], "PM3", True
    )
    found = solve(part.builder, part.occupied, None, BARE)
    down, turned = downhill(part.builder, part.occupied, found)
    assert down.tolist() == [False, False, True, False]
    unity = torch.eye(turned.shape[-1], dtype=turned.dtype).expand_as(turned)
    torch.testing.assert_close(turned.mT @ turned, unity, rtol=0, atol=1e-9)
    density = density_matrix(turned, aufbau(part.occupied, turned.shape[-1]))
    after = part.builder.energy(density, part.builder(density))
    before = part.builder.energy(found.density, found.fock)
    assert after[2] < before[2] - 0.01


def test_it_does_not_depend_on_the_batch():
    alone = problem([dioxygen(1.5)], "PM3", True)
    mixed = problem([build("C2H5", 0, 2), dioxygen(1.5)], "PM3", True)
    turned = []
    for part in (alone, mixed):
        found = solve(part.builder, part.occupied, None, BARE)
        down, orbitals = downhill(part.builder, part.occupied, found)
        assert bool(down[-1])
        density = density_matrix(orbitals, aufbau(part.occupied, orbitals.shape[-1]))
        turned.append(part.builder.energy(density, part.builder(density))[-1])
    torch.testing.assert_close(*turned, rtol=0, atol=0.05)


@pytest.mark.parametrize("options", [{}, {"method": "PM3"}], ids=str)
@pytest.mark.parametrize(("name", "length"), [("CO2", 2.5), ("N2", 1.7), ("N2", 2.0), ("N2", 2.5)])
def test_how_a_restricted_molecule_lies_does_not_decide_on_its_state(name, length, options):
    """DIIS and the search ended in saddles up to 3.4 eV too high, which ones rounding decided."""
    turned = []
    for seed in range(5):
        atoms = molecule(name)
        atoms.positions *= length
        if seed:
            atoms.positions = atoms.positions @ rotation(np.random.default_rng(seed)).T
        turned.append(atoms)
    assert np.ptp([r.energy for r in evaluate(turned, **options)]) < 1e-5
