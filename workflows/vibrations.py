"""Vibrations of a molecule: frequencies, normal modes, infrared intensities."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import require_not_negative, require_positive
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import Progress, second_derivatives
from .normal_modes import infrared_intensities, normal_modes
from .relax import RelaxConfig, StepCallback, frozen, relax

NAMED_ISOTOPES = {"D": (1, 2.01410177812), "T": (1, 3.01604928199)}
"""Atomic number and mass, u."""


@dataclasses.dataclass(frozen=True)
class VibrationsConfig:
    """Settings of vibrations."""

    relax: bool = True
    """Relax first; switch it off for a transition state."""
    fmax: float = 0.001
    """Largest force of a stationary point, eV/Angstrom: the relaxation ends there, and above it
    is a warning."""
    max_steps: int = 500
    """Steps after which a relaxation is given up."""
    follow: int = 0
    """How often a structure with imaginary modes is displaced along the first of them and relaxed
    again."""
    push: float = 0.1
    """Largest displacement of an atom along that mode, Angstrom."""
    step: float | None = None
    """Displacement for the derivatives, Angstrom; default: 0.001, with calculators other than
    MLSEQM 0.01."""
    isotopes: tuple[str, ...] = ()
    """Masses, u, of single atoms (counted from zero) or elements, such as 0=13.00335,H=D."""

    def __post_init__(self) -> None:
        require_positive(self, "fmax", "push", "step")
        require_not_negative(self, "max_steps", "follow")


@dataclasses.dataclass(frozen=True)
class VibrationsResult:
    """Vibrations of a molecule with A atoms and V modes (3A - 6; linear 3A - 5; an atom none).

    Attributes
    ----------
    atoms : ase.Atoms
        The structure, with the masses that were used and its energy, forces and dipole.
    multiplicity, charge : int
        Of the calculation; with calculators that do not say, those of ``atoms.info`` or the
        lowest possible ones.
    heat_of_formation : float or None
        At 298 K, eV: only with MNDO, AM1 and PM3, whose energies contain zero-point and thermal
        energies.
    frequencies : (V,) array
        Ascending, cm-1; imaginary ones are negative numbers.
    modes : (V, A, 3) array
        Cartesian displacements of length one.
    reduced_masses : (V,) array
        u.
    intensities : (V,) array or None
        km/mol; None where the calculator has no dipoles.
    unprojected : (3A,) array
        Frequencies with translations and rotations left in, cm-1.
    linear : bool
    hessian : (3A, 3A) array
        eV/Angstrom^2.
    dipole_derivatives : (3A, 3) array or None
        e.
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    config : VibrationsConfig
    """

    atoms: Atoms
    charge: int
    multiplicity: int
    heat_of_formation: float | None
    frequencies: np.ndarray
    modes: np.ndarray
    reduced_masses: np.ndarray
    intensities: np.ndarray | None
    unprojected: np.ndarray
    linear: bool
    hessian: np.ndarray
    dipole_derivatives: np.ndarray | None
    messages: list[str]
    config: VibrationsConfig

    @property
    def energy(self) -> float:
        """Potential energy, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def max_force(self) -> float:
        """Largest force on any atom, without constraints, eV/Angstrom."""
        return _max_force(self.atoms)

    @property
    def imaginary(self) -> np.ndarray:
        """The imaginary frequencies, as negative numbers, cm-1."""
        return self.frequencies[self.frequencies < 0]

    @property
    def zero_point_energy(self) -> float:
        """Half of the sum of the real frequencies, eV."""
        return 0.5 * units.invcm * float(self.frequencies[self.frequencies > 0].sum())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, of which :meth:`from_dict` makes the result again."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self)[1:-1]:
            value = getattr(self, field.name)
            out[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        results = self.atoms.calc.results
        return {
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "masses": self.atoms.get_masses().tolist(),
            "energy": self.energy,
            "forces": results["forces"].tolist(),
            "max_force": self.max_force,
            "zero_point_energy": self.zero_point_energy,
            "n_imaginary": len(self.imaginary),
            **out,
            "config": dataclasses.asdict(self.config),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> VibrationsResult:
        """The result in a dictionary of :meth:`to_dict`."""
        atoms = Atoms(stored["numbers"], stored["positions"], masses=stored["masses"])
        atoms.info |= {name: stored[name] for name in ("charge", "multiplicity")}
        atoms.calc = SinglePointCalculator(
            atoms, energy=stored["energy"], forces=np.array(stored["forces"])
        )
        values = {f.name: stored[f.name] for f in dataclasses.fields(cls)[1:-1]}
        for name, value in values.items():
            if isinstance(value, list) and name != "messages":
                values[name] = np.array(value)
        values["modes"] = values["modes"].reshape(-1, len(atoms), 3)
        config = stored["config"] | {"isotopes": tuple(stored["config"]["isotopes"])}
        names = [f.name for f in dataclasses.fields(VibrationsConfig)]
        return cls(atoms, **values, config=VibrationsConfig(**{n: config[n] for n in names}))


def vibrations(
    atoms: Atoms,
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> VibrationsResult:
    """Harmonic vibrations of one molecule.

    Parameters
    ----------
    atoms : ase.Atoms
        Start of the relaxation, or a stationary point; not changed.  Constraints hold during a
        relaxation and do not count in the vibrations.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with forces; with dipoles there are infrared intensities.
    cache : str or Path, optional
        File with the displaced results of a calculator other than MLSEQM, to go on from.
    callback, relax_callback : callable, optional
        Called with (done, all) displacements, and with (step, energy, largest force).

    Raises
    ------
    InputError
        For a periodic structure or a mass that makes no sense.
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed.
    """
    config, atoms = config or VibrationsConfig(), as_atoms(atoms)
    if atoms.pbc.any() or not len(atoms):
        raise InputError(
            "vibrations are those of a molecule: "
            + ("switch periodicity off (pbc=False)" if len(atoms) else "there are no atoms")
        )
    work = atoms.copy()
    work.set_masses(isotope_masses(atoms, config.isotopes))
    relaxing = RelaxConfig(fmax=config.fmax, max_steps=config.max_steps)
    doubts: list[str] = []

    def relaxed(start: Atoms) -> Atoms:
        outcome = relax(start, calc, relaxing, callback=relax_callback)
        doubts[:] = [] if outcome.converged else [f"the relaxation {outcome.message}"]
        return outcome.atoms

    if config.relax:
        work = relaxed(work)
    found = _analyse(work, calc, config, cache, callback)
    for _ in range(config.follow):
        if not len(found.imaginary):
            break
        found = _analyse(relaxed(_pushed(found, calc)), calc, config, cache, callback)
    return dataclasses.replace(found, messages=[*doubts, *found.messages])


def isotope_masses(atoms: Atoms, isotopes: tuple[str, ...]) -> np.ndarray:
    """Masses (A,), u, those of ``atoms`` with the given changes (see VibrationsConfig)."""
    masses = atoms.get_masses()
    for text in isotopes:
        which, _, value = (part.strip() for part in text.partition("="))
        number, mass = NAMED_ISOTOPES.get(value, (None, None))
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


def _analyse(
    atoms: Atoms,
    calc: BaseCalculator,
    config: VibrationsConfig,
    cache: str | Path | None,
    callback: Progress | None,
) -> VibrationsResult:
    """Vibrations at the geometry of ``atoms``."""
    work = atoms.copy()
    work.set_constraint()
    work.calc = calc
    work.get_forces()
    stationary = frozen(work)
    charge, multiplicity, heat = _state(work)
    found = second_derivatives(work, calc, config.step, cache=cache, callback=callback)
    modes = normal_modes(found.hessian, work.positions, work.get_masses())
    slopes = found.dipole_derivatives
    result = VibrationsResult(
        atoms=stationary,
        charge=charge,
        multiplicity=multiplicity,
        heat_of_formation=heat,
        frequencies=modes.frequencies,
        modes=modes.modes,
        reduced_masses=modes.reduced_masses,
        intensities=None if slopes is None else infrared_intensities(modes, slopes),
        unprojected=modes.unprojected,
        linear=modes.linear,
        hessian=found.hessian,
        dipole_derivatives=slopes,
        messages=[],
        config=config,
    )
    return dataclasses.replace(result, messages=_doubts(result))


def _state(atoms: Atoms) -> tuple[int, int, float | None]:
    """Charge, multiplicity, and heat of formation where the energy implies one."""
    if isinstance(atoms.calc, MLSEQM):
        point = atoms.calc.singlepoint
        assert point is not None
        return point.charge, point.multiplicity, point.heat_of_formation
    charge, multiplicity = charge_and_multiplicity(atoms)
    return charge, multiplicity or 1 + (int(atoms.numbers.sum()) - charge) % 2, None


def _max_force(atoms: Atoms) -> float:
    return float(np.linalg.norm(atoms.calc.results["forces"], axis=1).max(initial=0.0))


def _doubts(result: VibrationsResult) -> list[str]:
    out = []
    if result.max_force > result.config.fmax:
        out.append(
            f"the largest force is {result.max_force:.2g} eV/Angstrom, above "
            f"{result.config.fmax:g}: this is no stationary point and its frequencies mean "
            "little; relax it with this method first"
        )
    count = len(result.imaginary)
    if count:
        listed = ", ".join(f"{-value:.1f}i" for value in result.imaginary[:3])
        more = ", ..." if count > 3 else ""
        out.append(
            f"{count} imaginary mode{'s' if count > 1 else ''} ({listed}{more} cm-1), so no "
            "minimum: relax further (a smaller fmax), or displace along the first and relax "
            "again (follow=1)"
        )
    return out


def _pushed(result: VibrationsResult, calc: BaseCalculator) -> Atoms:
    """The structure displaced along its first mode, to the side of the lower energy."""
    mode = result.modes[0]
    mode = mode * result.config.push / np.linalg.norm(mode, axis=1).max()
    sides = []
    for sign in (1.0, -1.0):
        atoms = result.atoms.copy()
        atoms.positions += sign * mode
        atoms.calc = calc
        sides.append((float(atoms.get_potential_energy()), sign, atoms))
    return min(sides, key=lambda side: side[:2])[2]


def mode_frames(result: VibrationsResult, index: int, frames: int = 20) -> list[Atoms]:
    """One period of a mode, a quarter of an Angstrom at most, for an animation.

    ``info`` holds the number, frequency (cm-1) and intensity (km/mol) of the mode.
    """
    mode = result.modes[index]
    mode = 0.25 * mode / np.linalg.norm(mode, axis=1).max()
    out = []
    for phase in 2 * np.pi * np.arange(frames) / frames:
        atoms = Atoms(result.atoms.numbers, result.atoms.positions + np.sin(phase) * mode)
        atoms.info = {"mode": index, "frequency": float(result.frequencies[index])}
        if result.intensities is not None:
            atoms.info["intensity"] = float(result.intensities[index])
        atoms.arrays["mode"] = result.modes[index].copy()
        out.append(atoms)
    return out


def isotope_name(number: int, mass: float) -> str:
    """Symbol of an atom; with its mass number where the mass is not the standard one."""
    for name, (z, known) in NAMED_ISOTOPES.items():
        if z == number and abs(mass - known) < 0.01:
            return name
    standard = Atoms([number]).get_masses()[0]
    symbol = chemical_symbols[number]
    return symbol if abs(mass - standard) < 0.01 else f"{round(mass)}{symbol}"
