"""Rotation, translation, reflection, permutation; spins of closed shells."""

import dataclasses

import numpy as np
import pytest
from helpers import build, moved, rotation, run, single
from mixture import MIXED, same

from ase_mlseqm.nddo.parameters import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_rotation_and_translation(method):
    rng = np.random.default_rng(4)
    properties = ("energy", "forces", "dipole", "charges", "bond_orders", "mo_energies")
    for molecule, expected in zip(MIXED, run(MIXED, method, properties), strict=True):
        matrix, shift = rotation(rng), rng.uniform(-20, 20, 3)
        result = single(moved(molecule, molecule.positions @ matrix.T + shift), method, properties)
        assert result.energy == pytest.approx(expected.energy, rel=0, abs=1e-9)
        np.testing.assert_allclose(result.forces @ matrix, expected.forces, rtol=0, atol=1e-8)
        np.testing.assert_allclose(result.dipole @ matrix, expected.dipole, rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.charges, expected.charges, rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.bond_orders, expected.bond_orders, rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.mo_energies, expected.mo_energies, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_reflection(method):
    molecule = build("CHFBrI")
    expected = single(molecule, method, ("energy", "forces"))
    mirror = np.array([1.0, -1.0, 1.0])
    result = single(moved(molecule, molecule.positions * mirror), method, ("energy", "forces"))
    assert result.energy == pytest.approx(expected.energy, rel=0, abs=1e-9)
    np.testing.assert_allclose(result.forces * mirror, expected.forces, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_permutation_of_atoms(method):
    rng = np.random.default_rng(6)
    properties = ("energy", "forces", "dipole", "charges", "magmoms", "bond_orders")
    for molecule, expected in zip(MIXED, run(MIXED, method, properties), strict=True):
        order = rng.permutation(len(molecule.numbers))
        other = dataclasses.replace(
            molecule, numbers=molecule.numbers[order], positions=molecule.positions[order]
        )
        result = single(other, method, properties)
        assert result.energy == pytest.approx(expected.energy, rel=0, abs=1e-9)
        np.testing.assert_allclose(result.forces, expected.forces[order], rtol=0, atol=1e-8)
        np.testing.assert_allclose(result.dipole, expected.dipole, rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.charges, expected.charges[order], rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.magmoms, expected.magmoms[order], rtol=0, atol=1e-6)
        orders = expected.bond_orders[np.ix_(order, order)]
        np.testing.assert_allclose(result.bond_orders, orders, rtol=0, atol=1e-6)


def test_restricted_and_unrestricted_agree_on_closed_shells():
    for molecule in (build("H2O"), build("CH3CONH2"), build("NH4", 1)):
        one = single(molecule, "PM3", ("energy", "forces"), unrestricted=False)
        two = single(molecule, "PM3", ("energy", "forces", "magmoms"), unrestricted=True)
        same(one, two)
        np.testing.assert_allclose(two.magmoms, 0.0, rtol=0, atol=1e-6)
