"""Constraints of ASE hold from the first structure on, and count for what they are."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import CalculatorError
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedMode,
    FixInternals,
    Hookean,
)
from ase.io import read, write
from ase.optimize import BFGS

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.files.frames import read_frames
from ase_mlseqm.unwrap import make_whole
from ase_mlseqm.workflows import read_h5md
from ase_mlseqm.workflows.constraints import removed_degrees
from ase_mlseqm.workflows.md import MDConfig, dynamics
from ase_mlseqm.workflows.md_config import degrees_of_freedom
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.relax import RelaxResult, relax
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

PM3 = MLSEQM(method="PM3")


def dihedral(angle: float) -> FixInternals:
    return FixInternals(dihedrals_deg=[[angle, [2, 0, 1, 3]]])


@pytest.fixture(scope="module")
def peroxide():
    return relax(molecule("H2O2"), PM3).atoms.copy()


@pytest.mark.parametrize("many", [False, True])
def test_a_scan_of_relaxed_structures(peroxide, many):
    """A stationary start has no force on what is to be changed."""
    angles = (60.0, 120.0)
    starts = []
    for angle in angles:
        starts.append(peroxide.copy())
        starts[-1].set_constraint(dihedral(angle))
    found = relax(starts, PM3) if many else [relax(start, PM3) for start in starts]
    for result, angle in zip(found, angles, strict=True):
        assert result.converged
        assert result.atoms.get_dihedral(2, 0, 1, 3) == pytest.approx(angle, abs=0.01)
    energies = [result.energy for result in found]
    # ASE's own optimiser, from a structure that is as it should be
    for angle, energy in zip(angles, energies, strict=True):
        atoms = peroxide.copy()
        atoms.set_dihedral(2, 0, 1, 3, angle)
        atoms.set_constraint(dihedral(angle))
        atoms.calc = MLSEQM(method="PM3")
        BFGS(atoms, logfile=None).run(fmax=0.01)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert energies[0] > energies[1] + 0.05


def test_a_constraint_that_breaks_down_harms_no_other():
    water, nitrogen = molecule("H2O"), molecule("N2")
    nitrogen.set_constraint(FixInternals(bonds=[[1.2, [0, 1]]]))  # ASE has none for two atoms
    contradictory = molecule("H2O2")
    contradictory.set_constraint(
        FixInternals(bonds=[[1.0, [0, 2]], [1.4, [0, 1]], [1.0, [1, 3]], [9.0, [2, 3]]])
    )
    good, *bad = relax([water, nitrogen, contradictory], PM3)
    assert isinstance(good, RelaxResult) and good.converged
    assert isinstance(bad[0], CalculatorError)
    assert isinstance(bad[1], InputError) and "the constraints cannot be met" in str(bad[1])
    with pytest.raises(InputError, match="the constraints cannot be met"):
        relax(contradictory, PM3)


def test_springs_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atoms = molecule("H2O")
    atoms.set_constraint(Hookean(a1=0, a2=1, rt=0.8, k=5.0))
    write("spring.traj", atoms)
    assert cli.main(["relax", "spring.traj", "--method", "PM3", "--out", "out"]) == 0
    found = read("out/spring_relaxed.extxyz")
    assert found.get_distance(0, 1) < found.get_distance(0, 2) - 0.005
    found.calc, energy = MLSEQM(method="PM3"), found.get_potential_energy()
    assert energy == pytest.approx(found.get_potential_energy(), abs=1e-5)  # without the spring


@pytest.mark.parametrize(
    "constraint",
    [FixCom(), Hookean(0, (0.0, 0.0, 1.0), k=5.0, rt=0.2), Hookean(0, (0, 0, 1, 0.5), k=5.0)],
    ids=["centre of mass", "point", "plane"],
)
def test_constraints_without_a_list_of_atoms(constraint):
    """On all atoms, or on one that is tied to a place."""
    atoms = molecule("H2O")
    atoms.positions[1] += (0.0, 0.1, 0.05)
    atoms.set_constraint(constraint)
    alone, (together,) = relax(atoms, PM3), relax([atoms], PM3)
    by_ase = atoms.copy()
    by_ase.calc = MLSEQM(method="PM3")
    BFGS(by_ase, logfile=None).run(fmax=0.01)
    for result in (alone, together):
        assert result.converged
        np.testing.assert_allclose(result.atoms.positions, by_ase.positions, atol=1e-5)
    assert dynamics(atoms, PM3, MDConfig(steps=1, timestep=0.25)).completed


def test_energies_of_frames_are_without_springs():
    atoms = molecule("H2O")
    atoms.set_constraint(Hookean(a1=0, a2=1, rt=0.8, k=5.0))
    found = dynamics(atoms, PM3, MDConfig(steps=4, timestep=0.25))
    last = found.atoms.copy()
    last.calc = MLSEQM(method="PM3")
    with_spring = found.atoms.get_potential_energy()
    assert with_spring == pytest.approx(last.get_potential_energy(), abs=1e-6)
    assert with_spring == pytest.approx(found.table["potential_eV"][-1], abs=1e-6)
    alone = found.atoms.get_potential_energy(apply_constraint=False)
    assert alone == pytest.approx(last.get_potential_energy(apply_constraint=False), abs=1e-6)
    assert with_spring > alone + 0.01


class TestPaths:
    """Of trans to cis peroxide."""

    @pytest.fixture
    def ends(self, peroxide):
        trans, cis = peroxide.copy(), peroxide.copy()
        cis.set_dihedral(2, 0, 1, 3, 20.0, indices=[3])
        return trans, cis

    @pytest.mark.parametrize(("here", "there"), [([], [0, 1]), ([0, 1], []), ([0], [1])])
    def test_ends_with_different_constraints(self, ends, here, there):
        for atoms, held in zip(ends, (here, there), strict=True):
            atoms.set_constraint(FixAtoms(held))
        with pytest.raises(InputError, match="the constraints of reactant and product differ"):
            neb(*ends, PM3)

    @pytest.mark.parametrize("held", [FixAtoms([3]), FixCartesian([3]), FixBondLengths([(2, 3)])])
    def test_what_is_held_in_two_places(self, ends, held):
        for atoms in ends:
            atoms.set_constraint(held)
        with pytest.raises(InputError, match=r"constraints hold atom [23] \(H\) where it differs"):
            neb(*ends, PM3, NEBConfig(relax_ends=False))

    @pytest.mark.parametrize(("apart", "refused"), [(0.005, False), (0.02, True)])
    def test_how_far_apart_may_be_what_is_held(self, ends, apart, refused):
        for atoms in ends:
            atoms.set_constraint(FixAtoms([0]))
        ends[1].positions[0, 2] += apart
        config = NEBConfig(relax_ends=False, images=3, max_steps=0)
        if not refused:
            assert len(neb(*ends, PM3, config).images) == 3
            return
        with pytest.raises(InputError, match=r"hold atom 0 \(O\) where it differs by 0.02"):
            neb(*ends, PM3, config)

    def test_what_does_not_move_may_be_held(self, ends):
        for atoms in ends:
            atoms.set_constraint(FixAtoms([0, 1, 2]))
        found = neb(*ends, PM3, NEBConfig(relax_ends=False, images=3, max_steps=0))
        assert len(found.images) == 3

    def test_a_mask_without_effect_is_no_constraint(self, ends):
        trans, cis = ends
        cis.set_constraint(FixAtoms([]))
        cis.rotate(90, "x")
        found = neb(trans, cis, PM3, NEBConfig(relax_ends=False, images=3, max_steps=0))
        moved = found.images[0].positions - found.images[-1].positions
        assert np.sqrt((moved**2).sum(1).mean()) < 1.0  # it was turned back

    def test_a_cell_that_is_not_used_may_differ(self, ends):
        trans, cis = ends
        trans.set_cell([9.0, 9.0, 9.0])
        assert neb(trans, cis, PM3, NEBConfig(relax_ends=False, images=3, max_steps=0)).images

    @pytest.mark.parametrize("place", ["reactant", "product"])
    def test_ends_of_a_transition_state_are_free(self, ends, place):
        trans, cis = ends
        guess, named = cis.copy(), {"reactant": trans, "product": cis}
        named[place].set_constraint(FixAtoms(range(4)))
        with pytest.raises(InputError, match=f"remove them from the {place}"):
            ts(guess, PM3, TSConfig(irc=False), **named)


def test_following_a_mode_leaves_held_atoms_where_they_are():
    flat = Atoms("NH3", [(0, 0, 0), (1, 0, 0), (-0.5, 0.75**0.5, 0), (-0.5, -(0.75**0.5), 0)])
    flat.set_constraint(FixAtoms([1, 2, 3]))
    (alone,) = [vibrations(flat, PM3, VibrationsConfig(follow=1, fmax=0.01))]
    together = vibrations([flat, flat], PM3, VibrationsConfig(follow=1, fmax=0.01))
    for found in (alone, *together):
        np.testing.assert_allclose(found.atoms.positions[1:], flat.positions[1:], atol=1e-12)
        assert abs(found.atoms.positions[0, 2]) > 0.2  # the pyramid


def test_forces_that_constraints_hold_are_explained():
    water = molecule("H2O")
    water.set_constraint(FixBondLengths([(0, 1)], bondlengths=[1.2]))
    found = vibrations(water, PM3, VibrationsConfig())
    assert found.max_force > 1.0
    assert any("that of the constraints" in message for message in found.messages)
    free = vibrations(molecule("H2O"), PM3, VibrationsConfig())
    assert not any("constraints" in message for message in free.messages)


@pytest.mark.parametrize(
    ("name", "constraints", "removed"),
    [
        ("CH3CH2OH", [FixAtoms([0]), FixAtoms([0, 1])], 6),
        ("CH3CH2OH", [FixAtoms([0, 1]), FixCartesian([1, 2], [True, False, False])], 7),
        # nine distances make a rigid body, the tenth says nothing new
        ("CH4", [FixBondLengths([(i, j) for i in range(5) for j in range(i)])], 9),
        ("H2O", [FixBondLengths([(0, 1), (0, 2), (1, 2)])], 3),
        # a bond between fixed atoms, and one to a fixed atom
        ("H2O", [FixAtoms([0, 1]), FixBondLengths([(0, 1), (0, 2)])], 7),
        # ASE takes momentum and rotation out with it
        ("H2O2", [dihedral(111.0)], 7),
        ("H2O", [FixAtoms([])], 0),
    ],
)
def test_degrees_of_freedom_that_are_held(name, constraints, removed):
    atoms = molecule(name)
    atoms.set_constraint(constraints)
    assert removed_degrees(atoms) == removed


@pytest.mark.parametrize("work", [relax, dynamics])
def test_a_dihedral_of_fixed_atoms_is_refused(work):
    """It was 78 degrees in place of 90 at the end."""
    atoms = molecule("H2O2")
    atoms.set_constraint([FixAtoms([0, 2]), dihedral(90.0)])
    with pytest.raises(InputError, match=r"FixAtoms holds atom 0 \(O\), of which FixInternals"):
        work(atoms, PM3)
    ethanol = molecule("CH3CH2OH")
    ethanol.set_constraint([FixAtoms([4, 5]), FixInternals(dihedrals_deg=[[170, [0, 1, 2, 3]]])])
    found = work(ethanol, PM3, *([MDConfig(steps=5)] if work is dynamics else []))
    assert found.atoms.get_dihedral(0, 1, 2, 3) == pytest.approx(170.0, abs=1e-3)
    np.testing.assert_allclose(found.atoms.positions[4:6], ethanol.positions[4:6], atol=1e-12)


def test_a_thermostat_that_heats_what_is_held():
    peroxide = molecule("H2O2")
    peroxide.set_constraint(dihedral(119.0))
    with pytest.raises(InputError, match=r"FixInternals lets langevin heat.*use bussi"):
        dynamics(peroxide, PM3, MDConfig(ensemble="langevin", steps=1))
    found = dynamics(peroxide, PM3, MDConfig(ensemble="bussi", steps=200, coupling_time=10.0))
    assert found.table["temperature_K"][50:].mean() == pytest.approx(300.0, abs=100.0)


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("H2O", FixInternals(angles_deg=[[104.0, [1, 0, 2]]])),
        ("H2O2", dihedral(119.0)),
        ("CH3CH2OH", FixBondLengths([(0, 1), (1, 2)])),
        ("CH3CH2OH", FixCom()),
        ("H2O2", [dihedral(119.0), FixCom()]),
    ],
)
def test_degrees_of_freedom_are_those_that_ase_leaves(name, constraint):
    """As many momenta as are independent once a constraint has changed them."""
    atoms = molecule(name)
    atoms.set_constraint(constraint)
    left = []
    for momenta in np.eye(3 * len(atoms)):
        atoms.set_momenta(momenta.reshape(-1, 3))
        left.append(atoms.get_momenta().ravel())
    rank = np.linalg.matrix_rank(np.array(left), tol=1e-6)
    assert 3 * len(atoms) - removed_degrees(atoms) == rank


def test_temperature_is_that_of_what_moves():
    """Of ethanol with two fixed atoms, one of them twice: 21 degrees."""
    atoms = molecule("CH3CH2OH")
    atoms.set_constraint([FixAtoms([0]), FixAtoms([0, 1])])
    found = dynamics(atoms, PM3, MDConfig(steps=1, temperature=300.0, timestep=1e-3))
    kinetic = found.atoms.get_kinetic_energy()
    assert 2 * kinetic / (21 * units.kB) == pytest.approx(300.0, rel=1e-3)


def test_velocities_that_are_kept_are_those_that_constraints_leave():
    atoms = molecule("CH3OH")
    atoms.set_momenta(np.random.default_rng(1).normal(size=(6, 3)))
    atoms.set_constraint(FixAtoms([0, 1]))
    found = dynamics(atoms, PM3, MDConfig(steps=2, timestep=0.1, keep_velocities=True))
    totals = found.table["total_eV"]
    assert np.ptp(totals) < 2e-3


def test_a_mask_of_a_file_that_holds_nothing_is_no_constraint():
    atoms = molecule("H2O")
    atoms.set_constraint(FixAtoms([]))
    config = MDConfig(ensemble="nose-hoover", steps=1)
    assert dynamics(atoms, PM3, config).completed
    assert degrees_of_freedom(molecule("H2O"), config) == 3


@pytest.mark.parametrize(
    ("atoms", "config", "words"),
    [
        (molecule("H2O"), {}, "FixedMode does not hold in dynamics"),
        (molecule("H2O"), {"ensemble": "langevin"}, "H2O cannot move: leave atoms free"),
        (Atoms("O"), {}, "O cannot move: use langevin"),
    ],
)
def test_dynamics_that_constraints_forbid(atoms, config, words):
    if "FixedMode" in words:
        atoms.set_constraint(FixedMode(np.ones((3, 3))))
    elif len(atoms) > 1:
        atoms.set_constraint(FixAtoms(range(3)))
    calc = MLSEQM(method="PM3", multiplicity=3) if len(atoms) == 1 else PM3
    with pytest.raises(InputError, match=words):
        dynamics(atoms, calc, MDConfig(steps=1, **config))
    assert isinstance(dynamics([atoms], calc, MDConfig(steps=1, **config))[0], InputError)


@pytest.mark.parametrize("mass", [0.0, -1.0, np.nan, np.inf])
def test_impossible_masses(mass):
    atoms = molecule("H2O")
    atoms.set_masses([16.0, 1.0, mass])
    for work, config in ((vibrations, None), (dynamics, MDConfig(steps=1))):
        good, bad = work([molecule("H2O"), atoms], PM3, config)
        assert not isinstance(good, Exception)
        assert isinstance(bad, InputError) and "the mass of atom 2 is" in str(bad)


@pytest.mark.parametrize("name", ["H2O", "C6H6"])
def test_molecules_cut_by_a_cell_are_put_together(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atoms = molecule(name)
    whole = MLSEQM(method="PM3").get_potential_energy(atoms)
    atoms.set_cell([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.0, 2.0, 8.0]])
    atoms.pbc = True
    atoms.positions += [0.1, -0.2, 0.05]
    atoms.wrap()
    write("wrapped.extxyz", atoms)
    line = ["sp", "wrapped.extxyz", "--no-pbc", "--method", "PM3", "--out", "out"]
    assert cli.main(line) == 0
    (file,) = Path("out").glob("*.extxyz")
    assert read(file).get_potential_energy() == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(("stretched", "together"), [(1.2, True), (1.3, False)])
def test_how_long_a_bond_through_a_wall_may_be(stretched, together):
    """In sums of Cordero's radii, 0.76 Angstrom of carbon."""
    length = stretched * 2 * 0.76
    atoms = Atoms("C2", [(0.5, 3, 3), (0.5 - length + 6, 3, 3)], cell=[6, 6, 6], pbc=True)
    assert make_whole(atoms)
    apart = atoms.get_distance(0, 1)
    assert apart == pytest.approx(length if together else 6 - length)


def test_bonds_without_end_are_cut_with_a_warning(tmp_path):
    places = [
        (0, 0, 0),
        (1.27, 0.9, 0),
        (0, -0.5, 1),
        (0, -0.5, -1),
        (1.27, 1.4, 1),
        (1.27, 1.4, -1),
    ]
    chain = Atoms("C2H4", places, cell=[2.54, 9.0, 9.0], pbc=[True, False, False])
    write(tmp_path / "chain.extxyz", chain)
    with pytest.warns(UserWarning, match="bonds go on through the walls of the cell"):
        ((frame,), _) = read_frames(str(tmp_path / "chain.extxyz"), no_pbc=True)
    np.testing.assert_array_equal(frame.atoms.positions, chain.positions)


def test_what_is_fixed_in_space_stays_whatever_the_order():
    """ASE applies constraints in turn: a bond that is held may move an atom that was fixed."""
    water = molecule("H2O")
    found = {}
    for name, constraints in (
        ("first", [FixAtoms([0]), FixBondLengths([(0, 1)])]),
        ("last", [FixBondLengths([(0, 1)]), FixAtoms([0])]),
    ):
        water.set_constraint(constraints)
        alone, (together,) = relax(water, PM3), relax([water], PM3)
        for result in (alone, together):
            assert result.converged and result.steps < 20
            np.testing.assert_allclose(result.atoms.positions[0], water.positions[0], atol=1e-12)
            assert result.atoms.get_distance(0, 1) == pytest.approx(
                water.get_distance(0, 1), abs=1e-6
            )
        found[name] = alone.energy
    assert found["first"] == pytest.approx(found["last"], abs=1e-6)


def test_transition_states_of_constrained_paths_are_refused_at_once(
    tmp_path, monkeypatch, capsys, engine_calls
):
    monkeypatch.chdir(tmp_path)
    for name, atoms in (("r", molecule("NH3")), ("p", molecule("NH3"))):
        atoms.set_constraint(FixAtoms([0]))
        write(f"{name}.xyz", atoms, format="extxyz")
    assert cli.main(["neb", "r.xyz", "p.xyz", "--method", "PM3", "--ts"]) == 2
    assert "leave out --ts" in capsys.readouterr().err
    assert not engine_calls


@pytest.mark.parametrize("kind", ["extxyz", "h5md"])
def test_frames_of_dynamics_state_the_charge(tmp_path, monkeypatch, kind):
    """One that only an option gave: they can be computed again."""
    monkeypatch.chdir(tmp_path)
    write("w.xyz", molecule("H2O"))
    line = ["md", "w.xyz", "--method", "PM3", "--charge", "1", "--steps", "4", "--format", kind]
    assert cli.main(line) == 0
    frames = read("w_md.extxyz", ":") if kind == "extxyz" else read_h5md("w_md.h5md")
    for atoms in frames:
        assert (atoms.info["charge"], atoms.info["multiplicity"]) == (1, 2)
        again = MLSEQM(method="PM3").get_potential_energy(atoms.copy())
        assert again == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
