"""Dispersion corrections: units, forces, and what they do for complexes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import InputError as CalculatorInputError
from ase.data.s22 import create_s22_system, get_interaction_energy_s22, get_number_of_dimer_atoms
from ase.optimize import LBFGS

from ase_mlseqm import MLSEQM, InputError, SCFSettings, evaluate
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.dispersion import Dispersion
from ase_mlseqm.workflows.relax import RelaxConfig
from ase_mlseqm.workflows.relax_many import relax_many

pytest.importorskip("dftd3")
pytest.importorskip("dftd4")
D3 = "wb97x-d3bj"
NAMES = (D3, "wb97x-d3zero", "b3lyp-d4")


def fragments(name):
    """A complex and its two molecules."""
    dimer = create_s22_system(name)
    first, _ = get_number_of_dimer_atoms(name)
    return dimer, dimer[:first], dimer[first:]


def test_what_did_not_converge_has_no_correction():
    settings = SCFSettings(max_iterations=2, ladder=False)
    (point,) = evaluate([molecule("H2O")], "PM3", scf=settings, dispersion=D3)
    assert not point.converged and np.isnan(point.dispersion)


@pytest.mark.parametrize("name", NAMES)
def test_against_the_libraries_own_calculators(name):
    """Which convert the units themselves."""
    if name.endswith("d4"):
        from dftd4.ase import DFTD4 as Peer

        peer = Peer(method="b3lyp")
    else:
        from dftd3.ase import DFTD3 as Peer

        peer = Peer(method="wb97x", damping="d3bj" if name == D3 else "d3zero")
    dimer = create_s22_system("Ethene_dimer")
    (plain,) = evaluate([dimer], "PM3")
    (point,) = evaluate([dimer], "PM3", dispersion=name)
    dimer.calc = peer
    assert point.dispersion == pytest.approx(dimer.get_potential_energy(), rel=1e-6)
    assert point.energy - plain.energy == pytest.approx(point.dispersion, abs=1e-9)
    assert point.atomization_energy - plain.atomization_energy == pytest.approx(point.dispersion)
    np.testing.assert_allclose(point.forces - plain.forces, dimer.get_forces(), atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_forces_are_derivatives(name):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    atoms.calc = MLSEQM(dispersion=name, tolerance=1e-9)
    forces = atoms.get_forces()
    start, h = atoms.positions.copy(), 0.005
    values = []
    for k in (-2, -1, 1, 2):
        atoms.positions = start
        atoms.positions[0, 0] += k * h
        values.append(atoms.get_potential_energy())
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    assert -slope == pytest.approx(forces[0, 0], abs=2e-6)


def test_charge_changes_d4():
    cation = Atoms("NH4", positions=molecule("CH4").positions, info={"charge": 1})
    name = "b3lyp-d4"
    (ion,) = evaluate([cation], "PM3", dispersion=name)
    (neutral,) = evaluate([molecule("CH4")], "PM3", dispersion=name)
    assert ion.dispersion != pytest.approx(neutral.dispersion, rel=1e-3)


def test_hessian_and_batches_have_it():
    atoms = create_s22_system("Methane_dimer")
    atoms.calc = MLSEQM(method="PM3", dispersion=D3)
    with_it = atoms.calc.get_hessian(atoms)
    plain = MLSEQM(method="PM3").get_hessian(atoms)
    step, total = 1e-3, np.zeros(len(atoms) * 3)
    correction = Dispersion.named(D3)
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 0] += sign * step
        forces = correction.energy_and_forces(molecule_from_atoms(moved))[1]
        total -= sign * forces.ravel() / (2 * step)
    np.testing.assert_allclose((with_it - plain)[0], total, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_many_are_each_by_itself(name):
    """Molecules of several sizes, ions among them, in one call."""
    systems = [molecule(n) for n in ("C6H6", "H2O", "CH3CONH2", "H2O", "CH4")]
    corners = 0.6 * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    systems.append(Atoms("NH4", [[0, 0, 0], *corners]))
    systems[-1].info["charge"] = 1
    systems[3].rattle(0.05, seed=1)
    together = evaluate(systems, "PM3", dispersion=name, scf=SCFSettings(tolerance=1e-10))
    for system, point in zip(systems, together, strict=True):
        alone = evaluate([system], "PM3", dispersion=name, scf=SCFSettings(tolerance=1e-10))[0]
        assert point.dispersion < 0.0
        assert point.dispersion == pytest.approx(alone.dispersion, abs=1e-12)
        assert point.energy == pytest.approx(alone.energy, abs=1e-9)
        np.testing.assert_allclose(point.forces, alone.forces, rtol=0, atol=1e-8)


def test_batched_relaxation_like_ase():
    dimer = create_s22_system("Methane_dimer")
    calculator = MLSEQM(method="PM3", dispersion=D3)
    together, _ = relax_many([dimer, dimer], calculator, RelaxConfig(fmax=0.005))
    dimer.calc = MLSEQM(method="PM3", dispersion=D3)
    LBFGS(dimer, logfile=None).run(fmax=0.005, steps=300)
    assert together.energy == pytest.approx(dimer.get_potential_energy(), abs=1e-4)


@pytest.mark.parametrize(
    "name", ["Benzene-methane_complex", "Benzene_dimer_parallel_displaced", "Uracil_dimer_stack"]
)
def test_binds_what_does_not_bind_without(name):
    """S22 (Jurecka et al., PCCP 8 (2006) 1985; CCSD(T), as ASE carries it)."""
    reference = get_interaction_energy_s22(name)
    found = {}
    for correction in (None, D3):
        dimer, a, b = evaluate(fragments(name), "PM3", dispersion=correction)
        found[correction] = dimer.energy - a.energy - b.energy
    assert found[None] > reference + 0.01
    assert abs(found[D3] - reference) < abs(found[None] - reference)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("d3", "unknown dispersion 'd3': give a functional and one of d3bj, d3zero, d4"),
        ("wb97x-d5", "unknown dispersion 'wb97x-d5'"),
        ("pm3-d3bj", "there is no d3bj damping for the functional 'pm3'"),
        ("nothing-d4", "there is no d4 damping for the functional 'nothing'"),
    ],
)
def test_bad_names(name, sentence):
    with pytest.raises(InputError, match=sentence):
        evaluate([molecule("H2O")], dispersion=name)
    with pytest.raises(CalculatorInputError, match=sentence):
        MLSEQM(dispersion=name)
