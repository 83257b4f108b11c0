"""Charges that files state, against what RDKit writes and what the CTfile formats say."""

import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.files.charges import state_charges, state_computed

CODES = {1: 3, 2: 2, 3: 1, 4: 0, 5: -1, 6: -2, 7: -3}
"""Charge by the code in columns 37 to 39 of an atom's line; 4 is a doublet radical."""


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [
        ("CC(=O)[O-]", -1),
        ("CC[NH3+]", 1),
        ("C[N+](C)(C)CC(=O)[O-]", None),  # a zwitterion
        ("[O-]C(=O)C(=O)[O-]", -2),
        ("CO", None),
    ],
)
def test_charges_of_the_molecules_of_rdkit(tmp_path, smiles, charge):
    Chem = pytest.importorskip("rdkit.Chem")
    (tmp_path / "a.mol").write_text(Chem.MolToMolBlock(Chem.AddHs(Chem.MolFromSmiles(smiles))))
    atoms = Atoms("H")
    state_charges(tmp_path / "a.mol", [atoms])
    assert atoms.info.get("charge") == charge


@pytest.mark.parametrize("code", CODES)
def test_charges_by_codes_of_atoms(tmp_path, code):
    """Of files without "M  CHG", in which the codes count: the second of two atoms has one."""
    rows = [f"    0.0000    0.0000{k:10.4f} C   0{c:3d}" for k, c in enumerate((0, code))]
    lines = ["two atoms", "", "", "  2  1  0  0  0  0  0  0  0  0999 V2000", *rows, "  1  2  1  0"]
    (tmp_path / "a.mol").write_text("\n".join([*lines, "M  END", ""]))
    atoms = Atoms("C2")
    state_charges(tmp_path / "a.mol", [atoms])
    assert atoms.info.get("charge", 0) == CODES[code]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-1 2", {"charge": -1, "multiplicity": 2}),
        ("+1,1", {"charge": 1, "multiplicity": 1}),
        ("0 3", {"charge": 0, "multiplicity": 3}),
    ],
)
def test_charge_and_multiplicity_of_gaussian(tmp_path, text, found):
    (tmp_path / "a.gjf").write_text(f"%mem=1GB\n# PM3\n\ntitle\n\n{text}\nO 0.0 0.0 0.0\n\n")
    atoms = Atoms("O")
    state_charges(tmp_path / "a.gjf", [atoms])
    assert atoms.info == found


@pytest.mark.parametrize(("charges", "charge"), [((0.4, 0.5996), 1), ((0.4, 0.59), None)])
def test_sums_of_computed_charges_are_whole_or_none(charges, charge):
    atoms = Atoms("OH")
    atoms.calc = SinglePointCalculator(atoms, charges=charges)
    state_computed(atoms)
    assert atoms.info.get("charge") == charge
