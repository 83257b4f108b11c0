"""Charges, bond orders, spins, dipoles and orbital results: sums, symmetries, known values."""

import json

import numpy as np
import pytest
import torch
from ase.build import molecule as g2
from helpers import TIGHT, build, run, single

from ase_mlseqm import Engine, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.mulliken import mulliken_charges
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import METHODS, elements, table_parameters
from ase_mlseqm.singlepoint import PROPERTIES
from ase_mlseqm.units import BOHR

RADICALS = [
    ("CH3", 0, 2),
    ("OH", 0, 2),
    ("NO2", 0, 2),
    ("C2H5", 0, 2),
    ("O2", 0, 3),
    ("NH", 0, 3),
    ("H2O", 1, 2),
    ("SiH3", 0, 2),
    ("CH2_s3B1d", 0, 3),
]
CLOSED = [("CH3CONH2", 0, None), ("NH4", 1, None), ("HCOO", -1, None), ("SO2", 0, None)]
CLOSED += [("CHFBrI", 0, None), ("AlF3", 0, None), ("C6H6", 0, None), ("H2", 0, None)]


def undistorted(name):
    atoms = g2(name)
    return Molecule(atoms.numbers, atoms.positions)


@pytest.mark.parametrize("method", METHODS)
def test_charges_add_up(method):
    for spec in CLOSED + RADICALS:
        result = single(build(*spec), method, ("charges",))
        assert result.charges.sum() == pytest.approx(spec[1], rel=0, abs=1e-10)
        assert np.abs(result.charges).max() < 3


@pytest.mark.parametrize("method", METHODS)
def test_signs_and_symmetry_of_charges(method):
    water = single(undistorted("H2O"), method, ("charges",)).charges
    assert water[0] < -0.1
    assert water[1] == pytest.approx(water[2], abs=1e-8)
    benzene = single(undistorted("C6H6"), method, ("charges",)).charges
    assert np.ptp(benzene[:6]) < 1e-4
    assert np.ptp(benzene[6:]) < 1e-4
    nitrogen = single(undistorted("N2"), method, ("charges", "dipole"))
    np.testing.assert_allclose(nitrogen.charges, 0.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(nitrogen.dipole, 0.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", [*METHODS, None])
def test_mulliken_charges(method):
    """They add up, are those of one state whether spins are paired or not, and turn with it."""
    molecule = build("CH3CONH2")
    paired = single(molecule, method, ("mulliken_charges", "charges"))
    assert paired.mulliken_charges.sum() == pytest.approx(0.0, abs=1e-10)
    assert np.abs(paired.mulliken_charges - paired.charges).max() > 0.02
    apart = single(molecule, method, ("mulliken_charges",), unrestricted=True)
    np.testing.assert_allclose(apart.mulliken_charges, paired.mulliken_charges, atol=1e-6)
    random = np.random.default_rng(0)
    order = random.permutation(len(molecule.numbers))
    turned = molecule.positions[order] @ np.linalg.qr(random.normal(size=(3, 3)))[0]
    other = single(Molecule(molecule.numbers[order], turned), method, ("mulliken_charges",))
    np.testing.assert_allclose(other.mulliken_charges, paired.mulliken_charges[order], atol=1e-6)
    anion = single(build("HCOO", -1), method or "PM3", ("mulliken_charges",))
    assert anion.mulliken_charges.sum() == pytest.approx(-1.0, abs=1e-10)


def test_mulliken_charges_of_two_orbitals():
    """With one orbital on each atom all can be written down."""
    molecule = build("H2")
    found = single(molecule, "PM3", ("mulliken_charges", "charges"))
    np.testing.assert_allclose(found.mulliken_charges, 0.0, atol=1e-9)
    layout = build_layout(torch.tensor([[1, 1]]))
    overlap = torch.tensor([[[1.0, 0.6], [0.6, 1.0]]], dtype=torch.float64)
    c = torch.tensor([0.8, 0.6], dtype=torch.float64)  # of orthogonal orbitals
    density = torch.outer(c, c)[None, None]
    # S^1/2 has the diagonal a and b beside it: a^2 + b^2 = 1, 2 a b = 0.6
    a, b = (np.sqrt(1.6) + np.sqrt(0.4)) / 2, (np.sqrt(1.6) - np.sqrt(0.4)) / 2
    slater = np.linalg.solve(np.array([[a, b], [b, a]]), c.numpy())
    population = 2 * slater**2 + 2 * 0.6 * slater.prod()  # half of the overlap population each
    charges = mulliken_charges(layout, density, overlap)
    np.testing.assert_allclose(charges, 1 - population, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_bond_orders(method):
    def orders(name):
        found = single(undistorted(name), method, ("bond_orders",)).bond_orders
        np.testing.assert_allclose(found, found.T, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(np.diag(found), 0.0)
        return found

    ethane = orders("C2H6")
    assert ethane[0, 1] == pytest.approx(1.0, abs=0.05)
    hydrogens = ethane[:2, 2:]
    assert hydrogens.max(0) == pytest.approx([1.0] * 6, abs=0.05)
    assert hydrogens.min(0).max() < 0.02
    assert orders("C2H4")[0, 1] == pytest.approx(2.0, abs=0.1)
    assert orders("C2H2")[0, 1] == pytest.approx(3.0, abs=0.1)
    assert orders("N2")[0, 1] == pytest.approx(3.0, abs=0.05)
    assert orders("H2")[0, 1] == pytest.approx(1.0, abs=1e-9)
    assert orders("F2")[0, 1] == pytest.approx(1.0, abs=0.01)
    benzene = orders("C6H6")
    ring = [benzene[k, (k + 1) % 6] for k in range(6)]
    assert ring == pytest.approx([1.43] * 6, abs=0.05)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_valences(unrestricted):
    """Of a closed shell: the bond orders of an atom and its populations make 2 P - sum P^2."""
    molecule = build("CH3CONH2")
    result = single(molecule, "PM3", ("bond_orders", "density"), unrestricted=unrestricted)
    density = result.density.sum(0) * (2 / len(result.density))
    start = 0
    for atom, z in enumerate(molecule.numbers):
        block = density[start : start + (4 if z > 1 else 1)]
        own = block[:, start : start + len(block)]
        valence = 2 * np.trace(own) - (own**2).sum()
        assert result.bond_orders[atom].sum() == pytest.approx(valence, abs=1e-6)
        start += len(block)


@pytest.mark.parametrize("method", METHODS)
def test_spin_populations_and_s2(method):
    for spec in RADICALS:
        molecule = build(*spec)
        result = single(molecule, method, ("magmoms", "density", "mo_energies", "bond_orders"))
        multiplicity = spec[2]
        assert result.magmoms.shape == (len(molecule.numbers),)
        assert result.magmoms.sum() == pytest.approx(multiplicity - 1, rel=0, abs=1e-10)
        s = 0.5 * (multiplicity - 1)
        # spin contamination only ever raises it
        assert s * (s + 1) - 1e-9 <= result.spin_squared < s * (s + 1) + 0.3
        # from natural orbitals: <S^2> = Sz^2 + N / 2 - tr(alpha beta)
        alpha, beta = result.density
        number = np.trace(alpha) + np.trace(beta)
        s2 = s**2 + 0.5 * number - np.trace(alpha @ beta)
        assert result.spin_squared == pytest.approx(s2, rel=0, abs=1e-9)
        assert result.occupations.sum(1).tolist() == pytest.approx(
            [np.trace(alpha), np.trace(beta)], abs=1e-9
        )


def test_where_the_spin_is():
    methyl = single(build("CH3", 0, 2, shake=0.0), "PM3", ("magmoms",))
    assert methyl.magmoms[0] > 1.0
    assert (methyl.magmoms[1:] < 0).all()
    triplet = single(build("O2", 0, 3, shake=0.0), "PM3", ("magmoms",))
    np.testing.assert_allclose(triplet.magmoms, [1.0, 1.0], rtol=0, atol=1e-6)
    assert triplet.spin_squared == pytest.approx(2.0, abs=0.02)
    closed = single(build("H2O"), "PM3", ("magmoms",))
    np.testing.assert_array_equal(closed.magmoms, 0.0)
    assert closed.spin_squared == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_dipole_from_density(method):
    """Charges, and 2 D1 P(s, p) on every atom, written out."""
    for spec in (("CH3CONH2", 0, None), ("CHFBrI", 0, None), ("HCOO", -1, None), ("NO2", 0, 2)):
        molecule = build(*spec)
        result = single(molecule, method, ("dipole", "charges", "density", "parameters"))
        total = result.density.sum(0) * (2 / len(result.density))
        z = torch.from_numpy(molecule.numbers)
        p, shell = table_parameters(method, z), elements(z.device).shell[z].tolist()
        mass = elements(z.device).mass[z].numpy()
        center = mass @ molecule.positions / mass.sum()
        dipole = result.charges @ (molecule.positions - center)
        start = 0
        for atom, number in enumerate(molecule.numbers):
            if number > 1:
                a, b, n = float(p.zeta_s[atom]), float(p.zeta_p[atom]), shell[atom]
                D1 = (2 * n + 1) * (4 * a * b) ** (n + 0.5) / (a + b) ** (2 * n + 2) / 3**0.5
                dipole = dipole - 2 * BOHR * D1 * total[start, start + 1 : start + 4]
            start += 4 if number > 1 else 1
        np.testing.assert_allclose(result.dipole, dipole, rtol=0, atol=1e-10)


def test_dipoles_are_those_of_the_literature():
    """AM1's in Debye (J. Am. Chem. Soc. 107 (1985) 3902), at slightly other geometries.

    The vector points from minus to plus.
    """
    for name, debye in (("H2O", 1.86), ("NH3", 1.85), ("HCN", 2.36)):
        molecule = undistorted(name)
        dipole = single(molecule, "AM1", ("dipole",)).dipole
        assert np.linalg.norm(dipole) * 4.803204712570263 == pytest.approx(debye, abs=0.15)
        hydrogens = molecule.positions[molecule.numbers == 1].mean(0)
        others = molecule.positions[molecule.numbers > 1].mean(0)
        assert dipole @ (hydrogens - others) > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_dipole_of_an_ion_is_about_its_centre_of_mass(method):
    for spec in (("NH4", 1, None), ("HCOO", -1, None)):
        molecule = build(*spec)
        far = Molecule(molecule.numbers, molecule.positions + [50.0, -20.0, 7.0], molecule.charge)
        here, there = run([molecule, far], method, ("dipole",))
        np.testing.assert_allclose(here.dipole, there.dipole, rtol=0, atol=1e-8)
    symmetric = single(build("NH4", 1, shake=0.0), method, ("dipole",))
    np.testing.assert_allclose(symmetric.dipole, 0.0, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_orbital_results(method):
    for spec in CLOSED + RADICALS:
        molecule = build(*spec)
        result = single(molecule, method, ("mo_energies", "density"))
        levels, filling = result.mo_energies, result.occupations
        assert levels.shape == filling.shape == result.density.shape[:2]
        assert (np.diff(levels, axis=1) >= 0).all()
        assert filling.max() == (1.0 if result.unrestricted else 2.0)
        valence = elements(torch.device("cpu")).core_charge[torch.from_numpy(molecule.numbers)]
        assert filling.sum() == pytest.approx(int(valence.sum()) - molecule.charge)
        homo = levels[filling > 0].max()
        lumo = levels[filling == 0].min()
        assert result.ionization_potential == pytest.approx(-homo)
        assert result.gap == pytest.approx(lumo - homo)


def test_a_full_shell_has_no_gap():
    """Four filled orbitals and nothing above: the gap is no number, everything else is."""
    fluoride = Molecule(np.array([9]), np.zeros((1, 3)), -1)
    result = single(fluoride, "PM3", ("mo_energies", "forces"))
    assert result.occupations.tolist() == [[2.0] * 4]
    assert not np.isfinite(result.gap)
    assert np.isfinite(result.ionization_potential)


@pytest.mark.parametrize("method", METHODS)
def test_energies_fit_together(method):
    """Heat of formation, atomization and total energy differ by constants of the atoms."""
    kcal = 23.060547830619
    for spec in CLOSED[:4]:
        molecule = build(*spec)
        result = single(molecule, method)
        z = torch.from_numpy(molecule.numbers)
        heat = float(elements(z.device).heat_of_formation[z].sum()) / kcal
        expected = result.atomization_energy + heat
        assert result.heat_of_formation == pytest.approx(expected, abs=1e-10)
        assert result.atomization_energy < 0
    water = single(undistorted("H2O"), method).heat_of_formation * kcal
    assert water == pytest.approx(-57.8, abs=8.0)  # measured at 298 K
    methane = single(undistorted("CH4"), method).heat_of_formation * kcal
    assert methane == pytest.approx(-17.8, abs=10.0)


def test_parameters_of_the_result_are_the_table():
    molecule = build("CHFBrI")
    result = single(molecule, "PM3", ("parameters",))
    table = table_parameters("PM3", torch.from_numpy(molecule.numbers))
    assert set(result.parameters) == {name for name, _ in table.items()}
    for name, value in table.items():
        np.testing.assert_array_equal(result.parameters[name], value.numpy())


def test_results_can_be_written_as_json():
    molecules = [build("H2O"), build("CH3", 0, 2)]
    for result in evaluate(molecules, "PM3", PROPERTIES, scf=TIGHT):
        loaded = json.loads(json.dumps(result.to_dict()))
        assert loaded["status"] == "converged"
        assert loaded["energy"] == result.energy
        np.testing.assert_array_equal(loaded["forces"], result.forces)
        np.testing.assert_array_equal(loaded["parameters"]["K"], result.parameters["K"])


def test_triplet_oxygen_lies_below_the_singlet():
    singlet, triplet = (
        Engine("PM3", scf=TIGHT).run([build("O2", 0, multiplicity, shake=0.0)])[0].energy
        for multiplicity in (1, 3)
    )
    assert triplet < singlet - 0.3
