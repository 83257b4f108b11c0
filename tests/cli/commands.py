"""What the tests of the command line share."""

from ase.build import molecule

ATOM = "HETATM{:5}  {}   {}     1    {:8.3f}{:8.3f}{:8.3f}  1.00  0.00          {:>2}{}\n"
NEVER = ("--max-iterations", "1", "--tolerance", "1e-15")
"""Options with which nothing converges."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def several(*formulas):
    return [molecule(formula) for formula in formulas]


def pdb(residue: str, charge: str = "  ") -> str:
    """A hydroxide or hydroxyl in a PDB file."""
    places = [("O", 0.0, 0.119), ("H", 0.0, 1.089)]
    lines = [
        ATOM.format(k, symbol, residue, 0.0, y, z, symbol, charge if symbol == "O" else "")
        for k, (symbol, y, z) in enumerate(places, 1)
    ]
    return "".join(lines) + "END\n"
