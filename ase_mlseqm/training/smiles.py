"""As much of SMILES as readers and split need: charge, fragments and their heavy atoms."""

from __future__ import annotations

import re

from .graph import Fragment

_ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFI*]|[bcnops]")
_HYDROGEN = re.compile(r"\[\d*H(?![a-z])")
_CHARGE = re.compile(r"\[[^\]+-]*([+-]+)(\d*)(?::\d+)?\]")
_STEREO = re.compile(r"[/\\@]")
_CENTRE = re.compile(r"\[([A-Z][a-z]?)@+(?:H\d*)?\]")
"""An atom that is in brackets for its stereochemistry alone."""


def smiles_fragments(smiles: str) -> list[Fragment]:
    """The molecules of a SMILES in alphabetical order, without stereochemistry.

    Enantiomers have the same energies, and cis and trans isomers are near enough to be one
    fragment in a split.
    """
    parts = sorted(part for part in _STEREO.sub("", _CENTRE.sub(r"\1", smiles)).split(".") if part)
    return [Fragment(part, heavy_atoms(part)) for part in parts]


def heavy_atoms(smiles: str) -> int:
    """How many atoms other than hydrogen a SMILES has."""
    return sum(not _HYDROGEN.match(atom) for atom in _ATOM.findall(smiles))


def lacks_brackets(smiles: str) -> bool:
    """Whether hydrogens or positive charges are outside of brackets, where no SMILES has them.

    ASE's parser of extended XYZ takes the brackets away where there are no quotation marks.
    """
    return bool(re.search(r"[H+]", re.sub(r"\[[^\]]*\]", "", smiles)))


def formal_charge(smiles: str) -> int:
    """Sum of the charges of its atoms."""
    found = _CHARGE.findall(smiles)
    return sum((1 if sign[0] == "+" else -1) * int(n or len(sign)) for sign, n in found)
