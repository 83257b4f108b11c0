"""Vibrations of a molecule: frequencies, normal modes, infrared intensities."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import Progress, second_derivatives
from .isotopes import isotope_masses, isotope_name
from .normal_modes import infrared_intensities, normal_modes
from .raman import polarizability, raman_activities
from .relax import RelaxConfig, StepCallback, frozen, relax
from .vibrations_config import VibrationsConfig, VibrationsResult

__all__ = [
    "VibrationsConfig",
    "VibrationsResult",
    "harmonic",
    "isotope_masses",
    "isotope_name",
    "mode_frames",
    "vibrations",
]


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
        For a periodic structure, a mass that makes no sense, or Raman activities with another
        calculator than MLSEQM.
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
    found = harmonic(work, calc, config, cache=cache, callback=callback)
    for _ in range(config.follow):
        if not len(found.imaginary):
            break
        start = relaxed(_pushed(found, calc))
        found = harmonic(start, calc, config, cache=cache, callback=callback)
    return dataclasses.replace(found, messages=[*doubts, *found.messages])


def harmonic(
    atoms: Atoms,
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
) -> VibrationsResult:
    """Vibrations at the geometry and with the masses of ``atoms``; otherwise as ``vibrations``."""
    config = config or VibrationsConfig()
    work = atoms.copy()
    work.set_constraint()
    work.calc = calc
    work.get_forces()
    stationary = frozen(work)
    charge, multiplicity, heat = _state(work)
    found = second_derivatives(work, calc, config.step, cache=cache, callback=callback)
    modes = normal_modes(found.hessian, work.positions, work.get_masses())
    slopes = found.dipole_derivatives
    alpha = polarizability(work, calc) if config.raman else None
    raman, ratios = None, None
    if alpha is not None:
        raman, ratios = raman_activities(modes.modes, modes.reduced_masses, alpha.derivatives)
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
        polarizability=None if alpha is None else alpha.tensor,
        polarizability_derivatives=None if alpha is None else alpha.derivatives,
        raman_activities=raman,
        depolarisation_ratios=ratios,
        messages=[],
        config=config,
    )
    return dataclasses.replace(result, messages=_doubts(result))


def _state(atoms: Atoms) -> tuple[int, int, float | None]:
    """Charge, multiplicity, and heat of formation where the energy implies one."""
    if isinstance(atoms.calc, MLSEQM):
        point = atoms.calc.unfinished
        assert point is not None
        return point.charge, point.multiplicity, point.heat_of_formation
    charge, multiplicity = charge_and_multiplicity(atoms)
    return charge, multiplicity or 1 + (int(atoms.numbers.sum()) - charge) % 2, None


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
