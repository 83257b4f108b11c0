"""Of several unrestricted solutions the lowest one is found, whatever the start."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm import MLSEQM, evaluate

PM3 = {"method": "PM3"}


@pytest.mark.parametrize("length", [2.0, 2.15])
def test_equivalent_bonds_of_a_radical_break_with_one_energy(length):
    stretched = []
    for hydrogen in (1, 2, 3):
        atoms = molecule("CH3")
        atoms.set_distance(0, hydrogen, length, fix=0)
        stretched.append(atoms)
    energies = [r.energy for r in evaluate(stretched, **PM3)]
    assert np.ptp(energies) < 1e-5


def test_the_curve_of_a_radical_has_no_steps():
    """Of OH, where it is flat: 0.64 eV between neighbours otherwise."""
    curve = [Atoms("OH", [(0, 0, 0), (0, 0, d)]) for d in np.arange(2.4, 3.01, 0.04)]
    energies = np.array([r.energy for r in evaluate(curve, **PM3)])
    assert np.diff(energies).min() > 0
    assert np.abs(np.diff(energies)).max() < 0.02


def test_a_triplet_does_not_rise_far_above_its_end():
    """Of dioxygen: two and a half to three times its length 4 eV above six times otherwise."""
    curve = [Atoms("O2", [(0, 0, 0), (0, 0, d)], magmoms=[1, 1]) for d in (2.4, 3.0, 6.0)]
    results = evaluate(curve, **PM3)
    assert [r.multiplicity for r in results] == [3, 3, 3]
    assert np.ptp([r.energy for r in results]) < 0.1


@pytest.mark.parametrize("lengths", [(1.17, 1.3, 1.5, 1.8, 2.1, 2.5)[::k] for k in (1, -1)])
def test_a_singlet_that_is_stretched_does_not_depend_on_where_it_came_from(lengths):
    """Dioxygen begins as two electrons in degenerate orbitals: spin densities without spins."""
    atoms = Atoms("O2", [(0, 0, 0), (0, 0, 1)])
    atoms.calc = MLSEQM("PM3", unrestricted=True)
    for length in lengths:
        atoms.positions[1, 2] = length
        fresh = atoms.copy()
        fresh.calc = MLSEQM("PM3", unrestricted=True)
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=0.01)


def test_a_radical_that_is_stretched_leaves_a_state_that_is_none_of_the_lowest():
    """Triplet dioxygen, pulled apart: followed, it would be 3 to 4 eV too high."""
    atoms = Atoms("O2", [(0, 0, 0), (0, 0, 1.2)], magmoms=[1, 1])
    atoms.calc = MLSEQM("PM3")
    energies = []
    for length in np.arange(1.2, 3.01, 0.3):
        atoms.positions[1, 2] = length
        energies.append(atoms.get_potential_energy())
    fresh = atoms.copy()
    fresh.calc = MLSEQM("PM3")
    assert energies[-1] == pytest.approx(fresh.get_potential_energy(), abs=0.01)


def stretched(name, multiplicity, lengths):
    """Energies above those found anew, eV, of a bond pulled to multiples of its length."""
    atoms = molecule(name)
    atoms.calc = MLSEQM("PM3", multiplicity=multiplicity)
    first, second = atoms.positions[:2].copy()
    near = np.linalg.norm(atoms.positions - second, axis=1) < np.linalg.norm(
        atoms.positions - first, axis=1
    )
    start = atoms.positions.copy()
    above = []
    for length in lengths:
        atoms.positions = start + (length - 1.0) * np.outer(near, second - first)
        fresh = atoms.copy()
        fresh.calc = MLSEQM("PM3", multiplicity=multiplicity)
        above.append(atoms.get_potential_energy() - fresh.get_potential_energy())
    return above


@pytest.mark.parametrize(
    ("name", "multiplicity", "lengths"),
    [
        ("O2", 3, (1.0, 1.25, 1.45)),  # 0.2 and 0.6 eV too high otherwise
        ("O2", 3, (1.0, 1.1, 1.2, 1.3)),  # 0.2 and 0.4
        ("N2", 3, (1.1, 1.2, 1.3)),  # 0.3
        ("C2H4", 3, (1.6, 1.7, 1.8)),  # 0.1 and 0.5
    ],
)
def test_a_symmetry_that_costs_energy_is_not_kept(name, multiplicity, lengths):
    """The state with it is a saddle point, beyond a length that none of the starts is at."""
    np.testing.assert_allclose(stretched(name, multiplicity, lengths), 0.0, atol=0.002)


@pytest.mark.parametrize(("name", "lengths"), [("CN", (1.0, 1.3, 1.6)), ("CH3O", (1.0, 1.3, 1.6))])
def test_a_bond_that_is_pulled_far_at_once(name, lengths):
    """From the density before they would end 0.6 to 1.0 eV too high."""
    np.testing.assert_allclose(stretched(name, 2, lengths), 0.0, atol=0.002)


@pytest.mark.parametrize(("name", "unrestricted"), [("CH3O", None), ("NO2", None), ("C2H6", True)])
def test_molecules_that_are_followed_near_their_minima_are_not_searched(name, unrestricted):
    """Further starts, or DIIS that is slow as of any radical, are no sign of another solution."""
    atoms = molecule(name)
    atoms.calc = MLSEQM("PM3", unrestricted=unrestricted)
    atoms.get_potential_energy()
    for seed in range(4):
        atoms.rattle(0.01, seed=seed)
        atoms.get_potential_energy()
        assert atoms.calc.singlepoint.iterations < 130  # ten rungs take more than 250
    fresh = atoms.copy()
    fresh.calc = MLSEQM("PM3", unrestricted=unrestricted)
    assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-5)
