"""What the tests of the command line share."""

from ase.build import molecule

NEVER = ("--max-iterations", "1", "--tolerance", "1e-15")
"""Options with which nothing converges."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def several(*formulas):
    return [molecule(formula) for formula in formulas]
