"""Reaction paths: barriers known otherwise, equality with plain ASE, bad input, resuming."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import BaseCalculator, Calculator, CalculatorError, SCFError
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from helpers import Broken
from PIL import Image
from reactions import hop, inversion, isomerisation, rotation, torsion
from scipy.optimize import minimize
from springs import Stopping

from ase_mlseqm import MLSEQM, InputError, evaluate
from ase_mlseqm.workflows.computed import largest_force
from ase_mlseqm.workflows.geometry import align, distance
from ase_mlseqm.workflows.many import Many
from ase_mlseqm.workflows.neb import NEBConfig, first_path, neb
from ase_mlseqm.workflows.neb_band import Band, spring_constants
from ase_mlseqm.workflows.neb_optimizer import BandBFGS
from ase_mlseqm.workflows.neb_order import nearest_order, warn_of_order
from ase_mlseqm.workflows.neb_path import free
from ase_mlseqm.workflows.reaction_figures import plot_profile
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.relax_many import relax_many


def pm3(**options):
    return MLSEQM(method="PM3", **options)


@pytest.fixture(scope="module")
def ammonia():
    return neb(*inversion(), pm3(), NEBConfig(images=7, fmax=0.02))


def test_inversion_goes_through_the_planar_molecule(ammonia):
    angles = np.radians([0, 120, 240])
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    flat = relax(Atoms("NH3", [(0, 0, 0), *ring]), pm3(), RelaxConfig(fmax=1e-3))
    assert ammonia.converged
    assert ammonia.max_force < 0.02
    barrier = flat.energy - ammonia.energies[0]
    assert ammonia.barrier == pytest.approx(barrier, abs=2e-4)
    assert ammonia.reverse_barrier == pytest.approx(barrier, abs=2e-4)
    assert ammonia.reaction_energy == pytest.approx(0.0, abs=1e-4)
    assert ammonia.top == 3
    top = ammonia.images[3].positions
    assert np.linalg.svd(top - top.mean(0))[1][-1] < 0.02
    assert ammonia.intermediates == []


def test_result_as_json_and_picture(ammonia, tmp_path):
    stored = json.loads(json.dumps(ammonia.to_dict()))
    assert stored["barrier"] == ammonia.barrier
    assert len(stored["positions"]) == len(stored["path_length"]) == 7
    assert stored["config"]["images"] == 7
    plot_profile(ammonia, tmp_path / "p.png", "ammonia")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] > 600
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_torsion_equals_a_scan_of_the_dihedral():
    """The scan minimises the energy over the five other internal coordinates."""
    calc = pm3(tolerance=1e-9)
    cis, trans = torsion()
    result = neb(cis, trans, calc, NEBConfig(images=7, fmax=0.02))
    assert result.converged

    def energy(internal, angle):
        r1, r2, r3, a1, a2 = internal
        atoms = Atoms("HONO", [(-r1, 0, 0), (0, 0, 0), (0, r2, 0), (0, r2, r3)])
        atoms.set_angle(0, 1, 2, a1 * 50, indices=[0])
        atoms.set_angle(1, 2, 3, a2 * 50, indices=[3])
        atoms.set_dihedral(0, 1, 2, 3, angle, indices=[0])
        return calc.get_potential_energy(atoms)

    internal = np.array([0.95, 1.4, 1.17, 2.2, 2.2])
    scan = []
    for angle in (96, 102, 108):
        found = minimize(energy, internal, args=(angle,), options={"gtol": 2e-3, "eps": 1e-4})
        internal = found.x
        scan.append(found.fun)
    a, b, c = np.polyfit((-1, 0, 1), scan, 2)
    assert a < 0
    top = c - b**2 / (4 * a)
    assert result.barrier == pytest.approx(top - result.energies[0], abs=1e-3)


def test_a_path_through_atoms_bends():
    result = neb(*isomerisation(), pm3(), NEBConfig(images=7))
    assert result.converged
    assert 0 < result.top < 6
    angle = result.images[result.top].get_angle(0, 1, 2)
    assert 50 < angle < 130
    shortest = min(
        image.get_all_distances()[np.triu_indices(3, 1)].min() for image in result.images
    )
    assert shortest > 0.9


def test_batch_equals_plain_ase():
    """Same start, same number of steps, images in turn with ASE's own band."""
    tight = {"tolerance": 1e-9}
    settings = NEBConfig(images=5, max_steps=6, climb_fmax=100.0)
    images, problems = first_path(*inversion(), pm3(**tight), settings)
    assert problems == []
    result = neb(*inversion(), pm3(**tight), settings)
    for image in images:
        image.calc = pm3(**tight)
    band = NEB(images, k=settings.spring, method="improvedtangent", climb=True)
    for _ in range(3):  # the same forces on the same path
        ours = [image.copy() for image in images]
        Many(pm3(**tight))(ours)
        for one, other in zip(ours, images, strict=True):
            np.testing.assert_allclose(one.get_forces(), other.get_forces(), atol=1e-8)
        band.set_positions(band.get_positions() + 0.01 * band.get_forces())
    BFGS(band, logfile=None, maxstep=0.1).run(fmax=0.02, steps=60)
    energies = [image.get_potential_energy() for image in images]
    assert result.barrier == pytest.approx(max(energies) - energies[0], abs=2e-3)
    full = neb(*inversion(), pm3(**tight), dataclasses.replace(settings, fmax=0.01, max_steps=60))
    assert full.barrier == pytest.approx(max(energies) - energies[0], abs=1e-4)


def test_torsion_equals_plain_ase():
    """A top that no symmetry fixes, of ends that differ; the same springs, climbing in both."""
    tight = {"tolerance": 1e-9}
    settings = NEBConfig(images=5, fmax=0.01, spring=2.0, spring_low=2.0)
    result = neb(*torsion(), pm3(**tight), settings)
    assert result.converged
    images, _ = first_path(*torsion(), pm3(**tight), settings)
    for image in images:
        image.calc = pm3(**tight)
    band = NEB(images, k=2.0, method="improvedtangent", climb=True)
    assert FIRE(band, logfile=None, maxstep=0.1).run(fmax=0.01, steps=200)  # BFGS takes longer
    energies = [image.get_potential_energy() for image in images]
    assert result.barrier == pytest.approx(max(energies) - energies[0], abs=1e-4)
    assert result.reaction_energy == pytest.approx(energies[-1] - energies[0], abs=1e-6)
    top = images[int(np.argmax(energies))]
    angles = [atoms.get_dihedral(0, 1, 2, 3) for atoms in (result.images[result.top], top)]
    assert angles[0] == pytest.approx(angles[1], abs=0.5) and abs(angles[0] - 90.0) > 3.0


def test_every_step_is_one_batch(engine_calls):
    """Both ends while they relax, the whole path once, and then the images that move."""
    result = neb(*torsion(), pm3(), NEBConfig(images=6, max_steps=8))
    first = engine_calls.index(6)
    assert engine_calls[0] == 2 and set(engine_calls[:first]) <= {1, 2}
    assert result.steps == 8 and engine_calls[first + 1 :] == [4] * 8


def test_ends_are_computed_once():
    """The product is turned with the path, and its forces with it."""
    calc = pm3(tolerance=1e-9)
    settings = NEBConfig(images=5, relax_ends=False, max_steps=5)
    up, down = inversion()
    down.rotate(50.0, (1, 2, 3))
    images, _ = first_path(up, down, calc, settings)
    band = Band(images, Many(calc), settings)
    for _ in range(3):
        band.set_positions(band.get_positions() + 0.02 * band.get_forces())
    band.get_forces()
    assert band.many.evaluations == 5 + 3 * 3
    end = band.images[-1]
    forces = end.get_forces()
    calc.reset()
    np.testing.assert_allclose(forces, calc.get_forces(end.copy()), atol=1e-6)
    field = pm3(field=(0.0, 0.0, 0.1))
    assert free(up, calc) and not free(up, field)  # turning would change its energy


class Valley(Calculator):
    """One atom in a valley whose soft floor leads along x."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, *args):
        super().calculate(*args)
        forces = -np.array([0.05, 40.0, 90.0]) * self.atoms.positions
        self.results = {"energy": -0.5 * (forces * self.atoms.positions).sum(), "forces": forces}


def test_steps_of_the_optimiser():
    """Long steps keep to the length, stiff directions are not held up by soft ones."""
    atoms = Atoms("H", [(3.0, 0.2, -0.1)], calculator=Valley())
    optimizer = BandBFGS(atoms, maxstep=0.1)
    lengths = []
    for _ in range(120):
        before = atoms.positions.copy()
        optimizer.step()
        lengths.append(np.linalg.norm(atoms.positions - before))
        if len(lengths) == 12:
            assert np.abs(atoms.positions[0, 1:]).max() < 1e-3 and atoms.positions[0, 0] > 2.0
    assert max(lengths) < 0.1 + 1e-6
    assert 0.0 < atoms.positions[0, 0] < 2.0
    # a Hessian that is wrong altogether moves nothing further than the forces allow
    optimizer.hessian = np.diag([1e-9, -1e-9, 1e-12])
    np.testing.assert_allclose(
        optimizer._displacement(np.array([0.1, 0.0, -0.1])), [0.05, 0.0, -0.05], atol=1e-9
    )
    # where it curves down the step is as long as where it curves up
    optimizer.hessian = np.diag([-50.0, 50.0, 20.0])
    np.testing.assert_allclose(
        optimizer._displacement(np.array([1.0, 1.0, -1.0])), [0.02, 0.02, -0.05], atol=1e-9
    )
    optimizer.hessian = np.diag([1e-9, -1e-9, 1e-12])
    moved = optimizer._displacement(np.array([30.0, 0.0, 40.0]))
    np.testing.assert_allclose(moved, [0.06, 0.0, 0.08], atol=1e-6)


def test_guesses_change_nothing():
    images, _ = first_path(*inversion(), pm3(), NEBConfig(images=5))
    many = Many(pm3(tolerance=1e-9))
    many(images)
    cold = [image.get_forces().copy() for image in images]
    many(images)
    for image, forces in zip(images, cold, strict=True):
        np.testing.assert_allclose(image.get_forces(), forces, atol=1e-8)
    assert many.evaluations == 10


def test_other_calculators():
    steps = []
    result = neb(
        *hop(),
        EMT(),
        NEBConfig(images=5, fmax=0.05),
        callback=lambda step, energies, force: steps.append((step, len(energies), force)),
    )
    assert result.converged, result.message
    assert 0.2 < result.barrier < 0.5
    np.testing.assert_array_equal(result.images[2].positions[:4], result.images[0].positions[:4])
    assert result.reaction_energy == pytest.approx(0.0, abs=1e-3)
    assert [step for step, _, _ in steps] == list(range(result.steps + 1))
    assert steps[-1][2] == result.max_force


def test_the_highest_image_of_a_converged_path_is_at_the_top():
    """No symmetry puts one of four images there, and the path is as good without climbing."""
    path = neb(*hop(), EMT(), NEBConfig(images=4, fmax=0.02, climb_fmax=0.02))
    assert path.converged and 0 < path.top < 3
    assert largest_force(path.images[path.top]) < 0.02


def test_steps_are_those_that_move_the_path():
    """None is that at which the top begins to climb; three images are computed in each."""
    calc = Stopping()
    path = neb(*hop(), calc, NEBConfig(images=5, relax_ends=False))
    assert path.converged and calc.calls == 5 + 3 * path.steps


def test_position_and_orientation_of_the_product_do_not_matter(ammonia):
    up, down = inversion()
    turn = rotation()
    down.positions = down.positions @ (turn * np.sign(np.linalg.det(turn))) + 7.0
    result = neb(up, down, pm3(), NEBConfig(images=7, fmax=0.02))
    assert result.barrier == pytest.approx(ammonia.barrier, abs=2e-4)


def test_alignment():
    up, _ = inversion()
    moved = up.copy()
    turn = rotation()
    moved.positions = moved.positions @ (turn * np.sign(np.linalg.det(turn))) + 3.0
    align(moved, up)
    np.testing.assert_allclose(moved.positions, up.positions, atol=1e-5)
    line = Atoms("HCN", [(0, 0, -1.06), (0, 0, 0), (0, 0, 1.16)])
    again = line.copy()
    again.positions += 1.0
    align(again, line)
    np.testing.assert_allclose(again.positions, line.positions, atol=1e-8)


def test_linear_molecules_are_not_spun():
    """Any turn about the axis fits as well: the smallest takes one direction to the other."""
    along = np.array([-1.06, 0.0, 1.16])
    one, other = ([1.0, 2.0, 3.0], [1.2, 1.9, 2.8])
    axes = [np.array(axis) / np.linalg.norm(axis) for axis in (one, other)]
    line, target = (Atoms("HCN", np.outer(along, axis)) for axis in axes)
    turn = align(line, target)
    angle = np.arccos(axes[0] @ axes[1])
    assert np.arccos((np.trace(turn) - 1) / 2) == pytest.approx(angle, abs=1e-4)
    np.testing.assert_allclose(line.positions, target.positions, atol=1e-5)


def test_what_may_not_be_turned_as_a_whole():
    water = molecule("H2O")
    assert free(water, EMT())
    held, cell, wire = water.copy(), water.copy(), water.copy()
    held.set_constraint(FixAtoms([0]))
    cell.set_cell([9.0, 9.0, 9.0])
    assert free(cell, EMT())  # which means nothing without periodicity
    cell.pbc = True
    wire.set_cell([9.0, 9.0, 9.0])
    wire.pbc = (True, False, False)
    assert not any(free(atoms, EMT()) for atoms in (held, cell, wire, water[:1]))


def test_springs_are_stiff_at_the_top():
    """Linear between the higher end and the top, by the higher image of each pair."""
    assert spring_constants([0.0, 0.5, 2.0, 1.0, 1.0], 0.2, 2.2) == pytest.approx(
        [0.2, 2.2, 2.2, 0.2]
    )
    assert spring_constants([0.0, 1.5, 2.0, 1.5, 1.0], 0.2, 2.2)[0] == pytest.approx(1.2)
    assert spring_constants([0.0, -1.0, -2.0], 0.2, 2.2) == [0.2, 0.2]  # no barrier


def test_ends_that_do_not_match():
    up, down = inversion()
    with pytest.raises(InputError, match="different orders: atom 0 is N here and H there"):
        neb(up, down[[1, 0, 2, 3]], EMT())
    with pytest.raises(InputError, match="the reactant is H3N, the product CHN"):
        neb(up, isomerisation()[0], EMT())
    with pytest.raises(InputError, match="no atoms"):
        neb(Atoms(), Atoms(), EMT())
    heavy = down.copy()
    heavy.set_masses([14.007, 1.00794, 2.014, 2.014])  # the second is hydrogen of another table
    with pytest.raises(InputError, match=r"atom 2 has a mass of 1\.008 u .* 2\.014 u in the prod"):
        neb(up, heavy, pm3())
    heavy.set_masses([15.0001, 1.008, 1.008, 1.008])
    with pytest.raises(InputError, match=r"atom 0 has a mass of 14\.007 u .* 15\.0001 u in the"):
        neb(up, heavy, pm3())
    down.info["charge"] = 1
    with pytest.raises(InputError, match="charge 0 and multiplicity 1, the product 1 and 2"):
        neb(up, down, pm3())
    with pytest.raises(InputError, match="the same structure once they are relaxed"):
        neb(up, up, pm3())


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("exchanged", [(5, 6), (5, 8), (6, 7)])
def test_like_atoms_in_another_order_are_warned_of(exchanged):
    """Hydrogens of malonaldehyde: two of carbon, one of oxygen and one of carbon, two of carbon."""
    reactant, product = read(EXAMPLES / "malonaldehyde.xyz", ":")
    product.rotate(50.0, (1, 2, 3))
    i, j = exchanged
    order = list(range(9))
    order[i], order[j] = j, i
    sentence = f"C3H4O2.*atoms H{j}, H{i} in the places of H{i}, H{j}; reorder it, unless"
    with pytest.warns(UserWarning, match=sentence):
        warn_of_order(reactant, product[order])
    with pytest.warns(UserWarning, match="different orders"):
        neb(reactant, product[order], pm3(), NEBConfig(images=3, max_steps=0, relax_ends=False))


def test_centres_that_are_turned_inside_out_are_warned_of():
    """No bond changes when two hydrogens of a carbon atom are exchanged."""
    atoms = molecule("CH3CH2OH")
    hydrogens = [k for k in range(9) if atoms.get_distance(k, 0) < 1.2 and k]
    bent = atoms.copy()
    bent.rattle(0.05, seed=1)
    order = list(range(9))
    order[hydrogens[0]], order[hydrogens[1]] = hydrogens[1], hydrogens[0]
    warn_of_order(atoms, bent)
    with pytest.warns(UserWarning, match="different orders"):
        warn_of_order(atoms, bent[order])


@pytest.mark.parametrize(("shift", "warned"), [(0.9, True), (1.5, False)])
def test_orders_that_are_much_nearer_are_warned_of(shift, warned):
    """Of atoms without bonds: where less than two fifths of the way are left."""
    reactant = Atoms("He4Ne", [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (4, 4, 4)])
    product = reactant.copy()
    product.positions[4] += [shift, -shift, 2 * shift]
    shares = distance(product, reactant) / distance(product[[1, 0, 2, 3, 4]], reactant)
    assert 0.2 < shares < 0.38 if warned else 0.42 < shares < 0.7
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_of_order(reactant, product[[1, 0, 2, 3, 4]])
    assert len(told) == warned


@pytest.mark.filterwarnings("error")
def test_nearer_orders_that_change_more_bonds_are_not_warned_of():
    """Hydrogen molecules that pass an atom are no exchange of atoms."""
    frame = [(0, 9, 0), (9, 0, 0), (0, 0, 9), (9, 9, 9)]  # holds both in place
    reactant = Atoms("H3He4", [(0, 0, 0), (0.74, 0, 0), (3, 0, 0), *frame])
    product = Atoms("H3He4", [(2.6, 0, 0), (3.34, 0, 0), (0.2, 0, 0), *frame])
    order = nearest_order(reactant, product)
    assert order.tolist() == [2, 0, 1, 3, 4, 5, 6]
    warn_of_order(reactant, product)


def example(name):
    return lambda: read(EXAMPLES / f"{name}.xyz", ":2")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "ends",
    [inversion, isomerisation, torsion, hop]
    + [example(name) for name in ("malonaldehyde", "cyclohexane", "claisen", "keto_enol")],
)
def test_reactions_are_not_warned_of(ends):
    reactant, product = ends()
    warn_of_order(reactant, product)
    warn_of_order(product, reactant)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": 2}, "images is 2"),
        ({"fmax": 0.0}, "fmax is 0.0"),
        ({"optimizer": "newton"}, "unknown optimizer 'newton'"),
        ({"max_steps": -1}, "max_steps is -1"),
    ],
)
def test_bad_settings(change, sentence):
    with pytest.raises(InputError, match=sentence):
        NEBConfig(**change)


def test_what_did_not_converge_says_so(monkeypatch):
    result = neb(*hop(), EMT(), NEBConfig(images=5, max_steps=0))
    assert not result.converged
    assert result.steps == 0
    assert "not converged in 0 steps" in result.message
    import ase_mlseqm.workflows.neb_path as module

    def lame(systems, calc, config):
        return relax_many(systems, calc, dataclasses.replace(config, max_steps=1))

    monkeypatch.setattr(module, "relax_many", lame)
    result = neb(*hop(), EMT(), NEBConfig(images=5))
    assert not result.converged
    assert "the reactant is not relaxed" in result.message


def test_failure_on_the_way_keeps_the_last_path():
    class Failing(EMT):
        calls = 0

        def calculate(self, *args, **keywords):
            Failing.calls += 1
            if Failing.calls > 16:  # five images, then three a step
                raise SCFError("no")
            super().calculate(*args, **keywords)

    settings = NEBConfig(images=5, relax_ends=False)
    result = neb(*hop(), Failing(), settings)
    assert not result.converged
    assert "stopped after step 3: structure 3: no" in result.message
    assert np.isfinite(result.energies).all()
    with pytest.raises(SCFError):
        neb(*hop(), Failing(), settings)


def test_numbers_that_are_not_finite_stop_it():
    """Five images are computed at the start, three a step."""
    settings = NEBConfig(images=5, relax_ends=False)
    with pytest.raises(CalculatorError, match="structure 0: energy or forces are not finite"):
        neb(*hop(), Broken(), settings)
    result = neb(*hop(), Broken(9), settings)
    assert not result.converged and result.steps == 1
    assert "stopped after step 1: structure 2: energy or forces are not finite" in result.message
    for image in result.images:
        assert np.isfinite(image.get_forces()).all()


class Bare(BaseCalculator):
    """No more than ASE asks of a calculator: it has nothing to reset."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms, properties, system_changes):
        (point,) = evaluate([atoms], "PM3", ("energy", "forces"))
        self.atoms = atoms.copy()
        self.results = {"energy": point.energy, "forces": point.forces}


def test_a_calculator_that_cannot_forget(ammonia):
    assert not hasattr(Bare(), "reset")
    path = neb(*inversion(), Bare(), NEBConfig(images=7, fmax=0.02))
    assert path.barrier == pytest.approx(ammonia.barrier, abs=1e-5)
