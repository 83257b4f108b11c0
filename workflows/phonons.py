"""Phonons by phonopy's finite displacements: of crystals, and of molecules in a box."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.errors import InputError
from ase_mlseqm.units import WAVENUMBER

from .computed import Computed, computed, not_stationary
from .displacements import Displaced, Progress, default_step, displaced
from .foreign import foreign_errors
from .isotopes import check_masses
from .journal import Journal
from .md_config import has_field
from .normal_modes import imaginary_text
from .phonons_config import PhononsConfig, PhononsResult
from .phonopy_cells import forward_moves, phonopy_object, require_phonopy, supercell
from .relax_config import RelaxConfig
from .relax_history import StepCallback
from .settle import settled
from .several import Failure, attempt, one_or_many, structure, together
from .states import unusual


@overload
def phonons(
    atoms: Atoms,
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> PhononsResult: ...


@overload
def phonons(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> list[PhononsResult | Failure]: ...


def phonons(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
    relax_callback: StepCallback | None = None,
) -> PhononsResult | list[PhononsResult | Failure]:
    """Phonons of a crystal, or vibrations of a molecule as phonons at Gamma of a box around it.

    Parameters
    ----------
    atoms : ase.Atoms, or a list of them
        Start of the relaxation, or a stationary point; not changed.  Constraints hold during a
        relaxation and do not count in the phonons.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with forces; with :class:`~ase_mlseqm.MLSEQM` the displaced supercells
        of all structures of a list share batches.
    cache, callback, relax_callback : optional
        As for :func:`~.vibrations.vibrations`.

    Returns
    -------
    PhononsResult, or a list
        In the order of the list; an exception, of those below, for a structure that cannot be
        computed.  The others are not affected.

    Raises
    ------
    InputError
        When phonopy is not installed, the cell and the supercell do not fit, or MLSEQM is given a
        periodic cell.
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed.
    """
    settings = config or PhononsConfig()
    require_phonopy()  # before anything is computed
    if isinstance(calc, MLSEQM) and has_field(calc):
        settings = dataclasses.replace(settings, symmetry=False)  # the field has none of it
    relaxing = RelaxConfig(fmax=settings.fmax, max_steps=settings.max_steps)
    step = settings.step or default_step(calc)

    def compute(structures: Sequence[Any]) -> list[Any]:
        starts = attempt(lambda system: _start(system, calc, settings), structures)
        doubts: list[Any] = [[] for _ in starts]
        with Journal(cache) as journal:
            if settings.relax:
                starts, doubts = settled(starts, calc, relaxing, journal, relax_callback)
            points = together(lambda some: computed(some, calc), starts)
            cells = attempt(lambda point: _Cell(point, settings, step), points)
            found = together(lambda some: _displaced(some, calc, journal, callback), cells)
        return attempt(partial(_result, settings), cells, found, doubts)

    return one_or_many(compute, atoms, calc)


def _start(system: Any, calc: BaseCalculator, config: PhononsConfig) -> Atoms:
    work = structure(system).copy()
    check_masses(work)
    _check(work, config)
    if isinstance(calc, MLSEQM):  # it refuses what the Hamiltonian cannot do, now periodic cells
        molecule_from_atoms(work, calc.parameters["charge"], calc.parameters["multiplicity"])
    return work


class _Cell:
    """A structure, phonopy's object of it, and the displacements that this asks for."""

    def __init__(self, point: Computed, config: PhononsConfig, step: float) -> None:
        self.atoms, self.density = point.atoms, point.density
        if not self.atoms.pbc.any():  # a cell's would not be that of a supercell
            self.atoms.info |= unusual(self.atoms, point.charge, point.multiplicity)
        with foreign_errors():
            self.phonon = phonopy_object(point.atoms, config)
            self.moves = forward_moves(self.phonon, step)
            self.supercell = supercell(point.atoms, self.phonon)


def _displaced(
    cells: list[_Cell], calc: BaseCalculator, journal: Journal, callback: Progress | None
) -> list[Any]:
    moves, densities = [cell.moves for cell in cells], [cell.density for cell in cells]
    supercells = [cell.supercell for cell in cells]
    return displaced(supercells, calc, moves, journal, densities, callback)


def _result(
    config: PhononsConfig, cell: _Cell, found: Displaced, doubts: list[str]
) -> PhononsResult:
    atoms, phonon = cell.atoms, cell.phonon
    forces = found.forces.reshape(-1, *found.forces.shape[2:])
    phonon.forces = forces
    phonon.produce_force_constants(show_drift=False)
    if config.sum_rule:
        phonon.symmetrize_force_constants(show_drift=False)
    # at Gamma it is real
    points = phonon.run_qpoints([[0.0, 0.0, 0.0]], with_dynamical_matrices=True)
    assert points.dynamical_matrices is not None
    matrix = points.dynamical_matrices[0].real
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    result = PhononsResult(
        atoms=atoms,
        frequencies=WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values)),
        eigenvectors=vectors.T.reshape(-1, len(atoms), 3),
        force_constants=np.array(phonon.force_constants),
        calculations=len(forces),
        messages=[],
        config=config,
    )
    return dataclasses.replace(result, messages=[*doubts, *_doubts(result)])


def _check(atoms: Atoms, config: PhononsConfig) -> None:
    if atoms.pbc.any() and atoms.cell.rank < 3:
        raise InputError("phonons need a cell of three vectors: give a slab or chain a vacuum")
    for number, periodic in zip(config.supercell, atoms.pbc, strict=True):
        if number > 1 and not periodic:
            raise InputError(
                f"supercell is {config.supercell}: an axis that is not periodic is not repeated"
            )


def _doubts(result: PhononsResult) -> list[str]:
    out = not_stationary(result.max_force, result.config.fmax)
    count = len(result.imaginary)
    if count:
        listed, more = imaginary_text(result.imaginary[:3]), ", ..." if count > 3 else ""
        out.append(
            f"{count} imaginary at Gamma ({listed}{more} cm-1), so no minimum: relax further "
            "(a smaller fmax), or break the symmetry and relax again"
        )
    return out
