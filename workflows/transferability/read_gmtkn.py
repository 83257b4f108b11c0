"""Folders in the layout of GMTKN55 (Goerigk, Hansen, Bauer, Ehrlich, Najibi, Grimme, 2017).

A folder a subset; in it a folder a system with ``struc.xyz`` or ``coord`` (Turbomole), the charge
in ``.CHRG`` and the number of unpaired electrons in ``.UHF`` where they are not zero; and a script
``.res`` with a line a reaction: the command, the systems, ``x``, their coefficients, ``$w`` and the
reference in kcal/mol, as in::

    $tmer 01{A,B,}/$f  x  1 1 -1  $w  4.92

Both sides of a reaction have the same atoms and charge.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Skipped

from .reaction_set import Reaction, ReactionSet
from .read_comp6 import contacts
from .records import RecordError, read_structure, require_some

SCRIPT = ".res"
BRACES = re.compile(r"\{([^{}]*)\}")
POINT = re.compile(r"(.+?)[_-](\d+\.\d+)$")
"""Name of a system that is a point of a curve, as ``01_0.95``."""
UNBALANCED = 1e-3
"""Atoms, or e, by which the sides of a reaction may differ: coefficients may be rounded."""


def read_gmtkn(folder: Path) -> ReactionSet:
    """The reactions of a subset whose line and systems are sound; what is not is listed with it.

    Raises
    ------
    InputError
        When there is no reaction in it, or none that can be used.
    """
    script = f"{folder.name}/{SCRIPT}"
    try:
        lines = (folder / SCRIPT).read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{script}: {error.strerror}") from None
    systems = _Systems(folder)
    reactions: list[Reaction] = []
    skipped: list[Skipped] = []
    for number, line in enumerate(lines, 1):
        record = f"line {number}"
        try:
            parsed = _parse(line)
            if parsed is None:
                continue
            reaction = _reaction(folder.name, *parsed)
            record = f"{record} ({reaction.name})"
            for name in parsed[0]:
                systems.read(name)
            _require_balance(parsed[0], systems.found)
        except ValueError as error:
            skipped.append(Skipped(script, record, str(error)))
        except RecordError as error:
            skipped.append(Skipped(error.file, record, error.reason))
        else:
            reactions.append(reaction)
    if not reactions and not skipped:
        raise InputError(f"{script}: there is no reaction in it")
    require_some(reactions, folder.name, skipped)
    used = {name for reaction in reactions for name in reaction.coefficients}
    named = {name: atoms for name, atoms in systems.named().items() if name in used}
    return _with_curves(ReactionSet(named, reactions, skipped))


class _Systems:
    """The systems of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, Atoms] = {}
        self.broken: dict[str, RecordError] = {}

    def read(self, name: str) -> None:
        """Read a system, unless that was done; the error of a broken one comes every time."""
        if name in self.broken:
            raise self.broken[name]
        if name not in self.found:
            try:
                self.found[name] = _system(self.folder / name)
            except RecordError as error:
                self.broken[name] = error
                raise

    def named(self) -> dict[str, Atoms]:
        """All that are sound, by folder and name."""
        return {f"{self.folder.name}/{name}": atoms for name, atoms in self.found.items()}


def _parse(line: str) -> tuple[dict[str, float], float] | None:
    """Coefficients by system, and the reference, kcal/mol; None for a line of another kind.

    Raises
    ------
    ValueError
        When it is the line of a reaction, but not a whole one.
    """
    words = line.partition("#")[0].split()
    if not words or "tmer" not in words[0].lower() or "=" in words[0]:
        return None
    if "x" not in words[1:]:
        raise ValueError("there is no x between systems and coefficients")
    cross = words.index("x", 1)
    names = [name.removesuffix("/$f") for word in words[1:cross] for name in expand(word)]
    numbers = [word for word in words[cross + 1 :] if word != "$w"]
    try:
        *found, reference = (float(word) for word in numbers)
    except ValueError:
        raise ValueError(f"{' '.join(numbers)!r} are no numbers") from None
    if len(found) != len(names) or not names:
        raise ValueError(f"{len(names)} systems, but {len(found)} coefficients")
    if not np.isfinite([*found, reference]).all():
        raise ValueError(f"{' '.join(numbers)!r} are not all finite numbers")
    coefficients: dict[str, float] = {}
    for name, value in zip(names, found, strict=True):
        coefficients[name] = coefficients.get(name, 0.0) + value
    if min(coefficients.values()) >= 0 or max(coefficients.values()) <= 0:
        raise ValueError("it does not turn some systems into others")
    return coefficients, reference


def expand(word: str) -> list[str]:
    """What the shell makes of braces: ``1{,A}/$f`` is ``1/$f`` and ``1A/$f``."""
    match = BRACES.search(word)
    if match is None:
        return [word]
    before, after = word[: match.start()], word[match.end() :]
    return [name for part in match[1].split(",") for name in expand(before + part + after)]


def _system(folder: Path) -> Atoms:
    """A system with its charge and multiplicity.

    Raises
    ------
    RecordError
        When one of its files is broken, or it has none.
    """
    where = f"{folder.parent.name}/{folder.name}"
    for name, kind in (("struc.xyz", "xyz"), ("coord", "turbomole")):
        if (folder / name).is_file():
            atoms = read_structure(folder / name, f"{where}/{name}", kind)
            atoms.info["charge"] = _number(folder / ".CHRG", where)
            unpaired = _number(folder / ".UHF", where)
            if unpaired or (int(atoms.numbers.sum()) - atoms.info["charge"]) % 2 == 0:
                atoms.info["multiplicity"] = unpaired + 1
            return atoms
    raise RecordError(where, "there is no struc.xyz or coord in it")


def _number(path: Path, where: str) -> int:
    if not path.is_file():
        return 0
    try:
        return int(path.read_text().split()[0])
    except (ValueError, IndexError):
        raise RecordError(f"{where}/{path.name}", "give a whole number") from None


def _reaction(subset: str, found: dict[str, float], reference: float) -> Reaction:
    """The reaction, turned round where it is the dissociation of one system."""
    single = [name for name, c in found.items() if c < 0]
    parts = sum(c for c in found.values() if c > 0)
    turn = -1 if len(single) == 1 and parts > 1 and found[single[0]] == -1 else 1
    sides = [[n for n, c in found.items() if turn * c * side > 0] for side in (-1, 1)]
    name = f"{subset}/{' + '.join(sides[0])} → {' + '.join(sides[1])}"
    coefficients = {f"{subset}/{n}": turn * c for n, c in found.items()}
    return Reaction(name, coefficients, turn * reference, name)


def _require_balance(coefficients: dict[str, float], systems: dict[str, Atoms]) -> None:
    """ValueError where the two sides of a reaction have other atoms, or another charge."""
    atoms = np.zeros(len(chemical_symbols))
    charge = 0.0
    for name, coefficient in coefficients.items():
        atoms += coefficient * np.bincount(systems[name].numbers, minlength=len(atoms))
        charge += coefficient * systems[name].info["charge"]
    left_over = np.flatnonzero(np.abs(atoms) > UNBALANCED)
    if len(left_over):
        number = int(left_over[0])
        raise ValueError(
            f"its sides differ by {abs(atoms[number]):.6g} {chemical_symbols[number]}: the "
            "coefficients, or the structures, are wrong"
        )
    if abs(charge) > UNBALANCED:
        raise ValueError(
            f"its sides differ by a charge of {abs(charge):.6g} e: a .CHRG, or a coefficient, is "
            "wrong"
        )


def _with_curves(found: ReactionSet) -> ReactionSet:
    """Reactions whose product is a point of a curve, with the closest contact in it.

    Systems of other atoms that have such names, as ``alkane_1.0``, are no curve.
    """
    curves: dict[str, list[tuple[float, str, int]]] = {}
    for k, reaction in enumerate(found.reactions):
        formed = [name for name, c in reaction.coefficients.items() if c > 0]
        match = POINT.match(formed[0]) if len(formed) == 1 else None
        if match:
            curves.setdefault(match[1], []).append((float(match[2]), formed[0], k))
    reactions = list(found.reactions)
    for curve, members in curves.items():
        if len({found.systems[name].numbers.tobytes() for _, name, _ in members}) > 1:
            continue
        members.sort()
        apart = contacts([found.systems[name] for _, name, _ in members])
        for x, (_, _, k) in zip(apart, members, strict=True):
            if np.isfinite(x):
                reactions[k] = dataclasses.replace(reactions[k], curve=curve, x=float(x))
    return dataclasses.replace(found, reactions=reactions)
