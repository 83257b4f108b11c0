"""Phonons by phonopy's finite displacements: of crystals, and of molecules in a box."""

from __future__ import annotations

import dataclasses

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import BATCHED_STEP, FOREIGN_STEP
from .many import Many
from .normal_modes import WAVENUMBER
from .phonons_config import PhononsConfig, PhononsResult
from .phonopy_cells import displaced, phonopy_object
from .relax import RelaxConfig, StepCallback, frozen, relax


def phonons(
    atoms: Atoms,
    calc: BaseCalculator,
    config: PhononsConfig | None = None,
    *,
    relax_callback: StepCallback | None = None,
) -> PhononsResult:
    """Phonons of a crystal, or vibrations of a molecule as phonons at Gamma of a box around it.

    Parameters
    ----------
    atoms : ase.Atoms
        Start of the relaxation, or a stationary point; not changed.  Constraints hold during a
        relaxation and do not count in the phonons.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with forces; with :class:`~ase_mlseqm.MLSEQM` all displaced supercells
        are one batch.
    relax_callback : callable, optional
        Called with (step, energy in eV, largest force in eV/Angstrom).

    Raises
    ------
    InputError
        When phonopy is not installed, the cell and the supercell do not fit, or MLSEQM is given a
        periodic cell.
    ase.calculators.calculator.CalculatorError
        When a structure cannot be computed.
    """
    config, work = config or PhononsConfig(), as_atoms(atoms).copy()
    _check(work, config)
    if isinstance(calc, MLSEQM):  # it refuses what the Hamiltonian cannot do, now periodic cells
        molecule_from_atoms(work, calc.parameters["charge"], calc.parameters["multiplicity"])
        if calc.parameters["field"] is not None:
            config = dataclasses.replace(config, symmetry=False)  # the field has none of it
    messages: list[str] = []
    if config.relax:
        relaxing = RelaxConfig(fmax=config.fmax, max_steps=config.max_steps)
        outcome = relax(work, calc, relaxing, callback=relax_callback)
        messages += [] if outcome.converged else [f"the relaxation {outcome.message}"]
        work = outcome.atoms.copy()
    work.set_constraint()
    work.calc = calc
    work.get_forces()
    stationary = frozen(work)

    phonon = phonopy_object(stationary, config)
    step = config.step or (BATCHED_STEP if isinstance(calc, MLSEQM) else FOREIGN_STEP)
    phonon.generate_displacements(distance=step, is_plusminus=True, is_diagonal=False)
    structures = displaced(stationary, phonon)
    Many(_precise(calc))(structures)
    phonon.forces = np.array([structure.get_forces() for structure in structures])
    phonon.produce_force_constants(show_drift=False)
    if config.sum_rule:
        phonon.symmetrize_force_constants(show_drift=False)
    # at Gamma it is real
    points = phonon.run_qpoints([[0.0, 0.0, 0.0]], with_dynamical_matrices=True)
    assert points.dynamical_matrices is not None
    matrix = points.dynamical_matrices[0].real
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    result = PhononsResult(
        atoms=stationary,
        frequencies=WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values)),
        eigenvectors=vectors.T.reshape(-1, len(work), 3),
        force_constants=np.array(phonon.force_constants),
        calculations=len(structures),
        messages=messages,
        config=config,
    )
    return dataclasses.replace(result, messages=[*messages, *_doubts(result)])


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
    out = []
    if result.max_force > result.config.fmax:
        out.append(
            f"the largest force is {result.max_force:.2g} eV/Angstrom, above "
            f"{result.config.fmax:g}: this is no stationary point and its frequencies mean "
            "little; relax it with this method first"
        )
    if len(result.imaginary):
        listed = ", ".join(f"{-value:.1f}i" for value in result.imaginary[:3])
        out.append(
            f"{len(result.imaginary)} imaginary at Gamma ({listed}"
            f"{', ...' if len(result.imaginary) > 3 else ''} cm-1), so no minimum: relax further "
            "(a smaller fmax), or break the symmetry and relax again"
        )
    return out
