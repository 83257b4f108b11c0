"""Energies of learned Hamiltonians and their derivatives, against differences of the energy."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import FOLLOW, STEPS, build, five_point, numerical_forces, rotation, run, single
from learned import ALL, PARAMETERS, learned

from ase_mlseqm import SCFSettings
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo.integrals import prepare
from ase_mlseqm.scf.guess import n_occupied
from ase_mlseqm.solution import solve_at, topology, value_gradient

SETTINGS = SCFSettings(tolerance=1e-9)
FIELD = (0.11, -0.23, 0.17)
ASKED = ("energy", "forces", "dipole", "density")
BOUND = 1e-6


def pair(first, second, distance, seed=0):
    """Two molecules whose atoms 0 are ``distance`` apart."""
    axis = rotation(np.random.default_rng(seed))[0]
    there = first.positions[0] + distance * axis
    positions = np.concatenate((first.positions, second.positions - second.positions[0] + there))
    return Molecule(np.concatenate((first.numbers, second.numbers)), positions)


def water_dimer():
    """Near its minimum, slightly distorted."""
    first = [[-1.55, -0.11, 0.0], [-1.93, 0.76, 0.03], [-0.60, 0.04, -0.02]]
    second = [[1.35, 0.11, 0.02], [1.68, -0.37, -0.76], [1.70, -0.36, 0.75]]
    return Molecule(np.array([8, 1, 1] * 2), np.array(first + second))


def isocyanic_acid():
    """HNCO, bent everywhere: four elements, small and polar."""
    positions = [[0.0, 0.2, 0.1], [0.9, -0.3, 0.0], [2.1, 0.05, -0.1], [3.2, 0.4, 0.2]]
    return Molecule(np.array([1, 7, 6, 8]), np.array(positions))


def error_of_forces(molecule, model, h=1e-3, **options):
    """Largest difference between forces and differences of the energy, eV/Angstrom."""
    point = single(molecule, model, ASKED, SETTINGS, **options)
    return np.abs(
        point.forces - numerical_forces(molecule, point.density, model, h, **options)
    ).max()


SYSTEMS = {"polar": build("CH3CONH2"), "dimer": water_dimer()}


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("parameters", PARAMETERS)
class TestForces:
    @pytest.mark.parametrize("field", [None, FIELD])
    @pytest.mark.parametrize("system", SYSTEMS)
    def test_molecules(self, system, field, parameters, order):
        model = learned(PARAMETERS[parameters], order)
        assert error_of_forces(SYSTEMS[system], model, field=field) < BOUND

    def test_response_of_the_parameters_matters(self, parameters, order):
        """Forces at fixed parameters, which the tests above must tell from the right ones."""
        molecule, model = SYSTEMS["polar"], learned(PARAMETERS[parameters], order)
        point = single(molecule, model, ASKED, SETTINGS)

        class Frozen(type(model)):
            def values(self, layout, positions):
                return model.values(layout, positions).detach() + 0.0 * positions.sum()

        fixed = Frozen(model.config)
        partial = single(molecule, fixed, ASKED, SETTINGS)
        assert partial.energy == pytest.approx(point.energy, abs=1e-9)
        assert np.abs(partial.forces - point.forces).max() > 0.01

    @pytest.mark.parametrize("offset", [-0.01, 0.0, 0.01])
    def test_at_the_cutoff(self, offset, parameters, order):
        """Oxygen and nitrogen 6 Angstrom apart; there the energy has a kink in its curvature."""
        model = learned(PARAMETERS[parameters], order)
        molecule = pair(build("H2CO"), build("NH3"), model.network.cutoff + offset)
        h = 1e-3 if offset else 2e-5
        assert error_of_forces(molecule, model, h) < BOUND


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("field", [(0.0, 0.0, 0.0), FIELD])
def test_dipole(field, parameters):
    """Minus the derivative of the energy with the field; learned exponents change it."""
    molecule, model, h = SYSTEMS["polar"], learned(PARAMETERS[parameters], std=0.5), 1e-3
    point = single(molecule, model, ASKED, SETTINGS, field=field)
    energies = [
        single(
            molecule,
            model,
            scf=FOLLOW,
            guesses=[point.density],
            field=np.array(field) + step * h * np.eye(3)[axis],
        ).energy
        for step in STEPS
        for axis in range(3)
    ]
    expected = -five_point(np.reshape(energies, (4, 3)), h)
    np.testing.assert_allclose(point.dipole, expected, atol=BOUND)
    plain = single(molecule, "PM3", ("dipole",), field=field)
    assert np.abs(plain.dipole - point.dipole).max() > 0.01


@pytest.mark.parametrize("field", [None, FIELD])
def test_gradient_of_the_parameters(field):
    """Every parameter of every atom, against converged energies; hydrogen's others are zero."""
    model, molecule = learned(ALL), isocyanic_acid()
    field = None if field is None else torch.tensor(field, dtype=torch.float64)
    numbers, positions = (torch.from_numpy(v) for v in (molecule.numbers, molecule.positions))

    def solution(values, guess=None):
        """Of copies (m, A, k) of the molecule with different parameters."""
        known = topology(model, numbers.expand(len(values), -1))
        zero = torch.zeros(len(values), dtype=torch.int64)
        return known.layout, solve_at(
            known,
            prepare(known.layout, model.assemble(known.layout, values.flatten(0, 1))),
            positions.repeat(len(values), 1),
            n_occupied(known.layout, zero, zero + 1, unrestricted=False),
            FOLLOW,
            with_gradient=False,
            guess=guess,
            field=field,
        )

    layout = topology(model, numbers.unsqueeze(0)).layout
    with torch.no_grad():
        values = model.values(layout, positions).unsqueeze(0)
    _, here = solution(values)
    constants = prepare(layout, model.assemble(layout, values[0]))
    problem = dataclasses.replace(here.problem, constants=constants)
    gradient = value_gradient(model, layout, problem, here.populations, field)
    h = 1e-3 * values.abs().clamp(min=0.1).flatten()
    displaced = torch.cat([values.flatten() + step * torch.diag(h) for step in STEPS])
    guess = here.scf.density.expand(-1, len(displaced), -1, -1)
    _, there = solution(displaced.view(-1, *values.shape[1:]), guess)
    assert here.scf.converged.all() and there.scf.converged.all()
    expected = five_point(there.atomization.view(4, -1), h).view_as(gradient)
    assert (gradient - expected).abs().max() < BOUND
    assert (gradient != 0).sum() == model.head.applies(layout).sum()
    assert gradient[expected != 0].abs().median() > 1e-2


def test_molecules_far_apart():
    """The energy of both is the sum: nothing drifts with the parameters."""
    model, (first, second) = learned(ALL, 2), (build("CH3OH"), build("NH3"))
    alone = sum(single(m, model).energy for m in (first, second))
    assert single(pair(first, second, 1e4), model).energy == pytest.approx(alone, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore:ions and radicals")
def test_isolated_atoms(seed):
    """The energy of an atom is that of the published table, whatever its parameters."""
    model = learned(ALL, 2, std=0.5, seed=seed)
    atoms = [
        Molecule(np.array([z]), np.zeros((1, 3)), 0, m) for z, m in ((1, 2), (6, 3), (7, 4), (8, 3))
    ]
    asked = ("energy", "forces", "parameters")
    for ours, plain in zip(run(atoms, model, asked), run(atoms, "PM3", asked), strict=True):
        assert abs(ours.parameters["U_ss"][0] - plain.parameters["U_ss"][0]) > 1e-2
        assert ours.atomization_energy == pytest.approx(0.0, abs=1e-9)
        assert ours.energy == pytest.approx(plain.energy, abs=1e-9)
        np.testing.assert_array_equal(ours.forces, 0.0)


def test_a_learned_model_has_no_heat_of_formation():
    """Its atoms' energies know nothing of elements in their standard states."""
    learnt, plain = (single(build("H2O"), model) for model in (learned(ALL, 2), "PM3"))
    assert learnt.heat_of_formation is None
    assert plain.heat_of_formation is not None


def test_batch_of_mixed_sizes():
    """Results do not depend on what is computed with a molecule."""
    model = learned(ALL, 2)
    molecules = [build(name) for name in ("H2O", "CH3CONH2", "NH3", "CH3OH", "H2")]
    together = run(molecules, model, ("energy", "forces"))
    for molecule, point in zip(molecules, together, strict=True):
        alone = single(molecule, model, ("energy", "forces"))
        assert point.energy == pytest.approx(alone.energy, abs=1e-9)
        np.testing.assert_allclose(point.forces, alone.forces, atol=1e-8)
