"""Forces, dipoles and parameter gradients against differences of the energy."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import (
    FOLLOW,
    STEPS,
    TIGHT,
    build,
    five_point,
    moved,
    numerical_forces,
    parametric_energy,
    run,
    single,
)

from ase_mlseqm import Engine, SCFSettings
from ase_mlseqm.batch import Molecule, collate
from ase_mlseqm.model import PlainModel
from ase_mlseqm.nddo.parameters import METHODS, supported, table_parameters
from ase_mlseqm.validate import check

H = 1e-3  # Angstrom, eV, V/Angstrom, ...
BOUND = 1e-6
FIELD = (0.11, -0.23, 0.17)

# name, charge, multiplicity (None: the lowest)
NEUTRAL = [
    ("CH3CONH2", 0, None),
    ("CH3SiH3", 0, None),
    ("PF3", 0, None),
    ("CH3SH", 0, None),
    ("SO2", 0, None),
    ("HCCl3", 0, None),
    ("AlH3", 0, None),
    ("CHFBrI", 0, None),
]
IONS = [("NH4", 1, None), ("HCOO", -1, None), ("OH", -1, None)]
RADICALS = [("CH3", 0, 2), ("NO2", 0, 2), ("O2", 0, 3), ("H2O", 1, 2), ("H2CO", 0, 3)]
SPECIES = NEUTRAL + IONS + RADICALS
CASES = [(method, *spec) for method in METHODS for spec in SPECIES] + [("MNDO", "BH3", 0, None)]


def test_every_element_is_here():
    for method in METHODS:
        seen = {z for m, *spec in CASES if m == method for z in build(*spec).numbers.tolist()}
        assert seen == set(supported(method))


@pytest.mark.parametrize(("method", "name", "charge", "multiplicity"), CASES)
def test_forces(method, name, charge, multiplicity):
    molecule = build(name, charge, multiplicity)
    result = single(molecule, method, ("energy", "forces", "density"))
    forces = result.forces
    assert forces.dtype == np.float64
    assert np.abs(forces).max() > 0.1
    numeric = numerical_forces(molecule, result.density, method, H)
    np.testing.assert_allclose(forces, numeric, rtol=0, atol=BOUND)
    np.testing.assert_allclose(forces.sum(0), 0.0, rtol=0, atol=1e-9)
    torque = np.cross(molecule.positions, forces).sum(0)
    np.testing.assert_allclose(torque, 0.0, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["CH3", "H2CO"])
def test_forces_of_unrestricted_singlets_and_ions(name):
    """The unrestricted code at 2S + 1 = 1."""
    charge = 1 if name == "CH3" else 0
    molecule = build(name, charge)
    result = single(molecule, "PM3", ("energy", "forces", "density"), unrestricted=True)
    assert result.unrestricted
    numeric = numerical_forces(molecule, result.density, "PM3", H, unrestricted=True)
    np.testing.assert_allclose(result.forces, numeric, rtol=0, atol=BOUND)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "charge", "multiplicity"),
    [("H2CO", 0, None), ("CHFBrI", 0, None), ("NH4", 1, None), ("HCOO", -1, None), ("NO2", 0, 2)],
)
def test_forces_in_a_field(method, name, charge, multiplicity):
    molecule = build(name, charge, multiplicity)
    result = single(molecule, method, ("energy", "forces", "density"), field=FIELD)
    free = single(molecule, method, ("energy", "forces"))
    assert np.abs(result.forces - free.forces).max() > 1e-2
    numeric = numerical_forces(molecule, result.density, method, H, field=FIELD)
    np.testing.assert_allclose(result.forces, numeric, rtol=0, atol=BOUND)
    # the dipole is that about the centre of mass, which moves with the atoms: no net force
    np.testing.assert_allclose(result.forces.sum(0), 0.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), FIELD])
def test_dipole_is_minus_the_derivative_in_the_field(method, at):
    species = NEUTRAL + IONS + RADICALS
    molecules = [build(*spec) for spec in species]
    results = run(molecules, method, ("energy", "dipole", "density"), field=at)
    dipoles = np.array([r.dipole for r in results])
    start = [r.density for r in results]
    numeric = np.zeros_like(dipoles)
    for axis in range(3):
        values = []
        for step in STEPS:
            field = np.array(at)
            field[axis] += step * H
            close = run(molecules, method, scf=FOLLOW, field=field, guesses=start)
            values.append([r.energy for r in close])
        numeric[:, axis] = -five_point(np.array(values), H)
    np.testing.assert_allclose(dipoles, numeric, rtol=0, atol=BOUND)
    assert np.abs(dipoles).max() > 0.3


def test_a_field_of_zero_changes_nothing():
    molecule = build("H2CO")
    free = single(molecule, "PM3", ("energy", "forces", "dipole"))
    zero = single(molecule, "PM3", ("energy", "forces", "dipole"), field=(0.0, 0.0, 0.0))
    assert zero.energy == pytest.approx(free.energy, abs=1e-10)
    np.testing.assert_allclose(zero.forces, free.forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(zero.dipole, free.dipole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("charge", [0, 1, -1])
def test_the_energy_of_an_ion_in_a_field_does_not_depend_on_the_origin(charge):
    molecule = build("HCOO", charge, None)
    shifted = moved(molecule, molecule.positions + [3.0, -7.0, 11.0])
    here, there = run([molecule, shifted], "AM1", ("energy", "forces", "dipole"), field=FIELD)
    assert here.energy == pytest.approx(there.energy, abs=1e-9)
    np.testing.assert_allclose(here.forces, there.forces, rtol=0, atol=1e-8)
    np.testing.assert_allclose(here.dipole, there.dipole, rtol=0, atol=1e-8)


def test_a_lone_ion_in_a_field():
    """About its own centre of mass a closed shell without empty orbitals does not feel it."""
    fluoride = Molecule(np.array([9]), np.array([[1.0, 2.0, 3.0]]), -1)
    free = single(fluoride, "PM3")
    result = single(fluoride, "PM3", ("energy", "forces", "dipole"), field=FIELD)
    assert result.energy == pytest.approx(free.energy, abs=1e-9)
    np.testing.assert_allclose(result.forces, 0.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.dipole, 0.0, rtol=0, atol=1e-9)


def test_forces_are_those_of_the_default_settings_too():
    """Default tolerance: well below 1e-6 eV/A of force error."""
    molecules = [build(*spec) for spec in SPECIES]
    loose = run(molecules, "PM3", ("energy", "forces"), scf=SCFSettings())
    tight = run(molecules, "PM3", ("energy", "forces"), scf=TIGHT)
    for one, two in zip(loose, tight, strict=True):
        np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=1e-6)
        assert one.energy == pytest.approx(two.energy, abs=1e-9)


# --- parameters -----------------------------------------------------------------------------

PARAMETER_CASES = [
    ("MNDO", "BH3", 0, None),
    ("MNDO", "CH3", 0, 2),
    ("AM1", "HCN", 0, None),
    ("AM1", "OH", -1, None),
    ("AM1", "SiO", 0, None),
    ("AM1", "P2", 0, None),
    ("AM1", "AlF", 0, None),
    ("PM3", "H2O", 0, None),
    ("PM3", "NH3", 1, 2),
    ("PM3", "CH3Cl", 0, None),
    ("PM3", "SO2", 0, None),
    ("PM3", "HF", 0, None),
    ("PM3", "HBr", 0, None),
    ("PM3", "HI", 0, None),
    ("PM3", "O2", 0, 3),
]


def copies(molecule, method, n):
    """A batch of ``n`` copies and the table's parameters of all its atoms."""
    model = PlainModel(method)
    batch = collate([check(molecule, model)] * n)
    return batch, table_parameters(method, batch.numbers.flatten())


@pytest.mark.parametrize(("method", "name", "charge", "multiplicity"), PARAMETER_CASES)
def test_gradient_of_every_parameter(method, name, charge, multiplicity):
    molecule = build(name, charge, multiplicity)
    unrestricted = multiplicity is not None
    n_atoms = len(molecule.numbers)

    batch, table = copies(molecule, method, 1)
    leaves = {key: value.clone().requires_grad_() for key, value in table.items()}
    energy = parametric_energy(batch, dataclasses.replace(table, **leaves), unrestricted)
    assert bool(energy.scf.converged.all())
    analytic = {}
    for quantity in ("total", "isolated"):
        gradients = torch.autograd.grad(
            getattr(energy, quantity).sum(),
            list(leaves.values()),
            retain_graph=True,
            materialize_grads=True,
        )
        analytic[quantity] = dict(zip(leaves, gradients, strict=True))

    for key, value in table.items():
        width = value[0].numel()
        columns = n_atoms * width
        batch, many = copies(molecule, method, 4 * columns)
        shift = torch.zeros(4, columns, n_atoms, width, dtype=torch.float64)
        for row, step in enumerate(STEPS):
            for column in range(columns):
                shift[row, column, column // width, column % width] = step * H
        changed = getattr(many, key) + shift.reshape(getattr(many, key).shape)
        with torch.no_grad():
            result = parametric_energy(
                batch,
                dataclasses.replace(many, **{key: changed}),
                unrestricted,
                FOLLOW,
                energy.scf.density.expand(-1, len(batch), -1, -1),
            )
        assert bool(result.scf.converged.all())
        for quantity in ("total", "isolated"):
            values = getattr(result, quantity).view(4, n_atoms, width).numpy()
            numeric = five_point(values, H)
            found = analytic[quantity][key].view(n_atoms, width).numpy()
            np.testing.assert_allclose(
                found, numeric, rtol=0, atol=BOUND, err_msg=f"d {quantity} / d {key}"
            )
    # every parameter of a heavy atom but the Gaussians of MNDO matters somewhere
    heavy = molecule.numbers > 1
    for key in ("U_ss", "zeta_s", "beta_s", "g_ss", "alpha"):
        assert bool((analytic["total"][key].abs() > 1e-4).all()), key
    for key in ("U_pp", "zeta_p", "beta_p", "g_sp", "g_pp", "g_p2", "h_sp"):
        assert bool((analytic["total"][key][heavy].abs() > 1e-4).all()), key
        assert bool((analytic["total"][key][~heavy] == 0).all()), key
        assert bool((analytic["isolated"][key][~heavy] == 0).all()), key


def test_the_helper_builds_the_energy_of_the_engine():
    for method, name, charge, multiplicity in PARAMETER_CASES[::3]:
        molecule = build(name, charge, multiplicity)
        batch, table = copies(molecule, method, 1)
        energy = parametric_energy(batch, table, multiplicity is not None)
        result = Engine(method, scf=TIGHT).run([molecule])[0]
        assert float(energy.total) == pytest.approx(result.energy, abs=1e-9)
        expected = float(energy.total - energy.isolated)
        assert result.atomization_energy == pytest.approx(expected, abs=1e-9)


def test_gradients_after_a_run():
    """Nothing that a run leaves in a cache stands in the way of a later graph."""
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from helpers import build, parametric_energy, run
from ase_mlseqm.batch import collate
from ase_mlseqm.model import PlainModel
from ase_mlseqm.nddo.integrals import integrals, prepare
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import table_parameters
from ase_mlseqm.validate import check
molecules = [check(build(name), PlainModel("PM3")) for name in ("CH3OH", "HCl")]
forces = run(molecules, "PM3", ("forces", "dipole", "bond_orders", "magmoms"))
batch = collate(molecules)
table = table_parameters("PM3", batch.numbers.flatten()[batch.numbers.flatten() > 0])
leaves = {name: value.clone().requires_grad_() for name, value in table.items()}
parametric_energy(batch, type(table)(**leaves), False).total.sum().backward()
layout = build_layout(batch.numbers)
positions = batch.positions.flatten(0, 1)[layout.slot].clone().requires_grad_()
sum(t.sum() for t in integrals(layout, prepare(layout, table), positions).tensors()).backward()
print(bool(torch.isfinite(positions.grad).all()), positions.grad.dtype)
"""
    here = str(pathlib.Path(__file__).parent)
    command = [sys.executable, "-c", program, here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "torch.float64"]
