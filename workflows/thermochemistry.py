"""Enthalpy, entropy and Gibbs energy of an ideal gas of rigid rotors and harmonic oscillators."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.thermochemistry import IdealGasThermo

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import require_positive
from ase_mlseqm.summary import fields_of
from ase_mlseqm.units import HBAR_SQUARED, MOMENT_OF_INERTIA

from .several import Failure, attempt
from .symmetry import point_group, require_pymatgen
from .vibrations import VibrationsConfig, VibrationsResult, vibrations

REFERENCE = 298.15
"""K; temperature of heats of formation."""

ROTOR = 1e-44 * MOMENT_OF_INERTIA
"""Moment of inertia, u Angstrom^2, that bounds that of a slow mode (Grimme 2012: 1e-44 kg m^2)."""


@dataclasses.dataclass(frozen=True)
class ThermoConfig(VibrationsConfig):
    """Settings of thermochemistry, and of the vibrations it needs."""

    temperatures: tuple[float, ...] = (200.0, 298.15, 400.0, 500.0, 600.0, 800.0, 1000.0)
    """Temperatures, K."""
    pressure: float = 101325.0
    """Pressure, Pa."""
    symmetry_number: int | None = None
    """Rotational symmetry number; default: found by pymatgen."""
    symmetry_tolerance: float = 0.1
    """How far atoms may be from where symmetry wants them, Angstrom."""
    cutoff: float = 100.0
    """Frequency below which a mode counts as a rotor rather than an oscillator in the
    quasi-harmonic entropy, cm-1."""

    def __post_init__(self) -> None:
        given: Any = self.temperatures
        try:  # arrays have no truth value
            known = tuple(float(t) for t in given if not isinstance(given, str))
        except (TypeError, ValueError):
            known = ()
        object.__setattr__(self, "temperatures", known)
        if not known or not all(0 < t < float("inf") for t in known):
            raise InputError("temperatures: give one or more positive numbers, K")
        super().__post_init__()
        require_positive(self, "pressure", "symmetry_tolerance", "cutoff")
        if self.symmetry_number is not None and self.symmetry_number < 1:
            raise InputError(f"symmetry_number is {self.symmetry_number}: give 1 or more")


@dataclasses.dataclass(frozen=True)
class ThermoResult:
    """Thermochemistry of a molecule at T temperatures.

    Attributes
    ----------
    temperatures : (T,) array
        K.
    enthalpies, gibbs_energies : (T,) arrays
        Potential energy, zero-point and thermal energies, eV.
    gibbs_energies_quasi : (T,) array
        With the entropies of the next but one, eV.
    entropies, entropies_quasi : (T,) arrays
        eV/K; harmonic, and with slow modes as rotors (Grimme, Chem. Eur. J. 18 (2012) 9955).
    heat_capacities : (T,) array
        At constant pressure, eV/K.
    enthalpy_changes : (T,) array
        H(T) - H(298.15 K), eV.
    heats_of_formation : (T,) array or None
        MOPAC's convention, eV: the heat of formation at 298 K plus ``enthalpy_changes``.  None
        for calculators whose energy is no heat of formation.
    zero_point_energy : float
        eV.
    geometry : str
        monatomic, linear or nonlinear.
    point_group : str or None
        None when the symmetry number was given.
    symmetry_number : int
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    vibrations : VibrationsResult
    config : ThermoConfig
    """

    temperatures: np.ndarray
    enthalpies: np.ndarray
    gibbs_energies: np.ndarray
    gibbs_energies_quasi: np.ndarray
    entropies: np.ndarray
    entropies_quasi: np.ndarray
    heat_capacities: np.ndarray
    enthalpy_changes: np.ndarray
    heats_of_formation: np.ndarray | None
    zero_point_energy: float
    geometry: str
    point_group: str | None
    symmetry_number: int
    messages: list[str]
    vibrations: VibrationsResult
    config: ThermoConfig

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, without the vibrations."""
        return fields_of(self, "vibrations", "config") | {
            "energy": self.vibrations.energy,
            "multiplicity": self.vibrations.multiplicity,
            "config": dataclasses.asdict(self.config),
        }


@overload
def thermochemistry(
    atoms: Atoms,
    calc: BaseCalculator,
    config: ThermoConfig | None = None,
    *,
    cache: str | Path | None = None,
) -> ThermoResult: ...


@overload
def thermochemistry(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: ThermoConfig | None = None,
    *,
    cache: str | Path | None = None,
) -> list[ThermoResult | Failure]: ...


def thermochemistry(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: ThermoConfig | None = None,
    *,
    cache: str | Path | None = None,
) -> ThermoResult | list[ThermoResult | Failure]:
    """Thermochemistry of one molecule, or of every one in a list, as an ideal gas.

    Parameters
    ----------
    atoms, calc, cache
        As for :func:`~ase_mlseqm.workflows.vibrations.vibrations`, which comes first.
    config : ThermoConfig, optional
        Temperatures (K), pressure (Pa), and the settings of the vibrations.

    Returns
    -------
    ThermoResult, or a list
        In the order of the list; an exception, of those below, for a molecule that cannot be
        computed.  The others are not affected.

    Raises
    ------
    InputError
        As for the vibrations, and when the symmetry number is not given and pymatgen not installed,
        which is said before anything is computed, for a list as well.
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed.
    """
    config = config or ThermoConfig()
    if config.symmetry_number is None:
        require_pymatgen()  # before anything is computed
    if isinstance(atoms, list | tuple):
        found = vibrations(atoms, calc, config, cache=cache)
        return attempt(lambda one: ideal_gas(one, config), found)
    return ideal_gas(vibrations(atoms, calc, config, cache=cache), config)


def ideal_gas(found: VibrationsResult, config: ThermoConfig | None = None) -> ThermoResult:
    """Thermochemistry of a molecule whose vibrations are known.

    Translation, rotation, vibration and spin by :class:`ase.thermochemistry.IdealGasThermo`;
    imaginary modes are left out.

    Raises
    ------
    InputError
        When the symmetry number is not given and pymatgen not installed.
    """
    config = config or ThermoConfig()
    geometry = "linear" if found.linear else "nonlinear"
    if len(found.atoms) == 1:
        geometry = "monatomic"
    group, number = None, config.symmetry_number
    if number is None:
        group, number = point_group(found.atoms, config.symmetry_tolerance)
    energies, real = found.frequencies * units.invcm, found.frequencies[found.frequencies > 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that imaginary modes are left out is in ``messages``
        gas = IdealGasThermo(
            vib_energies=list(np.emath.sqrt(np.sign(energies)) * np.abs(energies)),
            geometry=geometry,
            potentialenergy=found.energy,
            atoms=found.atoms,
            symmetrynumber=number,
            spin=0.5 * (found.multiplicity - 1),
            ignore_imag_modes=True,
        )
    temperatures = np.array(config.temperatures)
    with np.errstate(over="ignore"):  # of vibrations that are frozen
        enthalpies = np.array([gas.get_enthalpy(t, verbose=False) for t in temperatures])
        entropies = np.array(
            [gas.get_entropy(t, config.pressure, verbose=False) for t in temperatures]
        )
    quasi = entropies + quasi_harmonic_change(real, temperatures, config.cutoff)
    changes = enthalpies - gas.get_enthalpy(REFERENCE, verbose=False)
    heat = found.heat_of_formation
    return ThermoResult(
        temperatures=temperatures,
        enthalpies=enthalpies,
        gibbs_energies=enthalpies - temperatures * entropies,
        gibbs_energies_quasi=enthalpies - temperatures * quasi,
        entropies=entropies,
        entropies_quasi=quasi,
        heat_capacities=heat_capacity(real, temperatures, geometry),
        enthalpy_changes=changes,
        heats_of_formation=None if heat is None else heat + changes,
        zero_point_energy=found.zero_point_energy,
        geometry=geometry,
        point_group=group,
        symmetry_number=number,
        messages=[*found.messages, *_doubts(found), *_cold(temperatures, entropies)],
        vibrations=found,
        config=config,
    )


def _doubts(found: VibrationsResult) -> list[str]:
    out = []
    if (found.frequencies < 0).any():
        out.append("imaginary modes are left out of the thermochemistry")
    if found.heat_of_formation is not None:
        out.append(
            "the energies of this method are fitted to heats of formation at 298 K and contain "
            "zero-point and thermal energies: H and G count them twice; use the heats of "
            "formation, and S"
        )
    return out


def _cold(temperatures: np.ndarray, entropies: np.ndarray) -> list[str]:
    """Where classical rotation and translation have lost their meaning."""
    if not (entropies < 0).any():
        return []
    return [
        f"the entropy at {temperatures[entropies < 0].max():g} K is negative: rotation and "
        "translation are classical here, which holds at higher temperatures"
    ]


def heat_capacity(frequencies: np.ndarray, temperatures: np.ndarray, geometry: str) -> np.ndarray:
    """Heat capacity at constant pressure (T,), eV/K, from frequencies (V,), cm-1."""
    classical = {"monatomic": 2.5, "linear": 3.5, "nonlinear": 4.0}[geometry]
    x = 0.5 * units.invcm * frequencies / (units.kB * temperatures[:, None])
    # x/sinh(x) overflows where it is zero to double precision
    x = np.minimum(x, 300.0)
    return units.kB * (classical + ((x / np.sinh(x)) ** 2).sum(1))


def quasi_harmonic_change(
    frequencies: np.ndarray, temperatures: np.ndarray, cutoff: float
) -> np.ndarray:
    """What Grimme's interpolation adds to the harmonic entropy, (T,), eV/K.

    Grimme, Chem. Eur. J. 18 (2012) 9955, equations 4 to 8: an oscillator of frequency w is mixed
    with a free rotor of the same frequency, with the weights 1/(1 + (cutoff/w)^4) and the rest.

    Parameters
    ----------
    frequencies : (V,) array
        Real ones, cm-1.
    """
    energies = units.invcm * frequencies
    thermal = units.kB * temperatures[:, None]
    x = energies / thermal
    with np.errstate(over="ignore"):
        oscillator = x / np.expm1(x) - np.log1p(-np.exp(-x))
    inertia = 0.5 * HBAR_SQUARED / energies  # h/(8 pi^2 c w)
    bounded = inertia * ROTOR / (inertia + ROTOR)
    rotor = 0.5 + 0.5 * np.log(2 * np.pi * bounded * thermal / HBAR_SQUARED)
    weight = 1.0 / (1.0 + (cutoff / frequencies) ** 4)
    return units.kB * ((1 - weight) * (rotor - oscillator)).sum(1)
