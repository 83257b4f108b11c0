"""Barriers with zero-point and thermal corrections: transition state theory of ideal gases.

Eyring, J. Chem. Phys. 3 (1935) 107.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import units
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_mlseqm.errors import InputError
from ase_mlseqm.summary import fields_of
from ase_mlseqm.units import PLANCK

from .geometry import bonds
from .normal_modes import imaginary_text
from .thermochemistry import ThermoConfig, ThermoResult, ideal_gas
from .vibrations_config import VibrationsResult

COUNTED_TWICE = (
    "the energies of this method contain zero-point and thermal energies: barriers with them count "
    "them twice, use the electronic ones"
)


@dataclasses.dataclass(frozen=True)
class Activation:
    """From the minimum on either side up to the transition state.

    Arrays are (2,), that of the reactant first.  Without a minimum there, all but ``energies`` are
    NaN.  Enthalpies are harmonic; entropies have slow modes as rotors, as
    :class:`~workflows.thermochemistry.ThermoResult` explains.

    Attributes
    ----------
    temperature : float
        K.
    pressure : float
        Pa; standard state of the Gibbs energies.
    energies, energies_zero_point : (2,) arrays
        Barriers without and with the energies of the vibrations at 0 K, eV.
    enthalpies : (2,) array
        Enthalpies of activation, eV.
    entropies : (2,) array
        Entropies of activation, eV/K.
    gibbs_energies : (2,) array
        ``enthalpies - temperature * entropies``, eV.
    gibbs_energies_harmonic : (2,) array
        The same with the entropies of oscillators only, eV.
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    """

    temperature: float
    pressure: float
    energies: np.ndarray
    energies_zero_point: np.ndarray
    enthalpies: np.ndarray
    entropies: np.ndarray
    gibbs_energies: np.ndarray
    gibbs_energies_harmonic: np.ndarray
    messages: list[str]

    @property
    def rate_constants(self) -> np.ndarray:
        """Of first order, s-1: k T / h exp(-G / k T), without tunnelling."""
        thermal = units.kB * self.temperature
        return thermal / PLANCK * np.exp(-self.gibbs_energies / thermal)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, the rate constants included."""
        return fields_of(self) | {"rate_constants": self.rate_constants.tolist()}


def activation(
    top: VibrationsResult,
    ends: Sequence[VibrationsResult],
    temperature: float = 298.15,
    pressure: float = 101325.0,
    names: Sequence[str] = ("reactant", "product"),
    symmetry_numbers: Sequence[int] = (),
) -> Activation:
    """Barriers from the vibrations of a transition state and of the minima that it connects.

    The imaginary mode is left out.  Rotational symmetry numbers are in the entropies; that several
    equal ways lead over a barrier is not.

    Parameters
    ----------
    temperature, pressure : float
        K and Pa.
    names : sequence of str
        Of both ends, for the messages.
    symmetry_numbers : sequence of int
        Rotational ones of the transition state and of both ends; default: found by pymatgen.

    Raises
    ------
    InputError
        When the transition state has not exactly one imaginary mode, or is periodic, or when there
        is not a symmetry number for each.
    """
    count = len(top.imaginary)
    if count != 1:
        raise InputError(f"a transition state has one imaginary mode, this structure {count}")
    if top.atoms.pbc.any():
        raise InputError("thermochemistry is that of a molecule: switch periodicity off")
    config = ThermoConfig(temperatures=(temperature,), pressure=pressure)
    messages = _soft(top, "transition state")
    for end, name in zip(ends, names, strict=True):
        messages += _doubts(end, name)

    def gas(found: VibrationsResult, number: int | None) -> ThermoResult:
        return ideal_gas(found, dataclasses.replace(config, symmetry_number=number))

    structures = (top, *ends)
    numbers: Sequence[int | None] = symmetry_numbers or [None] * len(structures)
    if len(numbers) != len(structures):
        raise InputError(
            f"{len(numbers)} symmetry numbers for {len(structures)} structures: give one for the "
            "transition state and one for each end"
        )
    try:
        gases = list(map(gas, structures, numbers))
    except InputError as error:
        messages.append(f"symmetry numbers are taken for one: {error}")
        gases = [gas(found, 1) for found in structures]
    if top.heat_of_formation is not None:
        messages.append(COUNTED_TWICE)
    known = np.array([np.nan if len(end.imaginary) else 0.0 for end in ends])

    def rise(quantity: str) -> np.ndarray:
        above, *below = (np.ravel(getattr(gas, quantity))[0] for gas in gases)
        return above - np.array(below) + known

    energies = top.energy - np.array([end.energy for end in ends])
    return Activation(
        temperature=temperature,
        pressure=pressure,
        energies=energies,
        energies_zero_point=energies + rise("zero_point_energy"),
        enthalpies=rise("enthalpies"),
        entropies=rise("entropies_quasi"),
        gibbs_energies=rise("gibbs_energies_quasi"),
        gibbs_energies_harmonic=rise("gibbs_energies"),
        messages=messages,
    )


def _soft(found: VibrationsResult, name: str) -> list[str]:
    listed = imaginary_text(found.soft)
    return [f"soft modes of the {name} ({listed} cm-1) are left out"] if listed else []


def _doubts(end: VibrationsResult, name: str) -> list[str]:
    out = []
    if len(end.imaginary):
        listed = imaginary_text(end.imaginary[:3])
        out.append(
            f"the {name} is no minimum ({listed} cm-1): no thermal corrections from there; "
            "relax it further or displace it along that mode"
        )
    else:
        out += _soft(end, name)
    pairs = np.array(sorted(bonds(end.atoms)), dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(end.atoms),) * 2)
    count = int(connected_components(graph, directed=False)[0])
    if count > 1:
        out.append(
            f"the {name} is {count} molecules: its H, S and G are those of the complex as it lies "
            "there, not of molecules far apart"
        )
    return out
