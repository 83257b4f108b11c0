"""pymatgen's molecules where Atoms are accepted, and back."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import InputError as CalculatorInputError

from ase_mlseqm import MLSEQM, InputError, evaluate
from ase_mlseqm.pymatgen_io import as_atoms, to_molecule
from ase_mlseqm.workflows.harmonic import harmonic
from ase_mlseqm.workflows.hessians import second_derivatives
from ase_mlseqm.workflows.md import MDConfig, dynamics
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.phonons import PhononsConfig, phonons
from ase_mlseqm.workflows.raman import polarizability
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.relax_many import relax_many
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.thermochemistry import ThermoConfig, thermochemistry
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

core = pytest.importorskip("pymatgen.core")

WATER = molecule("H2O")


def pm3():
    return MLSEQM(method="PM3")


def water(**options):
    return core.Molecule(["O", "H", "H"], WATER.positions, **options)


def test_in():
    atoms = as_atoms(water())
    assert type(atoms) is Atoms and atoms.info == {} and not atoms.pbc.any()
    np.testing.assert_array_equal(atoms.numbers, WATER.numbers)
    np.testing.assert_array_equal(atoms.positions, WATER.positions)
    assert as_atoms(WATER) is WATER


def test_charge_and_multiplicity():
    assert as_atoms(water(charge=1)).info == {"charge": 1}
    assert as_atoms(water(charge=1, spin_multiplicity=4)).info == {"charge": 1, "multiplicity": 4}
    oxygen = core.Molecule(["O", "O"], [[0, 0, 0], [0, 0, 1.2]], spin_multiplicity=3)
    (point,) = evaluate([oxygen], "PM3")
    assert point.multiplicity == 3
    same = Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], info={"multiplicity": 3})
    assert point.energy == pytest.approx(evaluate([same], "PM3")[0].energy, abs=1e-9)
    (cation,) = evaluate([water(charge=1)], "PM3")
    assert (cation.charge, cation.multiplicity) == (1, 2)


def test_keywords_win_over_defaults():
    """pymatgen cannot tell whether its defaults were given."""
    (point,) = evaluate([water()], "PM3", charges=[1])
    assert point.charge == 1
    ready = relax(water(), MLSEQM(method="PM3", charge=1), RelaxConfig(max_steps=0))
    assert ready.energy == pytest.approx(point.energy, abs=1e-6)
    with pytest.raises(Exception, match="given twice"):
        relax(water(charge=-1), MLSEQM(method="PM3", charge=1))


def test_atoms_that_pymatgen_made():
    """Their charge and multiplicity are attributes, which a copy does not have."""
    atoms = water(charge=1, spin_multiplicity=4).to_ase_atoms()
    assert "charge" not in atoms.info
    assert as_atoms(atoms).info["charge"] == 1
    (point,) = evaluate([atoms], "PM3")
    assert (point.charge, point.multiplicity) == (1, 4)
    atoms.calc = pm3()
    assert atoms.get_potential_energy() == pytest.approx(point.energy, abs=1e-6)
    quartet = relax(atoms, pm3(), RelaxConfig(max_steps=0))
    assert quartet.energy == pytest.approx(point.energy, abs=1e-6)


def test_workflows():
    """The same as with Atoms."""
    config = RelaxConfig(fmax=1e-3)
    expected = relax(WATER, pm3(), config).energy
    assert relax(water(), pm3(), config).energy == pytest.approx(expected, abs=1e-6)
    (many,) = relax_many([water()], pm3(), config)
    assert many.energy == pytest.approx(expected, abs=1e-6)
    found = vibrations(water(), pm3(), VibrationsConfig(fmax=1e-3))
    assert found.energy == pytest.approx(expected, abs=1e-6) and len(found.frequencies) == 3
    gas = thermochemistry(water(), pm3(), ThermoConfig(fmax=1e-3))
    assert gas.symmetry_number == 2
    moved = dynamics(water(charge=1), pm3(), MDConfig(steps=2))
    assert moved.atoms.info["charge"] == 1


def test_parts_of_workflows():
    expected = harmonic(WATER, pm3())
    np.testing.assert_array_equal(harmonic(water(), pm3()).hessian, expected.hessian)
    np.testing.assert_array_equal(second_derivatives(water(), pm3()).hessian, expected.hessian)
    tensor = polarizability(WATER, pm3()).tensor
    np.testing.assert_array_equal(polarizability(water(), pm3()).tensor, tensor)


def test_neb():
    sides = []
    for z in (0.38, -0.38):
        hydrogens = [[0.94, 0, z], [-0.47, 0.81, z], [-0.47, -0.81, z]]
        sides.append(core.Molecule(["N", "H", "H", "H"], [[0, 0, 0], *hydrogens]))
    short = NEBConfig(images=3, max_steps=1, relax_ends=False)
    result = neb(*sides, pm3(), short)
    assert result.images[0].get_chemical_formula() == "H3N" and result.barrier > 0


def test_lists_and_checkpoints(tmp_path):
    """A raw molecule is known again in the file that a relaxation goes on from."""
    file, config = tmp_path / "c.extxyz", RelaxConfig(fmax=1e-3)

    def stop(number, active):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relax_many([water(charge=1)], pm3(), config, checkpoint=file, step=stop)
    assert file.exists()
    (many,) = relax([water(charge=1)], pm3(), config, checkpoint=file)
    alone = relax(water(charge=1), pm3(), config, checkpoint=file)
    assert many.converged and many.energy == pytest.approx(alone.energy, abs=1e-5)
    assert not file.exists()


def test_ts():
    saddle = core.Molecule(["H", "C", "N"], [[0, 1.2, 0.55], [0, 0, 0], [0, 0, 1.17]])
    result = ts(saddle, pm3(), TSConfig(refiner="dimer", irc=False))
    assert result.converged and result.atoms.get_chemical_formula() == "CHN"


def test_phonons():
    pytest.importorskip("phonopy", minversion="4")
    expected = phonons(WATER, pm3(), PhononsConfig(relax=False)).frequencies
    found = phonons(water(), pm3(), PhononsConfig(relax=False)).frequencies
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_replicas():
    ends = replicas([water(), WATER], pm3(), MDConfig(steps=2, seed=1))
    np.testing.assert_array_equal([len(end.atoms) for end in ends], [3, 3])


def test_back():
    ready = relax(water(charge=1, spin_multiplicity=2), pm3())
    found = to_molecule(ready)
    assert isinstance(found, core.Molecule)
    assert (found.charge, found.spin_multiplicity) == (1, 2)
    np.testing.assert_array_equal(found.cart_coords, ready.atoms.positions)
    assert found.properties["energy"] == pytest.approx(ready.energy)
    np.testing.assert_allclose(found.site_properties["forces"], ready.atoms.get_forces())
    assert core.Molecule.from_dict(found.as_dict()) == found
    moved = ready.atoms.copy()
    assert to_molecule(moved).properties == {}
    assert to_molecule(molecule("O2")).spin_multiplicity == 3  # from the magnetic moments


def test_isotopes():
    heavy = as_atoms(core.Molecule(["O", "D", "T"], WATER.positions))
    assert heavy.get_chemical_formula() == "H2O"
    np.testing.assert_allclose(heavy.get_masses()[1:], [2.014, 3.016], atol=1e-3)
    assert [site.specie.name for site in to_molecule(heavy)] == ["O", "D", "T"]


def test_structure():
    crystal = core.Structure.from_spacegroup("Fm-3m", core.Lattice.cubic(4.05), ["Al"], [[0, 0, 0]])
    atoms = as_atoms(crystal)
    assert atoms.pbc.all() and len(atoms) == 4
    with pytest.raises(InputError, match="periodic cells are not supported yet"):
        evaluate([crystal], "PM3")
    with pytest.raises(InputError, match="no cell"):
        to_molecule(atoms)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: core.Molecule([{"O": 0.5, "S": 0.5}], [[0, 0, 0]]), "no single atom"),
        (lambda: core.Molecule([core.DummySpecies("X")], [[0, 0, 0]]), "no single atom"),
        (lambda: core.Molecule(["O"], [[0, 0, 0]], charge=0.5), "whole number"),
        (lambda: core.Lattice.cubic(3.0), "no atoms"),
        (lambda: "H2O", "no structure"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        as_atoms(make())


def test_unfit_multiplicity():
    atoms = WATER.copy()
    atoms.info["multiplicity"] = 2
    with pytest.raises(InputError, match="not possible"):
        to_molecule(atoms)


def test_nothing_imports_pymatgen():
    code = """
import sys
from ase.build import molecule
from ase_mlseqm import MLSEQM, evaluate
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.workflows import relax
from ase_mlseqm.workflows import neb, vibrations
relax(molecule("H2O"), MLSEQM(method="PM3"))
evaluate([molecule("H2O")], "PM3")
assert not [name for name in sys.modules if name.startswith("pymatgen")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_charge_of_atoms_that_pymatgen_made():
    """It is an attribute, which ASE's copies lose; it may change, too."""
    hydroxide = core.Molecule(["O", "H"], [[0, 0, 0], [0, 0, 0.97]], charge=-1)
    atoms = hydroxide.to_ase_atoms()
    atoms.calc = calc = pm3()
    plain = Atoms("OH", atoms.positions, info={"charge": -1})
    assert atoms.get_potential_energy() == pytest.approx(evaluate([plain], "PM3")[0].energy)
    assert calc.singlepoint.charge == -1 and not calc.check_state(atoms)
    np.testing.assert_allclose(calc.get_hessian(), calc.get_hessian(plain), atol=1e-5)
    atoms.charge = 1
    plain.info["charge"] = 1
    assert calc.check_state(atoms)
    assert atoms.get_potential_energy() == pytest.approx(evaluate([plain], "PM3")[0].energy)
    atoms.charge = 0.5
    with pytest.raises(CalculatorInputError, match="give a whole number"):
        atoms.get_potential_energy()
