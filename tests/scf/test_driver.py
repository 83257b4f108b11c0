"""The contract of the SCF: what is called converged is, and nothing else carries a number."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers import build, moved, problem, run, single, turn

from ase_mlseqm import Engine, SCFSettings, Status
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo.fock import FockBuilder
from ase_mlseqm.scf import driver, search, solve
from ase_mlseqm.scf.density import commutator
from ase_mlseqm.scf.iterate import Attempt
from ase_mlseqm.scf.result import finish
from ase_mlseqm.scf.rungs import PlainDIIS

CLOSED = [build(n) for n in ("CH3CONH2", "H2", "CHFBrI", "PF3", "C6H6", "SO2", "AlH3")]
CLOSED += [build("NH4", 1), build("HCOO", -1)]
OPEN = [build("CH3", 0, 2), build("O2", 0, 3), build("H2O", 1, 2), build("NO2", 0, 2)]
OPEN += [build("H2CO", 0, 3), build("H2", 0, 3), build("C2H4")]
HARD = SCFSettings(max_iterations=2, ladder=False)
NUMBERS = ["energy", "forces", "charges", "dipole", "heat_of_formation", "atomization_energy"]
NUMBERS += ["mo_energies", "occupations", "gap", "ionization_potential", "density", "bond_orders"]
NUMBERS += ["magmoms", "spin_squared", "mulliken_charges"]
ALL = ("energy", "forces", "charges", "mulliken_charges", "dipole", "mo_energies", "density")
ALL += ("bond_orders", "magmoms")


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(("molecules", "unrestricted"), [(CLOSED, False), (OPEN, True)])
def test_converged_densities_are_self_consistent(molecules, unrestricted, tolerance):
    """With the Fock matrix rebuilt from what is returned."""
    part = problem(molecules, "PM3", unrestricted)
    result = solve(part.builder, part.occupied, None, SCFSettings(tolerance=tolerance))
    assert bool(result.converged.all())
    fock = part.builder(result.density)
    residual = (fock @ result.density - result.density @ fock).abs().amax((0, 2, 3))
    assert bool((residual < tolerance).all())
    torch.testing.assert_close(residual, result.residual, rtol=1e-3, atol=1e-12)
    torch.testing.assert_close(fock, result.fock, rtol=0, atol=1e-10)
    squared = result.density @ result.density
    torch.testing.assert_close(squared, result.density, rtol=0, atol=1e-11)
    torch.testing.assert_close(result.density.mT, result.density, rtol=0, atol=1e-12)
    electrons = result.density.diagonal(dim1=2, dim2=3).sum(-1)
    torch.testing.assert_close(electrons, part.occupied.double(), rtol=0, atol=1e-11)
    # aufbau: the filled orbitals are the lowest ones
    for column, n in enumerate(part.layout.n_orbitals.tolist()):
        for spin, count in enumerate(part.occupied[:, column].tolist()):
            levels, orbitals = torch.linalg.eigh(fock[spin, column, :n, :n])
            filled = orbitals[:, :count] @ orbitals[:, :count].T
            here = result.density[spin, column, :n, :n]
            band = float((fock[spin, column, :n, :n] * here).sum())
            assert band == pytest.approx(float(levels[:count].sum()), abs=1e-4)
            assert float((filled - here).abs().max()) < 100 * tolerance
            torch.testing.assert_close(result.mo_energies[spin, column, :n], levels)


def test_aids_are_for_those_that_need_them():
    """Ordinary molecules in one batch with a difficult one take DIIS alone."""
    ordinary = [build(n) for n in ("CH3CONH2", "H2O", "C6H6", "CH3CH2OH", "HCOOH", "NH3")]
    stretched = build("CH3CONH2")
    far = stretched.positions.copy()
    far[stretched.numbers == 1] *= 2.5
    difficult = moved(stretched, far)
    assert not Engine("PM3", scf=SCFSettings(ladder=False)).run([difficult])[0].converged
    results = Engine("PM3").run([*ordinary, difficult], ("energy",))
    assert all(r.converged for r in results)
    assert {r.rung for r in results[:-1]} == {"diis"}
    assert max(r.iterations for r in results[:-1]) < 20
    assert results[-1].rung == "minimisation" and results[-1].iterations > 50


@pytest.mark.parametrize("multiplicity", [None, 3])
def test_unconverged_results_are_nan_with_a_status(multiplicity):
    molecule = build("CH3CONH2", multiplicity=multiplicity)
    result = Engine("PM3", scf=HARD).run([molecule], ALL)[0]
    assert not result.converged
    assert result.status is Status.UNCONVERGED
    assert result.iterations == 2
    assert result.residual > HARD.tolerance
    assert "did not converge" in result.message
    assert "2 iterations" in result.message
    for name in NUMBERS:
        assert np.isnan(getattr(result, name)).all(), name
    assert result.forces.shape == (9, 3)


def test_the_ladder_saves_what_diis_misses():
    """Nine iterations are not enough for DIIS here, but the aids take over."""
    molecule = build("CH3CONH2")
    settings = SCFSettings(max_iterations=9)
    without = dataclasses.replace(settings, ladder=False)
    assert not Engine("PM3", scf=without).run([molecule])[0].converged
    result = Engine("PM3", scf=settings).run([molecule])[0]
    assert result.converged
    assert result.rung != "diis"
    assert result.iterations > 9
    expected = Engine("PM3").run([molecule])[0].energy
    assert result.energy == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("rung", search.LADDER, ids=lambda rung: f"{rung.name} {rung.seed or ''}")
def test_every_rung_alone_saves_what_diis_misses(rung, monkeypatch):
    """The only one behind a DIIS that is cut short."""
    original = driver.iterate

    def cut_short(builder, occupied, start, aid, tolerance, steps):
        if type(aid) is PlainDIIS:
            steps = 2
        return original(builder, occupied, start, aid, tolerance, steps)

    molecules = [build("CH3CONH2"), build("SO2"), build("HCN")]
    expected = run(molecules, "PM3", scf=SCFSettings())
    monkeypatch.setattr(driver, "iterate", cut_short)
    monkeypatch.setattr(search, "LADDER", (rung,))
    settings = SCFSettings(max_iterations=200)
    for found, plain in zip(run(molecules, "PM3", scf=settings), expected, strict=True):
        assert (found.rung, plain.rung) == (rung.name, "diis")
        assert found.energy == pytest.approx(plain.energy, abs=1e-9)


def test_geometries_that_are_not_finite_are_flagged():
    """Atoms as close as is allowed: flagged or finite, never an exception."""
    molecule = Molecule(np.array([8, 1, 1]), np.array([[0, 0, 0], [0, 0, 0.11], [0, 0.11, 0.0]]))
    result = Engine("PM3").run([molecule])[0]
    assert result.converged == math.isfinite(result.energy)
    assert (result.status is Status.CONVERGED) == result.converged


def test_an_absurd_molecule_does_not_disturb_the_others():
    good = [build("H2CO"), build("CH3OH"), build("C2H4")]
    alone = run(good, "PM3", ("energy", "forces"), scf=SCFSettings())
    rng = np.random.default_rng(0)
    absurd = Molecule(np.array([6, 8, 1, 1, 9]), 0.35 * rng.standard_normal((5, 3)), 1)
    mixed = [good[0], absurd, good[1], good[2]]
    results = Engine("PM3").run(mixed, ("energy", "forces"))
    for one, two in zip((results[0], results[2], results[3]), alone, strict=True):
        assert one.energy == pytest.approx(two.energy, rel=0, abs=1e-10)
        np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=1e-10)


class Poisoned(FockBuilder):
    """A builder that returns NaN for its first molecule, as an overflow would."""

    def __call__(self, density):
        fock = super().__call__(density)
        return fock.index_fill(1, torch.tensor([0]), float("nan"))


def test_nan_in_one_molecule_does_not_spread():
    molecules = [build("H2O"), build("H2CO"), build("C2H4")]
    part = problem(molecules)
    fields = {f.name: getattr(part.builder, f.name) for f in dataclasses.fields(FockBuilder)}
    clean = solve(part.builder, part.occupied, None, SCFSettings())
    result = solve(Poisoned(**fields), part.occupied, None, SCFSettings(ladder=False))
    assert result.converged.tolist() == [False, True, True]
    assert not math.isfinite(float(result.residual[0]))
    torch.testing.assert_close(result.density[:, 1:], clean.density[:, 1:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_density_that_is_not_finite_stays_with_its_molecule(broken):
    """What fills smaller molecules up is nobody else's."""
    part = problem([build("C2H4"), build("H2O"), build("H2")])
    density = solve(part.builder, part.occupied, None, SCFSettings()).density
    clean = part.builder(density)
    poisoned = density.clone()
    poisoned[:, broken] = torch.nan
    fock = part.builder(poisoned)
    others = [k for k in range(3) if k != broken]
    torch.testing.assert_close(fock[:, others], clean[:, others], rtol=0, atol=1e-12)
    assert not torch.isfinite(fock[:, broken]).all()


def test_failing_molecules_do_not_disturb_the_others():
    """Too few iterations for the large one, enough for the small ones."""
    molecules = [build("H2"), build("CH3CONH2"), build("OH", -1)]
    settings = SCFSettings(max_iterations=9, ladder=False)
    part = problem(molecules)
    together = solve(part.builder, part.occupied, None, settings)
    assert together.converged.tolist() == [True, False, True]
    assert together.iterations[1] == 9
    for column in (0, 2):
        alone = problem(molecules[column : column + 1])
        single_ = solve(alone.builder, alone.occupied, None, settings)
        assert int(single_.iterations[0]) == int(together.iterations[column])
        n = alone.layout.N
        density = together.density[:, column : column + 1, :n, :n]
        torch.testing.assert_close(density, single_.density, rtol=0, atol=1e-10)


def test_converged_molecules_leave_the_batch(monkeypatch):
    """The later iterations run over the molecules that still need them."""
    widths = []
    original = FockBuilder.__call__

    def counting(self, density):
        widths.append(density.shape[1])
        return original(self, density)

    monkeypatch.setattr(FockBuilder, "__call__", counting)
    molecules = [build("H2", seed=k) for k in range(9)] + [build("CH3CONH2")]
    part = problem(molecules)
    result = solve(part.builder, part.occupied, None, SCFSettings(ladder=False))
    assert bool(result.converged.all())
    assert int(result.iterations[:9].max()) < int(result.iterations[9])
    during = widths[: int(result.iterations[9])]
    assert during[0] == 10
    assert during[-1] == 1
    assert during == sorted(during, reverse=True)


def test_starting_from_the_solution_takes_no_time():
    molecule = build("CH3CONH2")
    first = single(molecule, "PM3", ("energy", "density"), scf=SCFSettings(ladder=False))
    again = single(molecule, "PM3", ("energy",), SCFSettings(ladder=False), guesses=[first.density])
    assert again.iterations <= 2
    assert again.energy == pytest.approx(first.energy, abs=1e-9)


def test_starting_from_a_neighbour_saves_iterations_and_changes_nothing():
    molecule = build("CH3CONH2")
    first = single(molecule, "PM3", ("energy", "density"), scf=SCFSettings())
    rng = np.random.default_rng(0)
    close = moved(molecule, molecule.positions + 0.005 * rng.standard_normal((9, 3)))
    plain = SCFSettings(ladder=False)
    cold = single(close, "PM3", ("energy",), plain)
    warm = single(close, "PM3", ("energy",), plain, guesses=[first.density])
    assert warm.iterations < cold.iterations
    assert warm.energy == pytest.approx(cold.energy, rel=0, abs=1e-8)


def stretched(name, first, second, factor):
    """The second atom pulled away along its bond."""
    molecule = build(name)
    positions = molecule.positions.copy()
    positions[second] = positions[first] + factor * (positions[second] - positions[first])
    return moved(molecule, positions)


def test_of_several_solutions_found_the_lowest_is_returned():
    """The search may only lower the energy, and here it does."""
    molecules = [
        stretched(name, 0, 1, factor)
        for name in ("CO2", "N2", "CH3Cl", "SO2", "H2CO", "HCN", "ClF", "P2")
        for factor in (1.5, 2.0, 3.0)
    ]
    engine = Engine("PM3")
    first = Engine("PM3", scf=SCFSettings(ladder=False)).run(molecules)
    best = engine.run(molecules)
    lowered = 0
    for one, two in zip(first, best, strict=True):
        assert two.converged, two.message
        if one.converged:
            assert two.energy < one.energy + 1e-6
            lowered += two.energy < one.energy - 1e-3
    assert lowered > 0


def test_a_stretched_bond_without_help_from_its_neighbours():
    """The learned model has a second restricted solution for water with an OH of 3 Angstrom, which
    converges within few iterations; densities of the points before lead to the lower one."""
    engine, energies, density = Engine(), [], None
    water = build("H2O")
    scan = []
    for length in np.arange(1.0, 3.3, 0.2):
        positions = water.positions.copy()
        bond = positions[1] - positions[0]
        positions[1] = positions[0] + length * bond / np.linalg.norm(bond)
        scan.append(moved(water, positions))
    for molecule in scan:
        (point,) = engine.run([molecule], ("energy", "density"), guesses=[density])
        density = point.density
        energies.append(point.energy)
    alone = [point.energy for point in engine.run(scan, ("energy",))]
    assert (np.array(alone) < np.array(energies) + 1e-6).all()


@pytest.mark.parametrize("name", ["CH3CONH2", "H2CO", "SO2", "HCN", "CHFBrI", "O3"])
def test_a_bad_starting_density_does_not_change_the_answer(name):
    """Densities of the molecule lying elsewhere, of a stretched one, and of another charge."""
    molecule = build(name)
    expected = single(molecule, "PM3", scf=SCFSettings()).energy
    others = [
        moved(molecule, molecule.positions @ turn(axis, angle).T)
        for axis in np.eye(3)
        for angle in (0.5 * np.pi, np.pi)
    ]
    others.append(moved(molecule, 1.6 * molecule.positions))
    others.append(moved(molecule, molecule.positions[::-1]))
    others.append(dataclasses.replace(molecule, charge=2))
    for other in others:
        density = Engine("PM3").run([other], ("density",))[0].density
        result = single(molecule, "PM3", ("energy",), SCFSettings(), guesses=[density])
        assert result.energy == pytest.approx(expected, rel=0, abs=1e-7)


def test_an_excited_determinant_is_not_called_converged():
    """[F, d] vanishes there too, but the filled orbitals are not the lowest ones."""
    part = problem([build("H2O"), build("H2CO")])
    good = solve(part.builder, part.occupied, None, SCFSettings())
    rows = torch.arange(2)
    homo, lumo = part.occupied[0] - 1, part.occupied[0]
    out, into = good.orbitals[0, rows, :, homo], good.orbitals[0, rows, :, lumo]
    change = into.unsqueeze(2) * into.unsqueeze(1) - out.unsqueeze(2) * out.unsqueeze(1)
    change[1] = 0.0
    density = good.density + change
    residual = commutator(good.fock, density).abs().amax((0, 2, 3))
    assert bool((residual < 1e-6).all())
    attempt = Attempt(density, good.fock, residual, torch.tensor([1, 1]))
    result = finish(part.occupied, attempt, 1e-6, "diis")
    assert result.converged.tolist() == [False, True]


def test_everything_is_float64():
    part = problem(OPEN, "AM1", True)
    result = solve(part.builder, part.occupied, None, SCFSettings())
    for name in ("density", "fock", "orbitals", "mo_energies", "residual"):
        assert getattr(result, name).dtype == torch.float64, name
