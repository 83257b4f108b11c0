"""Charges that a file states and ASE's readers leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from .atoms import Computed
from .file_structures import file_kind, file_text, sdf_blocks

WHOLE = 1e-3
"""By how much charges of atoms may miss a whole number, e."""
MOL_CODES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}
"""Charges by their code in the lines of atoms of MOL files."""


def state_charges(path: Path, frames: Sequence[Atoms]) -> None:
    """Put the charge of a molecule, and its multiplicity, into ``info`` if the file has them.

    They are in the ``M  CHG`` lines or the atoms' lines of MOL and SDF files, in the last columns
    of PDB files, and before the atoms in Gaussian's input, or else follow from computed results.
    """
    reader = {".mol": _mol, ".sdf": _mol, ".pdb": _pdb, ".gjf": _gaussian, ".com": _gaussian}
    kind = file_kind(path)
    if not frames:  # what cannot be read has been told
        return
    found = reader[kind](file_text(path)) if kind in reader else []
    for atoms, stated in zip(frames, found, strict=False):
        for name, value in stated.items():
            atoms.info.setdefault(name, value)
    for atoms in frames:
        state_computed(atoms)


def state_computed(atoms: Atoms) -> None:
    """Put the sum of charges that were computed, and the multiplicity of triplets and above, into
    ``info`` where these are whole numbers and nothing else says what they are.

    Files have no place for the keywords of a calculator, and some none for ``info``.
    """
    results: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
    total = float(np.sum(results.get("charges", 0.0)))
    if "charge" not in atoms.info and not _any(atoms, "initial_charges") and _is_whole(total):
        atoms.info |= {name: Computed(value) for name, value in _charge(round(total)).items()}
    moment = abs(float(np.sum(results.get("magmom", 0.0))))
    given = {"multiplicity", "spin"} & set(atoms.info) or _any(atoms, "initial_magmoms")
    # a doublet is the lowest in any case, and is none with another charge
    if not given and _is_whole(moment) and round(moment) > 1:
        atoms.info["multiplicity"] = Computed(round(moment) + 1)


def _any(atoms: Atoms, name: str) -> bool:
    return name in atoms.arrays and bool(np.any(atoms.arrays[name]))


def _is_whole(number: float) -> bool:
    return bool(np.isfinite(number)) and abs(number - round(number)) < WHOLE


def _mol(text: str) -> list[dict[str, int]]:
    """Of the molecules of an SDF file: "M  CHG", a count, and pairs of atom and charge; without
    such lines, or those of radicals, codes in columns 37 to 39 of the atoms."""
    charges = []
    for block in sdf_blocks(text):
        lines = re.findall(r"^M  CHG(.*)$", block, flags=re.MULTILINE)
        words = [int(word) for line in lines for word in re.findall(r"-?\d+", line)[2::2]]
        if not lines and not re.search(r"^M  RAD", block, flags=re.MULTILINE):
            rows = block.splitlines()
            count = int(rows[3][:3]) if len(rows) > 3 and rows[3][:3].strip().isdigit() else 0
            words = [MOL_CODES.get(row[36:39].strip(), 0) for row in rows[4 : 4 + count]]
        charges.append(_charge(sum(words)))
    return charges


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
