"""What the readers of the file formats hand over: frames of one molecule, not yet checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import InputError
from ..units import BOHR, E_ANGSTROM_TO_DEBYE, EV_TO_KCAL, HARTREE

ENERGY_UNITS = {
    "hartree": HARTREE,
    "eh": HARTREE,
    "ev": 1.0,
    "kcal/mol": 1 / EV_TO_KCAL,
    "kj/mol": 1 / (4.184 * EV_TO_KCAL),
}
LENGTH_UNITS = {"angstrom": 1.0, "bohr": BOHR}
DIPOLE_UNITS = {"e*angstrom": 1.0, "e*bohr": BOHR, "debye": 1 / E_ANGSTROM_TO_DEBYE}


@dataclasses.dataclass(frozen=True)
class Units:
    """Factors that turn the numbers of a file into eV, Angstrom, eV/Angstrom and e*Angstrom.

    ``dipole`` and ``charge`` are None where the file does not say in what it gives them.
    """

    energy: float = 1.0
    length: float = 1.0
    force: float = 1.0
    dipole: float | None = None
    charge: float | None = None


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says about itself; None where it says nothing.

    Attributes
    ----------
    level : str or None
        Level of theory.
    units : Units or None
    gradients : bool
        Whether the format stores gradients by its definition.
    atomization : bool
        Whether the energies are relative to the isolated atoms.
    """

    level: str | None = None
    units: Units | None = None
    gradients: bool = False
    atomization: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """Charge, e, and multiplicity (None: the lowest) of a molecule; ``unrestricted``: also where it
    is a singlet.

    ``stated``: the file says it, or has a SMILES, which does.
    """

    charge: int = 0
    multiplicity: int | None = None
    unrestricted: bool = False
    stated: bool = False


NOTHING_STATED = State()


@dataclasses.dataclass
class Block:
    """F frames of one molecule in the units of their file; arrays as they were found.

    ``frames`` are the names of the frames in the file; ``extras`` may hold dipoles (F, 3),
    charges (F, A), homo and lumo (F,).  ``mixed``: the frames may be of any number of isomers.
    """

    name: str
    numbers: Any
    positions: Any
    energies: Any
    forces: Any
    smiles: str | None = None
    frames: list[str] | None = None
    extras: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    mixed: bool = False
    state: State = NOTHING_STATED


@dataclasses.dataclass(frozen=True)
class Broken:
    """A record that holds no frame."""

    record: str
    reason: str


ODD = "it has an odd number of electrons, and neither charge nor multiplicity: state one of them"
PERIODIC = "it is periodic"
SINGLE = "a single atom: nothing to learn from but its energy"


class StateError(ValueError):
    """A record is of a state that nothing is learned from."""


def check_state(
    charge: float,
    multiplicity: float | None,
    numbers: Any,
    *,
    unrestricted: bool = False,
    stated: bool = False,
) -> State:
    """The state of a record; raises :class:`StateError` for free atoms that are not neutral and in
    their ground state.

    ``multiplicity`` is None where the file does not state it.
    """
    for name, value in (("charge", charge), ("multiplicity", multiplicity)):
        if value is not None and not float(value).is_integer():
            raise ValueError(f"its {name} is {value}: give a whole number")
    spin = None if multiplicity is None else int(multiplicity)
    if charge and len(numbers) == 1:
        raise StateError(SINGLE)
    if len(numbers) == 1 and spin is not None and spin != ground_state(numbers[0]):
        raise StateError(
            f"it is a free atom of multiplicity {spin}, but {ground_state(numbers[0])} in "
            "its ground state, to which energies are compared"
        )
    stated = stated or bool(charge) or spin is not None
    return State(int(charge), spin, unrestricted, stated)


def ground_state(element: Any) -> int:
    """Multiplicity of the neutral free atom of an atomic number or symbol."""
    from ase.data import atomic_numbers, ground_state_magnetic_moments

    number = atomic_numbers[as_text(element)] if isinstance(element, str | bytes) else int(element)
    return 1 + round(float(ground_state_magnetic_moments[number]))


def parse_units(text: str, where: str) -> Units:
    """Units from 'energy[, length[, force[, dipole[, charge]]]]', as in 'Hartree, Angstrom'.

    Lengths are Angstrom and forces energy per length unless they are given; dipoles and charges
    whose unit is not given are left aside.

    Raises
    ------
    InputError
        When a unit is unknown.
    """
    parts = [part.strip().casefold() for part in text.split(",")] + [""] * 5
    energy, length = parts[0], parts[1] or "angstrom"
    if energy not in ENERGY_UNITS or length not in LENGTH_UNITS:
        wrong = energy if energy not in ENERGY_UNITS else length
        raise InputError(
            f"{where}: unknown unit {wrong!r}; energies may be in {', '.join(ENERGY_UNITS)} and "
            f"lengths in {', '.join(LENGTH_UNITS)}, as in 'hartree, angstrom, hartree/bohr'"
        )
    force = parts[2] or f"{energy}/{length}"
    top, _, bottom = force.rpartition("/")
    if top not in ENERGY_UNITS or bottom not in LENGTH_UNITS:
        raise InputError(f"{where}: unknown unit of forces {force!r}; give one as 'hartree/bohr'")
    return Units(
        ENERGY_UNITS[energy],
        LENGTH_UNITS[length],
        ENERGY_UNITS[top] / LENGTH_UNITS[bottom],
        _unit(DIPOLE_UNITS, parts[3], "dipoles", where),
        _unit({"e": 1.0}, parts[4], "charges", where),
    )


def _unit(known: dict[str, float], text: str, what: str, where: str) -> float | None:
    """None where no unit is given."""
    if text and text not in known:
        raise InputError(f"{where}: unknown unit of {what} {text!r}: give {' or '.join(known)}")
    return known.get(text)


def smiles_text(value: Any) -> str | None:
    """A SMILES as the file has it; None where there is none."""
    return None if value is None else name_text(as_text(value))


def name_text(value: Any) -> str | None:
    """What the file calls a molecule; None where it says nothing.

    ASE's parser of extended XYZ takes F, the SMILES of hydrogen fluoride, for false and T for true.
    """
    if value is None:
        return None
    return {"False": "F", "True": "T"}.get(str(value), str(value)).strip() or None


def as_text(value: Any) -> str:
    """A string of HDF5, stored as str, bytes or an array of characters."""
    if isinstance(value, np.ndarray):
        return "".join(as_text(v) for v in value.ravel().tolist())
    return value.decode() if isinstance(value, bytes) else str(value)
