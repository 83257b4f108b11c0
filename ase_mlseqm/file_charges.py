"""Charges that a file states and ASE's readers leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms


def state_charges(path: Path, frames: Sequence[Atoms]) -> None:
    """Put the charge of a molecule, and its multiplicity, into ``info`` if the file has them.

    They are in the ``M  CHG`` lines of MOL and SDF files, in the last columns of PDB files, and
    before the atoms in Gaussian's input.
    """
    reader = {".mol": _mol, ".sdf": _mol, ".pdb": _pdb, ".gjf": _gaussian, ".com": _gaussian}
    find = reader.get(path.suffix.lower())
    if find is None or not frames:  # what cannot be read has been told
        return
    for atoms, stated in zip(frames, find(path.read_text(errors="replace")), strict=False):
        for name, value in stated.items():
            atoms.info.setdefault(name, value)


def _mol(text: str) -> list[dict[str, int]]:
    """Of the molecules of an SDF file: "M  CHG", a count, and pairs of atom and charge."""
    blocks = re.split(r"^\$\$\$\$.*$", text, flags=re.MULTILINE)
    lines = [re.findall(r"^M  CHG(.*)$", block, flags=re.MULTILINE) for block in blocks]
    words = [
        [word for line in block for word in re.findall(r"-?\d+", line)[2::2]] for block in lines
    ]
    return [_charge(sum(map(int, block))) for block in words]


def _pdb(text: str) -> list[dict[str, int]]:
    """Of the models of a PDB file: digit and sign in columns 79 and 80 of an atom."""
    charges = []
    for block in re.split(r"^ENDMDL.*$", text, flags=re.MULTILINE):
        atoms = [line for line in block.splitlines() if line.startswith(("ATOM", "HETATM"))]
        found = [re.fullmatch(r"(\d)([+-])", line[78:80]) for line in atoms]
        charges.append(_charge(sum(int(each[2] + each[1]) for each in found if each)))
    return charges


def _gaussian(text: str) -> list[dict[str, int]]:
    """Of Gaussian's input: two numbers behind route and title, which end with blank lines."""
    parts = re.split(r"\n[ \t]*\n", text.strip())
    found = re.match(r"\s*([+-]?\d+)[\s,]+(\d+)\s*\n", parts[2]) if len(parts) > 2 else None
    return [{"charge": int(found[1]), "multiplicity": int(found[2])}] if found else []


def _charge(charge: int) -> dict[str, int]:
    """None is stated where the sum is zero: not all that write such files write charges."""
    return {"charge": charge} if charge else {}
