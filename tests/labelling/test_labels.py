"""Labels: agreement with the training data, derivatives, and what is refused.

The reference frames are the first of groups ``pool4-m000500``, ``seedA-m000002`` and
``pool4-m000376`` of ``dft_train.h5``, the data that the learned model is fine-tuned on; the
isolated atoms are those of its documentation.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from helpers import hydrogens

from ase_mlseqm import InputError
from ase_mlseqm.labelling import LabelSettings, label, prepare
from ase_mlseqm.labelling import run as label_run
from ase_mlseqm.units import HARTREE

pytest.importorskip("pyscf")
h5py = pytest.importorskip("h5py")

REFERENCE = {
    "H2O": {
        "numbers": [8, 1, 1],
        "positions": [
            [-0.791498, 0.26918757, -0.50983036],
            [-1.255512, 0.98450387, -0.12528929],
            [-0.044033207, 0.17791313, 0.035214193],
        ],
        "energy": -76.38615461732137,
        "forces": [
            [-0.027675543, -0.03396331, -0.06116692],
            [-0.034430694, 0.045953915, 0.020765534],
            [0.062136326, -0.011965299, 0.040445495],
        ],
        "dipole": [0.11005776, 0.2398359, 0.3582315],
        "charges": [-0.7985139, 0.39901304, 0.39950088],
        "homo": -0.40403375,
        "lumo": 0.18258235,
    },
    "NH3": {
        "numbers": [7, 1, 1, 1],
        "positions": [
            [0.42351502, 1.4973931, 0.22136116],
            [-0.05284047, 0.6581027, 0.53261495],
            [0.3951187, 1.2370255, -0.7832741],
            [-0.20664124, 2.2110214, 0.53737324],
        ],
        "energy": -56.52105947584381,
        "forces": [
            [0.011740869, -0.07729265, -0.020708926],
            [0.0069343415, -0.012643071, 0.0338734],
            [-0.0048315357, 0.060140587, 0.017589219],
            [-0.0138003975, 0.02971521, -0.030698488],
        ],
        "dipole": [-0.3910045, -0.088867396, -0.13366084],
        "charges": [-0.91373765, 0.29257476, 0.3042631, 0.31689978],
        "homo": -0.36293015,
        "lumo": 0.17888622,
    },
    "CH2NH": {
        "numbers": [6, 7, 1, 1, 1],
        "positions": [
            [-0.071635775, 0.29655862, 0.8151359],
            [1.119849, 0.43926394, 0.5578495],
            [-0.6317405, -0.38503948, 1.4233142],
            [-0.7163368, 0.6379355, -0.06374059],
            [1.6055487, 0.4691406, 1.4901565],
        ],
        "energy": -94.5619252930029,
        "forces": [
            [-0.16883218, -0.018132571, -0.1534771],
            [0.14545329, 0.09217609, 0.08273161],
            [-9.292159e-05, 0.008575679, 0.07542406],
            [0.0043513766, -0.025453478, 0.03294669],
            [0.01903488, -0.05718266, -0.03776462],
        ],
        "dipole": [-0.219159, -0.116765365, 0.356988],
        "charges": [-0.13562457, -0.45848572, 0.1662691, 0.1333908, 0.2944504],
        "homo": -0.35083154,
        "lumo": 0.07453743,
    },
}
"""Hartree, Hartree/Angstrom, e*Angstrom, e."""

ATOMS = {"H": (2, -0.4993212), "C": (3, -37.8338337), "N": (4, -54.5732858), "O": (3, -75.0424652)}
"""Multiplicity of the ground state, and energy in Hartree."""

OTHERS = {
    "functional": "PBE",
    "basis": "6-31G",
    "grid": 4,
    "density_fitting": False,
    "cartesian": False,
    "tolerance": 1e-8,
    "multiplicity": 3,
    "unrestricted": True,
}
"""Another value of every setting that a label depends on."""


@pytest.mark.parametrize("name", REFERENCE)
def test_agrees_with_the_training_data(name):
    want = REFERENCE[name]
    found = label(Atoms(want["numbers"], want["positions"]))
    assert found.converged
    assert found.energy / HARTREE == pytest.approx(want["energy"], abs=1e-5)
    np.testing.assert_allclose(found.forces / HARTREE, want["forces"], atol=1e-4)
    np.testing.assert_allclose(found.dipole, want["dipole"], atol=1e-3)
    np.testing.assert_allclose(found.charges, want["charges"], atol=1e-3)
    assert found.homo / HARTREE == pytest.approx(want["homo"], abs=1e-4)
    assert found.lumo / HARTREE == pytest.approx(want["lumo"], abs=1e-4)


@pytest.mark.parametrize("symbol", ATOMS)
def test_isolated_atoms(symbol):
    multiplicity, energy = ATOMS[symbol]
    found = label(Atoms(symbol, info={"multiplicity": multiplicity}))
    assert found.energy / HARTREE == pytest.approx(energy, abs=1e-5)
    spin = (multiplicity - 1) / 2
    assert found.spin_squared == pytest.approx(spin * (spin + 1), abs=0.01)
    assert found.charges == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize("info", [{}, {"charge": 1}], ids=["neutral", "cation"])
def test_force_is_the_slope_of_the_energy(info):
    """On a finer grid: the forces leave the derivative of the grid's weights out."""
    settings = LabelSettings(grid=5)
    want = REFERENCE["H2O"]
    atoms = Atoms(want["numbers"], want["positions"], info=info)
    energies = []
    for step in (-0.005, 0.005):
        moved = atoms.copy()
        moved.positions[1, 1] += step
        energies.append(label(moved, settings).energy)
    slope = (energies[1] - energies[0]) / 0.01
    found = label(atoms, settings)
    assert found.multiplicity == 1 + len(info)  # the cation is a radical
    assert found.forces[1, 1] == pytest.approx(-slope, abs=1e-4 * HARTREE)


def test_dipole_is_about_the_origin():
    ion = Atoms("HeH", [[0, 0, 0], [0, 0, 0.78]], info={"charge": 1})
    there = ion.copy()
    there.translate([1.0, 2.0, 3.0])
    shift = label(there).dipole - label(ion).dipole
    np.testing.assert_allclose(shift, [1.0, 2.0, 3.0], atol=1e-6)


def test_options_change_the_level():
    atoms = hydrogens(0.74)[0]
    energies = {
        label(atoms, settings).energy
        for settings in (
            LabelSettings(),
            LabelSettings(functional="PBE0"),
            LabelSettings(basis="STO-3G"),
            LabelSettings(grid=1),
            LabelSettings(density_fitting=False),
            LabelSettings(multiplicity=3),
        )
    }
    assert len(energies) == 6
    sentence = LabelSettings(functional="PBE0", cartesian=False, density_fitting=False).level
    assert sentence == "PBE0/6-31G* (PySCF, spherical d functions, grid level 3)"


@pytest.mark.parametrize("cartesian", [True, False])
def test_kinds_of_d_functions(cartesian):
    """Of a functional that is Hartree-Fock's exchange alone, against Hartree-Fock."""
    from pyscf import gto, scf

    atoms = molecule("H2O")
    rows = zip(atoms.symbols, atoms.positions.tolist(), strict=True)
    mol = gto.M(atom=list(rows), basis="6-31G*", cart=cartesian, verbose=0)
    exact = scf.RHF(mol).run(conv_tol=1e-10)
    settings = LabelSettings(functional="HF", cartesian=cartesian, density_fitting=False)
    found = label(atoms, settings)
    assert found.energy / HARTREE == pytest.approx(exact.e_tot, abs=1e-6)
    np.testing.assert_allclose(found.charges, exact.mulliken_pop(verbose=0)[1], atol=1e-4)


def test_core_potentials_of_a_basis_are_used():
    found = label(
        Atoms("HI", [[0, 0, 0], [0, 0, 1.6]]), LabelSettings(basis="def2-SVP", cartesian=False)
    )
    assert found.converged
    assert -310 < found.energy / HARTREE < -290  # 7000 with all electrons


def test_unconverged_labels_have_no_numbers():
    found = label(molecule("H2O"), LabelSettings(max_iterations=1))
    assert not found.converged
    assert "did not converge" in found.message
    for number in (found.energy, found.forces, found.dipole, found.charges, found.homo):
        assert np.isnan(number).all()


def test_stretched_bonds_break_symmetry():
    """Far apart the unrestricted singlet is two atoms, near the minimum the restricted one."""
    near, far = hydrogens(0.74, 4.0)
    settings = LabelSettings(unrestricted=True)
    found = label(far, settings)
    assert found.energy == pytest.approx(2 * label(Atoms("H")).energy, abs=0.01)
    assert found.spin_squared == pytest.approx(1.0, abs=0.01)
    assert label(far).energy > found.energy + 2.0
    closed = label(near, settings)
    assert closed.energy == pytest.approx(label(near).energy, abs=1e-6)
    assert closed.spin_squared == pytest.approx(0.0, abs=1e-6)
    assert "unrestricted" in settings.level
    helium = Atoms("He")
    assert label(helium, settings).energy == pytest.approx(label(helium).energy, abs=1e-6)


def test_another_bond_than_that_of_the_highest_orbital_breaks():
    """The highest orbital of water is a lone pair: the state has to be followed to the minimum."""
    water = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 2.2, 0]])
    parts = sum(label(part).energy for part in (water[:2], water[2:]))
    found = label(water, LabelSettings(unrestricted=True))
    assert -0.3 < found.energy - parts < 0
    assert found.spin_squared == pytest.approx(0.85, abs=0.05)


def test_labels_from_before_unrestricted_singlets_are_still_known():
    """The hash of hydrogen at the default level, as it was then."""
    atoms = hydrogens(0.74)[0]
    fingerprints = {
        unrestricted: label_run.fingerprint(prepare(atoms, settings), settings)
        for unrestricted in (False, True)
        for settings in [LabelSettings(unrestricted=unrestricted)]
    }
    assert fingerprints[False].startswith("777b2c35cf72adcf")
    assert fingerprints[True] != fingerprints[False]


def test_a_label_is_known_by_all_that_it_depends_on():
    """By nothing else: not by the sign of a zero, the case of names, or iterations."""

    def known_by(atoms=None, **options):
        settings = LabelSettings(**options)
        return label_run.fingerprint(prepare(atoms or molecule("H2O"), settings), settings)

    def changed(**arrays):
        atoms = molecule("H2O")
        for name, values in arrays.items():
            atoms.set_array(name, np.array(values))
        return atoms

    near = molecule("H2O").positions
    same = known_by()
    assert (near == 0).any()
    assert known_by(changed(positions=np.where(near == 0, -0.0, near))) == same
    assert known_by(functional="wb97x", basis="6-31g*", max_iterations=7) == same
    assert known_by(multiplicity=2, charge=1) != known_by(multiplicity=2, charge=-1)
    others = [
        known_by(changed(positions=near + [0, 0, 1e-9])),
        known_by(changed(numbers=[16, 1, 1])),
        *(known_by(**{name: value}) for name, value in OTHERS.items()),
    ]
    assert len({same, *others}) == 1 + len(others)


def test_saddle_points_are_not_results():
    """Restricted and far apart, the second-order solver ends at H+ H-, on excited orbitals."""
    found = label(hydrogens(20.0)[0])
    assert not found.converged and found.solver == "newton"
    assert np.isnan(found.energy)


def test_a_looser_scf_ends_earlier():
    level = {"functional": "PBE", "basis": "STO-3G", "grid": 0}
    loose, tight = (
        label(molecule("H2O"), LabelSettings(**level, tolerance=t)) for t in (1e-3, 1e-11)
    )
    assert loose.converged and tight.converged
    assert loose.iterations < tight.iterations
    assert 1e-10 < loose.energy / HARTREE - tight.energy / HARTREE < 1e-3


def test_newton_takes_over():
    found = label(molecule("H2O"), LabelSettings(max_iterations=4))
    assert found.converged and found.solver == "newton"
    assert found.iterations > 4  # those of both solvers
    assert found.energy == pytest.approx(label(molecule("H2O")).energy, abs=1e-6)


@pytest.mark.parametrize(
    ("atoms", "options", "words"),
    [
        (molecule("H2O"), {"multiplicity": 2}, "multiplicity 2 is impossible with 10 electrons"),
        (Atoms("H"), {"charge": 1}, "no electrons"),
        (Atoms("H2"), {}, "apart"),
        (molecule("H2O", pbc=True), {}, "periodic"),
        (molecule("H2O"), {"functional": "nonsense"}, "no functional 'nonsense'"),
        (molecule("H2O"), {"functional": "wb97x-d"}, "PySCF cannot compute wb97x-d"),
        (molecule("H2O"), {"basis": "nonsense"}, "no basis set 'nonsense' for H"),
        (Atoms("HI", [[0, 0, 0], [0, 0, 1.6]]), {}, "for I: give one that has it, as def2-SVP"),
        (Atoms("H"), {"grid": 10}, "0 to 9"),
        (Atoms("H"), {"functional": " "}, "need a name"),
    ],
)
def test_refusals(atoms, options, words):
    with pytest.raises(InputError) as error:
        label(atoms, LabelSettings(**options))
    assert words in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("formula", ["C6H6", "CH3CH2OH"])
def test_density_fitting_costs_little_accuracy(formula):
    atoms = molecule(formula)
    fitted, exact = label(atoms), label(atoms, LabelSettings(density_fitting=False))
    assert fitted.energy / HARTREE == pytest.approx(exact.energy / HARTREE, abs=2e-4)
    np.testing.assert_allclose(fitted.forces / HARTREE, exact.forces / HARTREE, atol=3e-4)


def test_free_atoms_are_in_their_ground_state():
    """Unless they say otherwise; ions are not looked up."""
    assert [prepare(Atoms(s), LabelSettings()).multiplicity for s in "HCNO"] == [2, 3, 4, 3]
    assert prepare(Atoms("C", info={"multiplicity": 1}), LabelSettings()).multiplicity == 1
    assert prepare(Atoms("C"), LabelSettings(multiplicity=5)).multiplicity == 5
    assert prepare(Atoms("C"), LabelSettings(charge=1)).multiplicity == 2
    assert prepare(Atoms("O2", [(0, 0, 0), (0, 0, 1.2)]), LabelSettings()).multiplicity == 1
