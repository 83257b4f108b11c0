"""Masses and names of isotopes."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import ISOTOPES


def check_masses(atoms: Atoms) -> None:
    """InputError where a mass is not a positive finite number."""
    masses = atoms.get_masses()
    bad = np.flatnonzero(~((masses > 0) & np.isfinite(masses)))
    if len(bad):
        raise InputError(
            f"the mass of atom {bad[0]} is {masses[bad[0]]:g}: give positive masses, or none"
        )


def element_masses(atoms: Atoms) -> np.ndarray:
    """Masses (A,), u, of the elements: dipoles of ions are about their centre in results."""
    from ase_mlseqm.nddo.parameters import elements  # torch comes with it

    return elements("cpu").mass.numpy()[atoms.numbers]


def isotope_masses(atoms: Atoms, isotopes: tuple[str, ...]) -> np.ndarray:
    """Masses (A,), u, those of ``atoms`` with the given changes (see VibrationsConfig)."""
    masses = atoms.get_masses()
    for text in isotopes:
        which, _, value = (part.strip() for part in text.partition("="))
        number, mass = ISOTOPES.get(value, (None, None))
        try:
            mass = float(value) if mass is None else mass
            if which.isdigit():
                chosen = np.arange(len(atoms)) == int(which)
            else:
                chosen = atoms.numbers == atomic_numbers[which]
        except (KeyError, ValueError):
            raise InputError(
                f"isotopes: {text!r} is none; give ATOM=MASS such as 0=13.00335, H=2.014 or H=D"
            ) from None
        if not chosen.any():
            raise InputError(f"isotopes: {text!r} fits no atom of {atoms.get_chemical_formula()}")
        if not 0.0 < mass < float("inf") or (number and (atoms.numbers[chosen] != number).any()):
            raise InputError(f"isotopes: {text!r} is no mass of that atom")
        masses[chosen] = mass
    return masses


def isotope_name(number: int, mass: float) -> str:
    """Symbol of an atom; with its mass number where the mass is not the standard one."""
    for name, (z, known) in ISOTOPES.items():
        if z == number and abs(mass - known) < 0.01:
            return name
    standard = Atoms([number]).get_masses()[0]
    symbol = chemical_symbols[number]
    return symbol if abs(mass - standard) < 0.01 else f"{round(mass)}{symbol}"
