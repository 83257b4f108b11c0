"""From ``ase.Atoms`` to the engine's molecules, with charge and spin as ASE users give them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError
from .molecule import Molecule
from .pymatgen_io import as_atoms


def _integer(value: Any, name: str) -> int:
    try:
        # a T in a file is a truth value, and no charge
        number = float("nan" if isinstance(value, bool | np.bool_) else value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}: give a whole number") from None
    if not np.isfinite(number) or abs(number - round(number)) > 1e-6:
        raise InputError(f"{name} is {value}: give a whole number")
    return round(number)


def _agree(found: dict[str, int], what: str) -> int | None:
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} says {value}" for name, value in found.items())
        raise InputError(f"the {what} is given twice and differently ({listed}): keep one")
    return next(iter(found.values()), None)


class Computed(int):
    """A charge or multiplicity in ``info`` that nobody stated but that results have: it stands
    unless a keyword says otherwise, as for the molecule that an ion leaves behind."""


def _stated(info: dict[str, Any], charge: Any, multiplicity: Any) -> dict[str, Any]:
    """``info`` without what results state although nobody gave it, where a keyword is given."""
    left_out: set[str] = set()
    if charge is not None and isinstance(info.get("charge"), Computed):
        left_out |= {"charge"}
    changed = charge is not None and charge != info.get("charge", 0)
    if (changed or multiplicity is not None) and isinstance(info.get("multiplicity"), Computed):
        left_out |= {"multiplicity"}
    if "method" in info and "status" in info:
        if charge is not None and info.get("charge") == 0:
            left_out |= {"charge"}
        if (left_out or multiplicity is not None) and info.get("multiplicity") in (1, 2):
            left_out |= {"multiplicity", "spin"}
    return {name: value for name, value in info.items() if name not in left_out}


KEYS = ("charge", "multiplicity", "spin")
"""Keys of ``atoms.info`` that are read."""

MOMENTS = "the sum of the initial magnetic moments"


def lowest_multiplicity(atoms: Any, charge: int) -> int:
    """2S + 1 with no unpaired electron, or one."""
    return 1 + (int(atoms.numbers.sum()) - charge) % 2


def charge_and_multiplicity(
    atoms: Any,
    charge: int | None = None,
    multiplicity: int | None = None,
    overrule: bool = False,
) -> tuple[int, int | None]:
    """Total charge and multiplicity (None: the lowest) from keywords, ``info`` and arrays.

    ``info["charge"]``, ``info["multiplicity"]`` or ``info["spin"]`` (2S + 1), and the sums of the
    initial charges and magnetic moments; absent or all-zero arrays count as not given, and so do
    the charge zero and the lowest multiplicity of a file of results, which state both in any case,
    and what is :class:`Computed`, where there is a keyword.  With ``overrule`` a keyword stands,
    whatever the atoms say.

    Raises
    ------
    InputError
        When two of them disagree, or a value is not a whole number.
    """
    info = _stated(atoms.info, charge, multiplicity)
    charges, spins = _charges(atoms, info), _spins(atoms, info)
    if charge is not None:
        charges = {} if overrule else charges
        charges = {"the keyword charge": _integer(charge, "charge")} | charges
    if multiplicity is not None:
        spins = {} if overrule else spins
        spins = {"the keyword multiplicity": _integer(multiplicity, "multiplicity")} | spins
    for name, value in spins.items():
        if value < 1:
            raise InputError(f"{name} is {value}: give 2S + 1 (1 for a singlet, 2 for a doublet)")
    total, spin = _agree(charges, "charge") or 0, _agree(spins, "multiplicity")
    lowest = lowest_multiplicity(atoms, total)
    if spin is not None and list(spins) == [MOMENTS + " plus one"] and (spin - lowest) % 2:
        raise InputError(
            f"{MOMENTS} means multiplicity {spin}, which is impossible with charge {total:+d}: "
            "give the multiplicity, or remove them with atoms.set_initial_magnetic_moments(None)"
        )
    for key, name in {} if overrule else other_names(atoms.info).items():
        used = total if name == "charge" else spin or lowest
        _refuse_unless(key, atoms.info[key], name, used)
    return total, spin


def _charges(atoms: Any, info: dict[str, Any]) -> dict[str, int]:
    """What the atoms say of the charge, and where."""
    found = {}
    if info.get("charge") is not None:
        found['atoms.info["charge"]'] = _integer(info["charge"], 'atoms.info["charge"]')
    initial = atoms.arrays.get("initial_charges")
    if initial is not None and np.any(initial != 0):
        name = "the sum of the initial charges"
        found[name] = _integer(initial.sum(), name)
    return found


def _spins(atoms: Any, info: dict[str, Any]) -> dict[str, int]:
    """What the atoms say of the multiplicity, and where."""
    found = {}
    for key in ("multiplicity", "spin"):
        if info.get(key) is not None:
            name = f'atoms.info["{key}"]'
            found[name] = _integer(info[key], name)
    moments = atoms.arrays.get("initial_magmoms")
    if moments is not None and moments.ndim > 1:
        raise InputError("initial magnetic moments are vectors: give one number per atom")
    if moments is not None and np.any(moments != 0):
        found[MOMENTS + " plus one"] = abs(_integer(moments.sum(), MOMENTS)) + 1
    return found


OTHER_NAMES = {
    **dict.fromkeys(("charge", "total_charge", "net_charge"), "charge"),
    **dict.fromkeys(("multiplicity", "spin_multiplicity", "mult", "spin"), "multiplicity"),
}
"""What others call charge and multiplicity, in small letters."""


def other_names(info: dict[str, Any]) -> dict[str, str]:
    """Keys that mean charge or multiplicity but are not read, and which of both they mean."""
    found = {key: OTHER_NAMES.get(key.lower()) for key in info if isinstance(key, str)}
    return {key: name for key, name in found.items() if name and key not in KEYS}


def _refuse_unless(key: str, value: Any, name: str, used: int) -> None:
    """A charge that is ignored without a word is the commonest wrong answer."""
    try:
        same = float(value) == used
    except (TypeError, ValueError):  # a note of another kind
        return
    if not same:
        raise InputError(
            f'atoms.info["{key}"] is {value}, but the name of the {name} is "{name}": rename '
            "or remove it"
        )


def molecule_from_atoms(
    atoms: Any,
    charge: int | None = None,
    multiplicity: int | None = None,
    overrule: bool = False,
) -> Molecule:
    """The molecule of ``atoms`` (see :func:`charge_and_multiplicity`).

    Initial magnetic moments of both signs make it unrestricted.
    """
    atoms = as_atoms(atoms)
    found = charge_and_multiplicity(atoms, charge, multiplicity, overrule)
    return Molecule.from_atoms(atoms, *found, unrestricted=opposite_moments(atoms))


def opposite_moments(atoms: Any) -> bool:
    """Whether there are initial magnetic moments of both signs."""
    moments = atoms.arrays.get("initial_magmoms")
    return moments is not None and bool(np.any(moments > 0) and np.any(moments < 0))
