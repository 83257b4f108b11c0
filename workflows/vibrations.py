"""Vibrations of a molecule: frequencies, normal modes, infrared intensities."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from .computed import Computed, computed
from .displacements import Progress
from .foreign import foreign_errors
from .harmonic import free_molecule, harmonic_many
from .isotopes import isotope_masses
from .journal import Journal
from .raman import require_field
from .relax_config import RelaxConfig
from .relax_history import StepCallback
from .settle import settled
from .several import Failure, attempt, one_or_many, together
from .states import unusual
from .vibrations_config import VibrationsConfig, VibrationsResult

__all__ = ["VibrationsConfig", "VibrationsResult", "mode_frames", "vibrations"]


@overload
def vibrations(
    atoms: Atoms,
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> VibrationsResult: ...


@overload
def vibrations(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> list[VibrationsResult | Failure]: ...


def vibrations(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> VibrationsResult | list[VibrationsResult | Failure]:
    """Harmonic vibrations of one molecule, or of every one in a list.

    Parameters
    ----------
    atoms : ase.Atoms, or a list of them
        Start of the relaxation, or a stationary point; not changed.  Constraints hold during a
        relaxation and do not count in the vibrations.  With :class:`~ase_mlseqm.MLSEQM` the
        molecules of a list are relaxed together and displaced together; any other calculator
        takes them in turn.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with forces; with dipoles there are infrared intensities.
    cache : str or Path, optional
        File that gets what is computed: relaxed structures, and displaced results in parts of a few
        seconds, with other calculators than MLSEQM one by one.  A run that was cut off goes on from
        it, and from a file of its name with ``.relaxation`` at the end.  It stays when all is done,
        and will do for many molecules.
    callback, relax_callback : callable, optional
        Called with (done, all) displacements, and with (step, energy, largest force); the latter
        not for molecules that are relaxed together.

    Returns
    -------
    VibrationsResult, or a list
        In the order of the list; an exception, of those below, for a molecule that cannot be
        computed.  The others are not affected.

    Raises
    ------
    InputError
        For a periodic structure, a mass that makes no sense, or Raman activities with another
        calculator than MLSEQM.
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed.
    """
    settings = config or VibrationsConfig()
    if settings.raman:
        require_field(calc)  # before anything is computed
    relaxing = RelaxConfig(fmax=settings.fmax, max_steps=settings.max_steps)

    def settle(starts: Sequence[Any], relax: bool, journal: Journal) -> list[Any]:
        """Vibrations, after a relaxation or not."""
        doubts = [[] for _ in starts]
        if relax:
            starts, doubts = settled(starts, calc, relaxing, journal, relax_callback)
        found = together(
            lambda some: harmonic_many(some, calc, settings, journal, callback), starts
        )
        found = attempt(_with_doubts, found, doubts)
        return attempt(_with_word_of_constraints, found, starts) if relax else found

    def compute(structures: Sequence[Any]) -> list[Any]:
        starts = attempt(lambda system: _start(system, settings), structures)
        with Journal(cache) as journal:
            found = settle(starts, settings.relax, journal)
            for _ in range(settings.follow):
                unstable = [
                    k
                    for k, one in enumerate(found)
                    if not isinstance(one, Exception) and one.imaginary.size
                ]
                pushed = _pushed([found[k] for k in unstable], [starts[k] for k in unstable], calc)
                for k, one in zip(unstable, settle(pushed, True, journal), strict=True):
                    found[k] = _followed(found[k], one)
        return found

    return one_or_many(compute, atoms, calc)


def _start(system: Any, config: VibrationsConfig) -> Atoms:
    """A copy of the molecule, with the masses of its isotopes."""
    atoms = free_molecule(system)
    work = atoms.copy()
    work.set_masses(isotope_masses(atoms, config.isotopes))
    return work


def _with_doubts(found: VibrationsResult, doubts: list[str]) -> VibrationsResult:
    return dataclasses.replace(found, messages=[*doubts, *found.messages])


def _with_word_of_constraints(found: VibrationsResult, start: Atoms) -> VibrationsResult:
    """Why a relaxed structure has forces."""
    if not start.constraints or found.max_force <= found.config.fmax:
        return found
    return _with_doubts(
        found, ["the relaxation was that of the constraints, of which the vibrations know nothing"]
    )


def _followed(before: VibrationsResult, found: VibrationsResult | Failure) -> VibrationsResult:
    """What is behind an imaginary mode, or where that cannot be computed what was before."""
    if isinstance(found, Exception):
        return _with_doubts(before, [f"behind the first mode nothing can be computed: {found}"])
    return found


def _pushed(
    results: Sequence[VibrationsResult], starts: Sequence[Atoms], calc: BaseCalculator
) -> list[Any]:
    """The structures displaced along their first modes as far as the constraints of the starts let
    them, each to the side of the lower energy."""

    def side(result: VibrationsResult, start: Atoms, sign: float) -> Atoms:
        mode = result.modes[0] * result.config.push / np.linalg.norm(result.modes[0], axis=1).max()
        atoms = result.atoms.copy()
        atoms.set_constraint(start.constraints)
        with foreign_errors():
            atoms.set_positions(atoms.positions + sign * mode)
        return atoms

    def lower(start: Atoms, one: Computed, other: Computed) -> Atoms:
        found = min((other.atoms, one.atoms), key=lambda atoms: atoms.get_potential_energy())
        found.set_constraint(start.constraints)
        return found

    count = len(starts)
    signs = [1.0] * count + [-1.0] * count
    moved = attempt(side, [*results, *results], [*starts, *starts], signs)
    found = together(lambda some: computed(some, calc), moved)  # both sides of all in one batch
    return attempt(lower, starts, found[:count], found[count:])


def mode_frames(result: VibrationsResult, index: int, frames: int = 20) -> list[Atoms]:
    """One period of a mode, a quarter of an Angstrom at most, for an animation.

    ``info`` holds the number, frequency (cm-1) and intensity (km/mol) of the mode, and charge and
    multiplicity where these are not zero and the lowest.
    """
    state = unusual(result.atoms, result.charge, result.multiplicity)
    mode = result.modes[index]
    mode = 0.25 * mode / np.linalg.norm(mode, axis=1).max()
    out = []
    for phase in 2 * np.pi * np.arange(frames) / frames:
        atoms = Atoms(
            result.atoms.numbers,
            result.atoms.positions + np.sin(phase) * mode,
            masses=result.atoms.arrays.get("masses"),
        )
        atoms.info = state | {"mode": index, "frequency": float(result.frequencies[index])}
        if result.intensities is not None:
            atoms.info["intensity"] = float(result.intensities[index])
        atoms.arrays["mode"] = result.modes[index].copy()
        out.append(atoms)
    return out
