"""By what results of an interrupted run are known again."""

from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.loggingcalc import LoggingCalculator
from ase.calculators.mixing import LinearCombinationCalculator, MixedCalculator, SumCalculator
from ase.calculators.qmmm import SimpleQMMM
from ase.constraints import FixAtoms, FixBondLength, FixInternals, Hookean

from ase_mlseqm.workflows.fingerprint import fingerprint

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


class Shifted(EMT):
    """It has the name of the class that it is made from."""


def terms(asap: bool = False):
    return EMT(), EMT(asap_cutoff=asap)


MADE_OF_OTHERS = (
    SumCalculator(terms()),
    SumCalculator(terms(asap=True)),
    LinearCombinationCalculator(terms(), [0.5, 0.5]),
    LinearCombinationCalculator(terms(), [1.0, 0.0]),
    MixedCalculator(*terms(), 0.5, 0.5),
    MixedCalculator(*terms(), 1.0, 0.0),
    SimpleQMMM([0, 1], *terms(), EMT()),
    SimpleQMMM([0, 2], *terms(), EMT()),
    SimpleQMMM([0, 1], *terms(asap=True), EMT()),
    LoggingCalculator(EMT()),
    LoggingCalculator(EMT(asap_cutoff=True)),
    EMT(),
    Shifted(),
)


def test_everything_of_a_calculator_that_is_made_of_others_counts():
    atoms = molecule("H2O2")
    found = [fingerprint(calc, [atoms]) for calc in MADE_OF_OTHERS]
    assert len(set(found)) == len(MADE_OF_OTHERS)
    again = LinearCombinationCalculator(terms(), [0.5, 0.5])
    assert fingerprint(again, [atoms]) == found[2]
