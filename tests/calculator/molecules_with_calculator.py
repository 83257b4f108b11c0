"""Molecules with a calculator."""

from ase.build import molecule

from ase_mlseqm import MLSEQM


def ethanol(**keywords):
    """A molecule without symmetry, with a calculator."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.02, seed=3)
    atoms.calc = MLSEQM(**({"method": "PM3"} | keywords))
    return atoms


def water(**keywords):
    atoms = molecule("H2O")
    atoms.calc = MLSEQM(**({"method": "PM3"} | keywords))
    return atoms
