"""Hessians and dipole derivatives against differences of energies and dipoles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase.build import molecule as g2

from ase_mlseqm import Engine, InputError, SCFSettings
from ase_mlseqm.batch import Molecule
from ase_mlseqm.derivatives import NotConvergedError, dipole_derivatives, hessian
from ase_mlseqm.differences import symmetrised
from ase_mlseqm.displaced import tightened

CASES = [("H2O", 0, None), ("CH3OH", 0, None), ("NH4", 1, None), ("CH3", 0, 2), ("SO2", 0, None)]


def build(name: str, charge: int, multiplicity: int | None) -> Molecule:
    """A g2 molecule (NH4 is ammonia with one more proton), shaken by a fixed amount."""
    atoms = g2("CH4" if name == "NH4" else name)
    if name == "NH4":
        atoms.numbers[0] = 7
    shake = np.random.default_rng(3).normal(scale=0.02, size=(len(atoms), 3))
    return Molecule(
        np.asarray(atoms.numbers, dtype=np.int64), atoms.positions + shake, charge, multiplicity
    )


def shifted(molecule: Molecule, *moves: tuple[int, float]) -> Molecule:
    """Flat coordinates moved by the given distances."""
    positions = molecule.positions.copy()
    for coordinate, distance in moves:
        positions.flat[coordinate] += distance
    return dataclasses.replace(molecule, positions=positions)


def mixed_differences(engine, molecule, pairs, h) -> np.ndarray:
    """Central second differences of the energy for pairs of flat coordinates, eV/Angstrom^2."""
    signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    moved = [shifted(molecule, (i, a * h), (j, b * h)) for i, j in pairs for a, b in signs]
    energies = np.array([r.energy for r in engine.run(moved, ("energy",))]).reshape(-1, 4)
    return (energies @ [1, -1, -1, 1]) / (4 * h**2)


def test_hessian_tightens_the_scf_by_itself() -> None:
    molecule = build("CH3OH", 0, None)
    loose, tight = (
        hessian(Engine("PM3", scf=SCFSettings(tolerance=tolerance)), molecule)
        for tolerance in (1e-4, 1e-11)
    )
    np.testing.assert_allclose(loose.hessian, tight.hessian, rtol=0, atol=2e-5)
    assert loose.asymmetry < 1e-4


@pytest.mark.parametrize(("given", "used"), [(1e-6, 1e-9), (1e-12, 1e-12)])
def test_an_scf_that_is_tighter_stays_so(given, used) -> None:
    engine = Engine("PM3", scf=SCFSettings(tolerance=given, max_iterations=77))
    assert tightened(engine).scf == SCFSettings(tolerance=used, max_iterations=77)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("method", ["AM1", "PM3"])
def test_hessian_against_differences_of_energies(case, method) -> None:
    """Second differences of the energy know nothing of forces."""
    molecule, engine = build(*case), Engine(method, scf=SCFSettings(tolerance=1e-10))
    result = hessian(engine, molecule)
    size = 3 * len(molecule.numbers)
    assert result.hessian.shape == (size, size)
    pairs = [(0, 0), (2, 2), (0, 4), (3, 8 % size), (size - 1, 1)]
    coarse, fine = (mixed_differences(engine, molecule, pairs, h) for h in (8e-3, 4e-3))
    numeric = (4 * fine - coarse) / 3  # the error of second order drops out
    for (i, j), value in zip(pairs, numeric, strict=True):
        assert result.hessian[i, j] == pytest.approx(value, abs=2e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_hessian_is_symmetric_and_knows_translations(case) -> None:
    result = hessian(Engine("PM3"), build(*case))
    assert result.asymmetry < 2e-4
    np.testing.assert_array_equal(result.hessian, result.hessian.T)
    rows = result.hessian.reshape(len(result.hessian), -1, 3).sum(1)
    assert np.abs(rows).max() < 2e-4


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("method", ["MNDO", "PM3"])
def test_dipole_derivatives_by_field_and_by_displacement(case, method) -> None:
    """dF/dE and dmu/dx are the same mixed derivative, computed in two ways."""
    molecule, engine = build(*case), Engine(method)
    by_field = dipole_derivatives(engine, molecule)
    by_displacement = hessian(engine, molecule).dipole_derivatives
    assert by_field.shape == (3 * len(molecule.numbers), 3)
    np.testing.assert_allclose(by_field, by_displacement, rtol=0, atol=2e-5)


def test_sum_of_dipole_derivatives_is_zero_about_the_centre_of_mass() -> None:
    """A translated molecule keeps its dipole; that of an ion is about the centre of mass."""
    for case in CASES:
        total = dipole_derivatives(Engine("AM1"), build(*case)).reshape(-1, 3, 3).sum(0)
        assert np.abs(total).max() < 1e-6


def test_rotation_of_a_charge_free_molecule_turns_its_dipole() -> None:
    """Sum over atoms of (axis x R) . dmu/dR equals axis x mu."""
    molecule, engine = build("CH3OH", 0, None), Engine("PM3")
    tensor = dipole_derivatives(engine, molecule).reshape(-1, 3, 3)
    dipole = engine.run([molecule], ("energy", "dipole"))[0].dipole
    for axis in np.eye(3):
        turned = np.einsum("ax,axk->k", np.cross(axis, molecule.positions), tensor)
        np.testing.assert_allclose(turned, np.cross(axis, dipole), rtol=0, atol=1e-5)


def test_hessian_in_a_field() -> None:
    molecule, engine = build("H2O", 0, None), Engine("PM3", scf=SCFSettings(tolerance=1e-10))
    field = (0.0, 0.3, -0.2)
    result = hessian(engine, molecule, field=field)
    h = 1e-3
    ends = [shifted(molecule, (4, sign * h)) for sign in (1.0, -1.0)]
    up, down = (r.forces.ravel() for r in engine.run(ends, ("energy", "forces"), field=field))
    np.testing.assert_allclose(result.hessian[4], -(up - down) / (2 * h), rtol=0, atol=2e-4)
    assert np.abs(result.hessian - hessian(engine, molecule).hessian).max() > 1e-3


def test_a_displacement_that_does_not_converge_is_an_error() -> None:
    engine = Engine("PM3", scf=SCFSettings(max_iterations=2, ladder=False))
    with pytest.raises(NotConvergedError, match="did not converge"):
        hessian(engine, build("CH3OH", 0, None))


def test_dipole_derivatives_whose_scf_fails_already_without_a_field() -> None:
    engine = Engine("PM3", scf=SCFSettings(max_iterations=2, ladder=False))
    with pytest.raises(NotConvergedError, match=r"^without a field: .* did not converge"):
        dipole_derivatives(engine, build("CH3OH", 0, None))


@pytest.mark.parametrize("step", [0.0, -1e-3, float("nan"), float("inf")])
def test_steps_that_make_no_sense(step) -> None:
    with pytest.raises(InputError, match="step is"):
        hessian(Engine("PM3"), build("H2O", 0, None), step=step)


def test_asymmetry_is_the_largest_difference_of_elements_that_should_be_equal() -> None:
    raw = np.array([[2.0, 0.5, 0.1], [0.2, 3.0, -0.4], [0.1, 0.4, 1.0]])
    result = symmetrised(raw)
    assert result.asymmetry == pytest.approx(0.8) and result.dipole_derivatives is None
    expected = [[2.0, 0.35, 0.1], [0.35, 3.0, 0.0], [0.1, 0.0, 1.0]]
    np.testing.assert_allclose(result.hessian, expected, atol=1e-15)
