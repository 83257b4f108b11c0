"""Response of the density to a field, against differences of converged densities."""

import numpy as np
import pytest
import torch
from helpers import TIGHT, build, problem, run

from ase_mlseqm.model import PlainModel
from ase_mlseqm.scf import solve
from ase_mlseqm.scf.response import density_response
from ase_mlseqm.solution import set_up, topology

NAMES = ("H2O", "CH3CONH2", "HCN", "H2CO")
OPEN = (("CH3", 0, 2), ("O2", 0, 3), ("NO2", 0, 2), ("NH3", 1, 2))
STRENGTH = 1e-3


@pytest.fixture(scope="module")
def molecules():
    return [build(name) for name in NAMES]


def in_field(molecules, axis, strength):
    field = np.zeros(3)
    field[axis] = strength
    return run(molecules, "PM3", ("density",), TIGHT, field=field.tolist())


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("unrestricted", [False, True])
def test_uniform_field(molecules, unrestricted, axis):
    """dP/dfield of molecules of different size in one batch; of open shells both spins."""
    if unrestricted:
        molecules = [build(*state) for state in OPEN]
    case = problem(molecules, unrestricted=unrestricted)
    scf = solve(case.builder, case.occupied, None, TIGHT)
    model = PlainModel("PM3")
    known = topology(model, case.batch.numbers)
    positions = case.batch.positions.flatten(0, 1)[known.layout.slot]
    field = torch.zeros(3, dtype=torch.float64)
    field[axis] = 1.0
    setting = set_up(known, known.constants, positions, with_gradient=False, field=field)
    change = setting.builder(scf.density) - case.builder(scf.density)
    found = density_response(case.builder, scf, case.occupied, change, 1e-9)
    assert found.converged.all()
    plus, minus = (in_field(molecules, axis, s * STRENGTH) for s in (1, -1))
    for row, (up, down) in enumerate(zip(plus, minus, strict=True)):
        expected = (up.density - down.density) / (2 * STRENGTH)
        n = expected.shape[-1]
        response = found.density[:, row, :n, :n].numpy()
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(response, expected, rtol=0, atol=1e-6)
        # an idempotent density keeps its trace
        np.testing.assert_allclose(np.trace(response, axis1=1, axis2=2), 0.0, atol=1e-12)


def test_no_change_no_response(molecules):
    case = problem(molecules)
    scf = solve(case.builder, case.occupied, None, TIGHT)
    found = density_response(case.builder, scf, case.occupied, torch.zeros_like(scf.density))
    assert found.converged.all() and not found.density.any()


def test_what_is_left_is_within_the_tolerance(molecules):
    case = problem(molecules)
    scf = solve(case.builder, case.occupied, None, TIGHT)
    noise = torch.randn(scf.density.shape, generator=torch.Generator().manual_seed(1)).double()
    change = noise + noise.mT
    found = {
        tolerance: density_response(case.builder, scf, case.occupied, change, tolerance).density
        for tolerance in (1e-5, 1e-12)
    }
    error = torch.linalg.vector_norm(found[1e-5] - found[1e-12], dim=(0, 2, 3))
    length = torch.linalg.vector_norm(found[1e-12], dim=(0, 2, 3))
    assert bool((error < 3e-5 * length).all()) and bool((error > 0).all())


def test_too_few_iterations_are_told(molecules):
    case = problem(molecules)
    scf = solve(case.builder, case.occupied, None, TIGHT)
    noise = torch.randn(scf.density.shape, generator=torch.Generator().manual_seed(0)).double()
    change = noise + noise.mT
    assert density_response(case.builder, scf, case.occupied, change).converged.all()
    few = density_response(case.builder, scf, case.occupied, change, 1e-12, max_iterations=2)
    assert not few.converged.any()
