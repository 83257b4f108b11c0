"""Energies of isolated atoms at the level of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from ..errors import InputError
from ..units import HARTREE

KNOWN = {
    # unrestricted ground states, Cartesian d functions: H to O by PySCF, the others of ANI-2x
    # (Devereux et al., JCTC 16 (2020) 4192), from which PySCF's differ by 4e-5
    "wB97X/6-31G*": {
        "H": -0.4993212,
        "C": -37.8338337,
        "N": -54.5732858,
        "O": -75.0424652,
        "F": -99.6949007,
        "S": -398.0814169,
        "Cl": -460.1167006,
    },
}
"""Hartree, by level of theory."""
OTHERS = ("spherical", "geometr", "structure", "optimi")
"""Parts of words of a text that names a level and is about another one."""


def known_level(level: str) -> dict[str, float]:
    """Isolated-atom energies (Hartree) of a level whose text contains that of a known one."""
    text = level.casefold().replace(" ", "").replace("6-31g(d)", "6-31g*")
    for name, energies in KNOWN.items():
        before, found, after = text.partition(name.casefold())
        # 6-31G** is another basis; // and these words are about where structures come from
        other = after.startswith(("*", "+")) or before.endswith("/")
        if found and not other and not any(word in text for word in OTHERS):
            return energies
    return {}


def given_energies(given: Iterable[str] | None) -> dict[str, float] | None:
    """Energies (Hartree) by symbol from words such as H=-0.4993; None without any.

    Raises
    ------
    InputError
        When a word is not of this kind.
    """
    energies = {}
    for text in given or ():
        element, _, value = text.partition("=")
        try:
            energies[element.strip()] = float(value)
        except ValueError:
            raise InputError(f"--isolated {text}: give it as in --isolated H=-0.4993") from None
    return energies or None


def isolated_energies(
    elements: Iterable[int],
    level: str,
    given: Mapping[str, float] | None,
    frames: Mapping[int, float],
    where: str,
    override: bool = True,
) -> np.ndarray:
    """Energies of the isolated atoms, eV, at the index of their atomic number; else NaN.

    Parameters
    ----------
    elements : atomic numbers
        Those that are needed.
    given : dict, optional
        Hartree by element.
    frames : dict
        Energies, eV, of frames of single atoms; the table of known levels comes before them.
    where : str
        Name of the file, for messages.
    override : bool
        Whether what is given comes before all else: not where files of other levels are read, too,
        for which it may be meant.

    Raises
    ------
    InputError
        When an element has no energy.
    """
    out = np.full(len(chemical_symbols), np.nan)
    told = _checked(given or {})
    sources = [told, dict(frames), _checked(known_level(level))]
    # the last one stands
    for source in sources[1:] + sources[:1] if override else sources:
        for number, energy in source.items():
            out[number] = energy
    missing = [chemical_symbols[z] for z in sorted(set(elements)) if np.isnan(out[z])]
    if missing:
        raise InputError(
            f"{where}: the energy of the isolated atom {missing[0]} at level {level!r} is not "
            f"known: give it in Hartree, as in isolated={{{missing[0]!r}: -0.5}} "
            f"(--isolated {missing[0]}=-0.5), or add a frame of the atom alone to the file"
        )
    return out


def _checked(energies: Mapping[str, float]) -> dict[int, float]:
    """eV by atomic number, from Hartree by symbol."""
    for symbol, energy in energies.items():
        if symbol not in atomic_numbers or not np.isfinite(energy):
            raise InputError(
                f"isolated-atom energy {symbol}={energy}: give a symbol of an element and a number "
                "in Hartree, as in H=-0.5"
            )
    return {atomic_numbers[symbol]: energy * HARTREE for symbol, energy in energies.items()}
