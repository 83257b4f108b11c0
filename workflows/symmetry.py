"""Point groups and rotational symmetry numbers, by pymatgen."""

from __future__ import annotations

import re

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError

NEARLY_SYMMETRIC = (1e-2, 1e-3, 1e-4)
"""How close two moments of inertia may be to count as equal.  Pyrrole is nearly a symmetric top:
with pymatgen's own 1e-2 its axis is looked for in the wrong place, and not found."""


def point_group(atoms: Atoms, tolerance: float = 0.1) -> tuple[str, int]:
    """Schoenflies symbol and rotational symmetry number of a molecule.

    Atoms of one element with different masses are different.  A wrong geometry has a wrong
    symmetry: relax it tightly.

    Parameters
    ----------
    tolerance : float
        How far atoms may be from the places that symmetry asks for, Angstrom.

    Raises
    ------
    InputError
        When pymatgen is not installed; the message names the extra.
    """
    if len(atoms) == 1:
        return "Kh", 1
    try:
        from pymatgen.core import Molecule
        from pymatgen.symmetry.analyzer import PointGroupAnalyzer
    except ImportError:
        raise InputError(
            "the symmetry number needs pymatgen: pip install 'ase-mlseqm[thermo]', or give it "
            "(symmetry_number=1 for a molecule without rotational symmetry)"
        ) from None
    known = Molecule(_labels(atoms), atoms.positions)
    symbols = [
        str(PointGroupAnalyzer(known, tolerance, equal).sch_symbol) for equal in NEARLY_SYMMETRIC
    ]
    symbol = max(symbols, key=lambda each: _orders(each)[1])
    return symbol.replace("*", "∞"), _orders(symbol)[0]


def _orders(symbol: str) -> tuple[int, int]:
    """How many proper rotations, and how many operations, a point group has.

    Those of linear molecules without the rotations about their axis.  Of the symbol, since the
    operations that pymatgen finds in a distorted molecule need not close to a group.
    """
    whole = {"C1": (1, 1), "Cs": (1, 2), "Ci": (1, 2), "C*v": (1, 2), "D*h": (2, 4), "Kh": (1, 2)}
    cubic = {"T": 12, "O": 24, "I": 60}
    if symbol in whole:
        return whole[symbol]
    found = re.fullmatch(r"([CDSTOI])(\d*)([vhd]?)", symbol)
    assert found is not None, symbol
    kind, order, mirrors = found.groups()
    if kind == "S":
        return int(order) // 2, int(order)
    rotations = cubic[kind] if kind in cubic else int(order) * (2 if kind == "D" else 1)
    return rotations, rotations * (2 if mirrors else 1)


def _labels(atoms: Atoms) -> list[int]:
    """Atomic numbers, those of isotopes replaced by elements that the molecule does not have."""
    pairs = list(zip(atoms.numbers.tolist(), np.round(atoms.get_masses(), 3).tolist(), strict=True))
    unused = iter(sorted(set(range(1, 90)) - set(atoms.numbers.tolist())))
    label: dict[tuple[int, float], int] = {}
    for pair in pairs:
        if pair not in label:
            taken = any(number == pair[0] for number, _ in label)
            label[pair] = next(unused) if taken else pair[0]
    return [label[pair] for pair in pairs]
