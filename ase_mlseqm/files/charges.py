"""Charges that a file states and ASE's readers leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.formats import filetype

from ..atoms import Computed
from .structures import file_kind, file_text, sdf_blocks

WHOLE = 1e-3
"""By how much charges of atoms may miss a whole number, e."""
MOL_CODES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}
"""Charges by their code in the lines of atoms of MOL files."""
GAUSSIAN = r"^ *Charge *= *{} *Multiplicity *= *{} *(?:in supermolecule)?\s*$"
NUMBER, FOUND = r"[+-]?\d+", r"([+-]?\d+)"
OF_ALL = {
    "gaussian-out": (GAUSSIAN.format(FOUND, NUMBER), GAUSSIAN.format(NUMBER, FOUND)),
    "orca-output": (
        rf"^ *Total Charge +Charge +\.+ +{FOUND}",
        rf"^ *Multiplicity +Mult +\.+ +{FOUND}",
    ),
    "turbomole": (rf"^ *\$eht\b[^$]*charge *= *{FOUND}", rf"^ *\$eht\b[^$]*unpaired *= *{FOUND}"),
}
"""Charge and multiplicity (Turbomole: unpaired electrons) of all structures of a file, by ASE's
names of the formats."""


def state_charges(path: Path, frames: Sequence[Atoms]) -> None:
    """Put the charge of a molecule, and its multiplicity, into ``info`` if the file has them.

    They are in the ``M  CHG`` lines or the atoms' lines of MOL and SDF files, in the last columns
    of PDB files, before the atoms in Gaussian's input, and for all structures of a file where
    :data:`OF_ALL` says, or else follow from computed results.
    """
    reader = {".mol": _mol, ".sdf": _mol, ".pdb": _pdb, ".gjf": _gaussian, ".com": _gaussian}
    kind = file_kind(path)
    if not frames:  # what cannot be read has been told
        return
    form = "" if kind in reader else filetype(str(path))
    found = reader[kind](file_text(path)) if kind in reader else []
    if form in OF_ALL:
        found = [_of_all(file_text(path), form)] * len(frames)
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
    moment = abs(computed_moment(results) or 0.0)
    given = {"multiplicity", "spin"} & set(atoms.info) or _any(atoms, "initial_magmoms")
    # a doublet is the lowest in any case, and is none with another charge
    if not given and _is_whole(moment) and round(moment) > 1:
        atoms.info["multiplicity"] = Computed(round(moment) + 1)


def computed_moment(results: dict[str, Any]) -> float | None:
    """The computed magnetic moment, if any, which some readers leave to those of the atoms."""
    if results.get("magmom") is not None:
        return float(np.sum(results["magmom"]))
    moments = np.asarray(results.get("magmoms"))
    return float(moments.sum()) if moments.ndim == 1 else None  # not of vectors


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
    """Of Gaussian's input: the first two numbers behind route and title, which end with blank
    lines; more of them are those of fragments."""
    parts = re.split(r"\n\s*\n", "\n".join(text.strip().splitlines()))
    routes = (k for k, part in enumerate(parts) if re.search(r"^\s*#", part, flags=re.MULTILINE))
    behind = parts[next(routes, 0) + 2 :]
    found = re.match(r"\s*([+-]?\d+)[\s,]+(\d+)(?=[\s,])", behind[0]) if behind else None
    return [{"charge": int(found[1]), "multiplicity": int(found[2])}] if found else []


def _of_all(text: str, form: str) -> dict[str, int]:
    """Of a format of :data:`OF_ALL`: what is the same wherever it is stated; of jobs in a row with
    different charges nothing says which is that of a structure."""
    charges, spins = (
        {int(number) for number in re.findall(pattern, text, flags=re.MULTILINE)}
        for pattern in OF_ALL[form]
    )
    found = _charge(*charges) if len(charges) == 1 else {}
    spin = spins.pop() + (form == "turbomole") if len(spins) == 1 else 1
    return found | ({"multiplicity": spin} if spin > 2 else {})


def _charge(charge: int) -> dict[str, int]:
    """None is stated where the sum is zero: not all that write such files write charges."""
    return {"charge": charge} if charge else {}
