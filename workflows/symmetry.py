"""Point groups and rotational symmetry numbers, by pymatgen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError

from .normal_modes import is_linear

NEARLY_SYMMETRIC = (1e-6, 1e-4, 1e-3, 1e-2)
"""How close two moments of inertia may be to count as equal.  Pyrrole is nearly a symmetric top:
with pymatgen's own 1e-2 its axis is looked for in the wrong place, and not found.  Of groups of the
same order that of the least tolerance counts: with the largest an axis may be found twice."""


def require_pymatgen() -> None:
    """InputError where pymatgen is not installed."""
    try:
        import pymatgen.symmetry.analyzer  # noqa: F401
    except ImportError:
        raise InputError(
            "the symmetry number needs pymatgen: pip install 'ase-mlseqm[thermo]', or give it "
            "(1 for a molecule without rotational symmetry)"
        ) from None


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
    require_pymatgen()
    from pymatgen.core import Molecule
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer

    labels = _labels(atoms)
    if is_linear(atoms.positions):
        mirrored = _is_its_mirror_image(labels, atoms.positions, tolerance)
        return ("D∞h", 2) if mirrored else ("C∞v", 1)
    known = Molecule(labels, atoms.positions)
    symbols = [_symbol(PointGroupAnalyzer(known, tolerance, equal)) for equal in NEARLY_SYMMETRIC]
    # what is long and thin is linear to pymatgen, with the same number
    symbols = [each for each in symbols if "*" not in each] or ["C1"]
    symbol = max(symbols, key=lambda each: _orders(each)[1])
    return symbol, _orders(symbol)[0]


def _symbol(analyzer: Any) -> str:
    """What pymatgen calls the group.

    Before September 2026 it took the axis of inertia of a symmetric top for one of symmetry in any
    case, and what has one axis at right angles to it for a dihedral group.
    """
    symbol = str(analyzer.sch_symbol)
    orders = [order for _, order in analyzer.rot_sym if order > 1]
    if symbol.startswith("D") and len(orders) == 1:
        return f"C{orders[0]}"
    return symbol


def _is_its_mirror_image(labels: list[int], positions: np.ndarray, tolerance: float) -> bool:
    """Whether a linear molecule has a centre of inversion."""
    centered = positions - positions.mean(0)
    along = centered @ np.linalg.svd(centered)[2][0]
    order = np.argsort(along)
    names, places = np.array(labels)[order], along[order]
    middle = 0.5 * (places[0] + places[-1])
    moved = np.abs(places - middle + (places - middle)[::-1]).max()
    return bool((names == names[::-1]).all() and moved < 2 * tolerance)


def _orders(symbol: str) -> tuple[int, int]:
    """How many proper rotations, and how many operations, a point group has.

    Of the symbol, since the operations that pymatgen finds in a distorted molecule need not close
    to a group.
    """
    whole = {"C1": (1, 1), "Cs": (1, 2), "Ci": (1, 2), "Kh": (1, 2)}
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
