"""Folders in the layout of GMTKN55 (Goerigk, Hansen, Bauer, Ehrlich, Najibi, Grimme, 2017).

A folder a subset; in it a folder a system with ``struc.xyz`` or ``coord`` (Turbomole), the charge
in ``.CHRG`` and the number of unpaired electrons in ``.UHF`` where they are not zero; and a script
``.res`` with a line a reaction: the command, the systems, ``x``, their coefficients, ``$w`` and the
reference in kcal/mol, as in::

    $tmer 01{A,B,}/$f  x  1 1 -1  $w  4.92
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read as read_atoms

from ase_mlseqm.broken_files import why_unreadable
from ase_mlseqm.errors import InputError

from .reaction_set import Reaction, ReactionSet
from .read_comp6 import contacts

SCRIPT = ".res"
BRACES = re.compile(r"\{([^{}]*)\}")
POINT = re.compile(r"(.+?)[_-](\d+\.\d+)$")
"""Name of a system that is a point of a curve, as ``01_0.95``."""


def is_gmtkn(path: Path) -> bool:
    """Whether a path is a folder in this layout."""
    return (path / SCRIPT).is_file()


def read_gmtkn(folder: Path) -> ReactionSet:
    """All reactions of a subset.

    Raises
    ------
    InputError
        When a line or a structure cannot be read.
    """
    systems: dict[str, Atoms] = {}
    reactions = []
    for number, line in enumerate((folder / SCRIPT).read_text().splitlines(), 1):
        parsed = _parse(line, f"{folder.name}/{SCRIPT} line {number}")
        if parsed is None:
            continue
        coefficients, reference = parsed
        for name in coefficients:
            if name not in systems:
                systems[name] = _system(folder / name)
        reactions.append(_reaction(folder.name, coefficients, reference))
    if not reactions:
        raise InputError(f"{folder.name}/{SCRIPT}: there is no reaction in it")
    named = {f"{folder.name}/{name}": atoms for name, atoms in systems.items()}
    return _with_curves(ReactionSet(named, reactions))


def _parse(line: str, where: str) -> tuple[dict[str, float], float] | None:
    """Coefficients by system, and the reference; None for a line of another kind."""
    words = line.partition("#")[0].split()
    if "x" not in words[1:] or "tmer" not in words[0].lower():
        return None
    cross = words.index("x", 1)
    names = [name.removesuffix("/$f") for word in words[1:cross] for name in expand(word)]
    numbers = [word for word in words[cross + 1 :] if word != "$w"]
    try:
        *found, reference = (float(word) for word in numbers)
    except ValueError:
        raise InputError(f"{where}: {' '.join(numbers)!r} are no numbers") from None
    if len(found) != len(names) or not names:
        raise InputError(f"{where}: {len(names)} systems, but {len(found)} coefficients")
    coefficients: dict[str, float] = {}
    for name, value in zip(names, found, strict=True):
        coefficients[name] = coefficients.get(name, 0.0) + value
    return coefficients, reference


def expand(word: str) -> list[str]:
    """What the shell makes of braces: ``1{,A}/$f`` is ``1/$f`` and ``1A/$f``."""
    match = BRACES.search(word)
    if match is None:
        return [word]
    before, after = word[: match.start()], word[match.end() :]
    return [name for part in match[1].split(",") for name in expand(before + part + after)]


def _system(folder: Path) -> Atoms:
    for name, kind in (("struc.xyz", "xyz"), ("coord", "turbomole")):
        path = folder / name
        if path.is_file():
            try:
                atoms = read_atoms(path, format=kind)
            except Exception as error:  # whatever a broken file makes of the parser
                reason = why_unreadable(path, error)
                raise InputError(f"{folder.name}/{name}: cannot be read ({reason})") from None
            atoms.info.clear()
            atoms.info["charge"] = _number(folder / ".CHRG")
            unpaired = _number(folder / ".UHF")
            if unpaired or (int(atoms.numbers.sum()) - atoms.info["charge"]) % 2 == 0:
                atoms.info["multiplicity"] = unpaired + 1
            return atoms
    raise InputError(f"{folder.parent.name}: there is no {folder.name}/struc.xyz or coord")


def _number(path: Path) -> int:
    if not path.is_file():
        return 0
    try:
        return int(path.read_text().split()[0])
    except (ValueError, IndexError):
        raise InputError(f"{path.parent.name}/{path.name}: give a whole number") from None


def _reaction(subset: str, found: dict[str, float], reference: float) -> Reaction:
    """The reaction, turned round where it is the dissociation of one system."""
    single = [name for name, c in found.items() if c < 0]
    turn = -1 if len(single) == 1 and len(found) > 2 and found[single[0]] == -1 else 1
    sides = [[n for n, c in found.items() if turn * c * side > 0] for side in (-1, 1)]
    name = f"{subset}/{' + '.join(sides[0])} → {' + '.join(sides[1])}"
    coefficients = {f"{subset}/{n}": turn * c for n, c in found.items()}
    return Reaction(name, coefficients, turn * reference, name)


def _with_curves(found: ReactionSet) -> ReactionSet:
    """Reactions whose product is a point of a curve, with the closest contact in it."""
    curves: dict[str, list[tuple[float, str, int]]] = {}
    for k, reaction in enumerate(found.reactions):
        formed = [name for name, c in reaction.coefficients.items() if c > 0]
        match = POINT.match(formed[0]) if len(formed) == 1 else None
        if match:
            curves.setdefault(match[1], []).append((float(match[2]), formed[0], k))
    reactions = list(found.reactions)
    for curve, members in curves.items():
        members.sort()
        apart = contacts([found.systems[name] for _, name, _ in members])
        for x, (_, _, k) in zip(apart, members, strict=True):
            if np.isfinite(x):
                reactions[k] = dataclasses.replace(reactions[k], curve=curve, x=float(x))
    return ReactionSet(found.systems, reactions)
