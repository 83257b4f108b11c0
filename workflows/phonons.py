"""Phonons by phonopy's finite displacements: of crystals, and of molecules in a box."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.errors import InputError
from ase_mlseqm.parts import parts
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import BATCHED_STEP, FOREIGN_STEP
from .many import Many
from .normal_modes import WAVENUMBER
from .phonons_config import PhononsConfig, PhononsResult
from .phonopy_cells import displaced, phonopy_object
from .relax import RelaxConfig, StepCallback
from .several import (
    Failure,
    attempt,
    computed,
    not_stationary,
    one_or_many,
    settled,
    together,
)


@overload
def phonons(
    atoms: Atoms,
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    relax_callback: StepCallback | None = None,
) -> PhononsResult: ...


@overload
def phonons(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    relax_callback: StepCallback | None = None,
) -> list[PhononsResult | Failure]: ...


def phonons(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    relax_callback: StepCallback | None = None,
) -> PhononsResult | list[PhononsResult | Failure]:
    """Phonons of a crystal, or vibrations of a molecule as phonons at Gamma of a box around it.

    Parameters
    ----------
    atoms : ase.Atoms, or a list of them
        Start of the relaxation, or a stationary point; not changed.  Constraints hold during a
        relaxation and do not count in the phonons.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with forces; with :class:`~ase_mlseqm.MLSEQM` all displaced supercells,
        of all structures of a list, are one batch.
    relax_callback : callable, optional
        Called with (step, energy in eV, largest force in eV/Angstrom); not for structures that are
        relaxed together.

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
    if isinstance(calc, MLSEQM) and calc.parameters["field"] is not None:
        settings = dataclasses.replace(settings, symmetry=False)  # the field has none of it
    relaxing = RelaxConfig(fmax=settings.fmax, max_steps=settings.max_steps)
    step = settings.step or (BATCHED_STEP if isinstance(calc, MLSEQM) else FOREIGN_STEP)

    def compute(structures: Sequence[Any]) -> list[Any]:
        starts = attempt(lambda structure: _start(structure, calc, settings), structures)
        doubts: list[Any] = [[] for _ in starts]
        if settings.relax:
            starts, doubts = settled(starts, calc, relaxing, relax_callback)
        points = together(lambda some: computed(some, calc), starts)
        cells = attempt(lambda point: _displaced(point.atoms, settings, step), points)
        forces = together(lambda some: _forces(some, calc), cells)
        return attempt(
            lambda point, cell, found, doubt: _result(point.atoms, cell[0], found, doubt, settings),
            *(points, cells, forces, doubts),
        )

    return one_or_many(compute, atoms, calc)


def _start(structure: Any, calc: BaseCalculator, config: PhononsConfig) -> Atoms:
    work = as_atoms(structure).copy()
    _check(work, config)
    if isinstance(calc, MLSEQM):  # it refuses what the Hamiltonian cannot do, now periodic cells
        molecule_from_atoms(work, calc.parameters["charge"], calc.parameters["multiplicity"])
    return work


def _displaced(atoms: Atoms, config: PhononsConfig, step: float) -> tuple[Any, list[Atoms]]:
    """phonopy's object and the displaced supercells."""
    phonon = phonopy_object(atoms, config)
    phonon.generate_displacements(distance=step, is_plusminus=True, is_diagonal=False)
    return phonon, displaced(atoms, phonon)


def _forces(cells: list[tuple[Any, list[Atoms]]], calc: BaseCalculator) -> list[Any]:
    """Forces (displacements, S, 3) on the displaced supercells of every structure."""
    from ase_mlseqm.derivatives import HELD  # torch comes with it

    structures = [atoms for _, chosen in cells for atoms in chosen]
    precise, errors = _precise(calc), []
    orbitals = [np.where(atoms.numbers > 1, 4, 1).sum() for atoms in structures]
    for part in parts(structures, [float(n) ** 2 for n in orbitals], HELD):
        errors += Many(precise).attempt(part)  # a new one each: it holds the densities
    left = iter(errors)

    def forces(cell: tuple[Any, list[Atoms]]) -> np.ndarray:
        failures = list(itertools.islice(left, len(cell[1])))
        for index, error in enumerate(failures):
            if error is not None:
                raise type(error)(f"structure {index}: {error}")
        return np.array([atoms.get_forces() for atoms in cell[1]])

    return attempt(forces, cells)


def _result(
    atoms: Atoms, phonon: Any, forces: np.ndarray, doubts: list[str], config: PhononsConfig
) -> PhononsResult:
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
    if not len(atoms):
        raise InputError("there are no atoms to compute the phonons of")
    if atoms.pbc.any() and atoms.cell.rank < 3:
        raise InputError("phonons need a cell of three vectors: give a slab or chain a vacuum")
    for number, periodic in zip(config.supercell, atoms.pbc, strict=True):
        if number > 1 and not periodic:
            raise InputError(
                f"supercell is {config.supercell}: an axis that is not periodic is not repeated"
            )


def _precise(calc: BaseCalculator) -> BaseCalculator:
    """The calculator for displaced structures: their differences are divided by a small step."""
    if not isinstance(calc, MLSEQM):
        return calc
    from ase_mlseqm.derivatives import TIGHT  # torch comes with it

    tolerance = min(TIGHT, calc.parameters["tolerance"] or TIGHT)
    return MLSEQM(**{**calc.parameters, "tolerance": tolerance})


def _doubts(result: PhononsResult) -> list[str]:
    out = not_stationary(result.max_force, result.config.fmax)
    if len(result.imaginary):
        listed = ", ".join(f"{-value:.1f}i" for value in result.imaginary[:3])
        out.append(
            f"{len(result.imaginary)} imaginary at Gamma ({listed}"
            f"{', ...' if len(result.imaginary) > 3 else ''} cm-1), so no minimum: relax further "
            "(a smaller fmax), or break the symmetry and relax again"
        )
    return out
