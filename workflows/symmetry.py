"""Point groups and rotational symmetry numbers, by pymatgen."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError


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
    found = PointGroupAnalyzer(Molecule(_labels(atoms), atoms.positions), tolerance=tolerance)
    symbol = str(found.sch_symbol).replace("*", "∞")
    return symbol, int(found.get_rotational_symmetry_number())


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
