"""Point groups by character tables, and names of isotopes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ase_mlseqm.workflows.isotopes import isotope_name
from ase_mlseqm.workflows.symmetry import _orders, point_group

ORDERS = {
    "C1": (1, 1),
    "Cs": (1, 2),
    "Ci": (1, 2),
    "Kh": (1, 2),
    "C2": (2, 2),
    "C2v": (2, 4),
    "C2h": (2, 4),
    "C3h": (3, 6),
    "C6": (6, 6),
    "C10v": (10, 20),
    "D2": (4, 4),
    "D2d": (4, 8),
    "D3h": (6, 12),
    "D6h": (12, 24),
    "S4": (2, 4),
    "S6": (3, 6),
    "S8": (4, 8),
    "T": (12, 12),
    "Td": (12, 24),
    "Th": (12, 24),
    "O": (24, 24),
    "Oh": (24, 48),
    "I": (60, 60),
    "Ih": (60, 120),
}
"""Proper rotations and all operations, of the character tables; of an atom what stands for it."""


@pytest.mark.parametrize("symbol", ORDERS)
def test_orders_of_groups(symbol):
    assert _orders(symbol) == ORDERS[symbol]


def octahedron(middle="S", corner="F", length=1.56):
    places = [sign * length * axis for axis in np.eye(3) for sign in (1, -1)]
    return Atoms(f"{middle}{corner}6", [(0, 0, 0), *places])


def test_groups_of_molecules():
    pytest.importorskip("pymatgen")
    assert point_group(octahedron()) == ("Oh", 24)
    stretched = octahedron()
    stretched.positions[1:3] *= 1.2
    assert point_group(stretched) == ("D4h", 8)
    assert point_group(molecule("CH4")) == ("Td", 12)


@pytest.mark.parametrize(("shift", "found"), [(0.08, ("D∞h", 2)), (0.12, ("C∞v", 1))])
def test_the_middle_of_a_linear_molecule(shift, found):
    """An atom may be 0.1 Angstrom from the place that the inversion asks for."""
    atoms = Atoms("OCO", [(0, 0, -1.2), (0, 0, shift), (0, 0, 1.2)])
    assert point_group(atoms)[0] == found[0] and point_group(atoms)[1] == found[1]


@pytest.mark.parametrize(
    ("number", "mass", "name"),
    [
        *((1, 1.008, "H"), (1, 2.014, "D"), (1, 3.016, "T"), (1, 2.6, "3H")),
        *((6, 12.011, "C"), (6, 13.00335, "13C"), (6, 12.0, "12C"), (17, 34.96885, "35Cl")),
    ],
)
def test_names_of_isotopes(number, mass, name):
    assert isotope_name(number, mass) == name
