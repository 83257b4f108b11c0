"""By what results of an interrupted run are known again."""

from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength, FixInternals, Hookean

from ase_mlseqm.workflows.computed import fingerprint

CONSTRAINTS = (
    None,
    FixAtoms([0]),
    FixAtoms([1]),
    FixBondLength(0, 1),
    FixInternals(dihedrals_deg=[[100.0, [2, 0, 1, 3]]]),
    FixInternals(dihedrals_deg=[[120.0, [2, 0, 1, 3]]]),
    Hookean(0, 1, 5.0, rt=1.0),
    Hookean(0, 1, 5.0, rt=1.1),
)


def test_every_value_of_a_constraint_counts():
    found = []
    for constraint in CONSTRAINTS:
        atoms = molecule("H2O2")
        atoms.set_constraint(constraint)
        found.append(fingerprint(EMT(), [atoms]))
        assert fingerprint(EMT(), [atoms.copy()]) == found[-1]
    assert len(set(found)) == len(CONSTRAINTS)
