"""Single atoms, which have a closed expression, and molecules that become them."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import build, moved, parametric_energy, single

from ase_mlseqm.batch import Batch, Molecule
from ase_mlseqm.nddo.one_center import isolated_atom_energy
from ase_mlseqm.nddo.parameters import METHODS, elements, supported, table_parameters

GROUND = {1: 2, 5: 2, 6: 3, 7: 4, 8: 3, 9: 2, 13: 2, 14: 3, 15: 4, 16: 3, 17: 2, 35: 2, 53: 2}
ATOMS = [(method, z) for method in METHODS for z in sorted(supported(method))]


def lone(number):
    return Molecule(np.array([number]), np.array([[0.1, -0.2, 0.3]]), 0, GROUND[number])


@pytest.mark.parametrize(("method", "number"), ATOMS)
def test_single_atoms(method, number):
    z = torch.tensor([number])
    core = elements(z.device).core_charge[z].double()
    expected = float(isolated_atom_energy(table_parameters(method, z), core))
    result = single(lone(number), method, ("energy", "forces", "magmoms"))
    assert result.unrestricted
    assert result.energy == pytest.approx(expected, rel=0, abs=1e-9)
    assert result.atomization_energy == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(result.forces, 0.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.magmoms, GROUND[number] - 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("number", "kcal"), [(1, 52.102), (6, 170.89), (7, 113.0), (8, 59.559)])
def test_heat_of_formation_of_an_atom_is_the_tabulated_one(number, kcal):
    heat = single(lone(number), "AM1").heat_of_formation
    assert heat * 23.060547830619 == pytest.approx(kcal, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_single_atoms_with_perturbed_parameters(method, seed):
    numbers = torch.tensor(sorted(supported(method))).view(-1, 1)
    generator = torch.Generator().manual_seed(seed)
    table = table_parameters(method, numbers.flatten())
    noise = {
        name: value * (1 + 0.05 * (2 * torch.rand(value.shape, generator=generator).double() - 1))
        for name, value in table.items()
    }
    batch = Batch(
        numbers,
        torch.zeros(len(numbers), 1, 3, dtype=torch.float64),
        torch.zeros(len(numbers), dtype=torch.int64),
        torch.tensor([GROUND[z] for z in numbers.flatten().tolist()]),
    )
    energy = parametric_energy(batch, dataclasses.replace(table, **noise), True)
    assert bool(energy.scf.converged.all())
    torch.testing.assert_close(energy.total, energy.isolated, rtol=0, atol=1e-9)
    plain = parametric_energy(batch, table, True)
    assert float((energy.isolated - plain.isolated).abs().min()) > 1e-3


def test_isolated_atoms_in_closed_form():
    """C and O as printed in textbooks of the method."""
    p = table_parameters("PM3", torch.tensor([6, 8]))
    values = isolated_atom_energy(p, torch.tensor([4.0, 6.0], dtype=torch.float64))
    U_s, U_p, ss, sp, pp, p2, h = (
        getattr(p, n) for n in ("U_ss", "U_pp", "g_ss", "g_sp", "g_pp", "g_p2", "h_sp")
    )
    carbon = (2 * U_s + 2 * U_p + ss + 4 * sp - 2 * h + 1.5 * p2 - 0.5 * pp)[0]
    oxygen = (2 * U_s + 4 * U_p + ss + 8 * sp - 4 * h + 6.5 * p2 - 0.5 * pp)[1]
    torch.testing.assert_close(values, torch.stack((carbon, oxygen)), rtol=0, atol=1e-10)


def test_molecules_fall_apart_into_their_atoms():
    """The atomization energy is measured from the atoms that the molecule dissociates into."""
    for name, multiplicity in (("H2", 3), ("O2", 5), ("N2", 7), ("HCl", 3), ("CO", 5)):
        molecule = build(name, 0, multiplicity, shake=0.0)
        axis = molecule.positions[1] - molecule.positions[0]
        far = moved(molecule, np.array([0 * axis, 100 * axis]))
        assert single(far, "AM1").atomization_energy == pytest.approx(0.0, abs=1e-6)
