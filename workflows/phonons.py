"""Phonons by phonopy's finite displacements: of crystals, and of molecules in a box."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import require_not_negative, require_positive
from ase_mlseqm.pymatgen_io import as_atoms

from .hessians import BATCHED_STEP, FOREIGN_STEP
from .many import Many
from .normal_modes import WAVENUMBER
from .relax import RelaxConfig, StepCallback, frozen, relax

if TYPE_CHECKING:
    from phonopy import Phonopy

IMAGINARY = -30.0
"""cm-1; closer to zero than that, a negative one is a translation or rotation with an error."""


@dataclasses.dataclass(frozen=True)
class PhononsConfig:
    """Settings of phonons."""

    relax: bool = True
    """Relax the positions first; the cell stays as it is."""
    fmax: float = 0.001
    """Largest force of a stationary point, eV/Angstrom: the relaxation ends there, and above it
    is a warning."""
    max_steps: int = 500
    """Steps after which a relaxation is given up."""
    step: float | None = None
    """Displacement for the force constants, Angstrom; default: 0.001, with calculators other than
    MLSEQM 0.01."""
    supercell: tuple[int, ...] = (1, 1, 1)
    """Repetitions of a periodic cell along its three axes."""
    vacuum: float = 5.0
    """Between a molecule and the walls of its box, Angstrom; it is for phonopy alone, the forces
    are those of the free molecule."""
    symmetry: bool = True
    """Leave out displacements that follow from others by symmetry."""
    sum_rule: bool = True
    """Symmetrise the force constants, and let translations cost no energy."""

    def __post_init__(self) -> None:
        require_positive(self, "fmax", "step", "vacuum")
        require_not_negative(self, "max_steps")
        if len(self.supercell) != 3 or min(self.supercell) < 1:
            raise InputError(f"supercell is {self.supercell}: give three positive whole numbers")


@dataclasses.dataclass(frozen=True)
class PhononsResult:
    """Phonons of a cell, or of a molecule, with A atoms; its supercell has S of them.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure, with its energy and forces.
    frequencies : (3A,) array
        At Gamma, ascending, cm-1; imaginary ones are negative numbers.  Translations, and rotations
        of a molecule, are among them, close to zero.
    eigenvectors : (3A, A, 3) array
        Of the dynamical matrix at Gamma, one a frequency, of length one: displacements times the
        square root of the mass.
    force_constants : (S, S, 3, 3) array
        eV/Angstrom^2, in phonopy's order of the supercell's atoms.
    calculations : int
        Displaced supercells that were computed.
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    config : PhononsConfig
    """

    atoms: Atoms
    frequencies: np.ndarray
    eigenvectors: np.ndarray
    force_constants: np.ndarray
    calculations: int
    messages: list[str]
    config: PhononsConfig

    @property
    def energy(self) -> float:
        """Potential energy of ``atoms``, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def max_force(self) -> float:
        """Largest force on any atom, without constraints, eV/Angstrom."""
        forces = self.atoms.calc.results["forces"]
        return float(np.linalg.norm(forces, axis=1).max(initial=0.0))

    @property
    def imaginary(self) -> np.ndarray:
        """Imaginary frequencies that are more than numerical noise, as negative numbers, cm-1."""
        return self.frequencies[self.frequencies < IMAGINARY]

    def to_phonopy(self) -> Phonopy:
        """phonopy's own object with these force constants: bands, densities of states and more."""
        phonon = _phonopy(self.atoms, self.config)
        phonon.force_constants = self.force_constants
        return phonon

    def density_of_states(self, mesh: float = 50.0) -> tuple[np.ndarray, np.ndarray]:
        """Wavenumbers (cm-1) and density of states (modes of the cell per cm-1).

        Parameters
        ----------
        mesh : float
            Length that sets the density of q points, Angstrom.
        """
        from phonopy.physical_units import get_physical_units

        phonon, to_cm = self.to_phonopy(), get_physical_units().THzToCm
        phonon.run_mesh(mesh)
        phonon.run_total_dos()
        found = phonon.total_dos
        return found.frequency_points * to_cm, found.dos / to_cm

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, of which :meth:`from_dict` makes the result again."""
        return {
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "masses": self.atoms.get_masses().tolist(),
            "cell": self.atoms.cell.tolist(),
            "pbc": self.atoms.pbc.tolist(),
            "energy": self.energy,
            "forces": self.atoms.calc.results["forces"].tolist(),
            "max_force": self.max_force,
            "n_imaginary": len(self.imaginary),
            "frequencies": self.frequencies.tolist(),
            "eigenvectors": self.eigenvectors.tolist(),
            "force_constants": self.force_constants.tolist(),
            "calculations": self.calculations,
            "messages": self.messages,
            "config": dataclasses.asdict(self.config),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> PhononsResult:
        """The result in a dictionary of :meth:`to_dict`."""
        atoms = Atoms(**{k: stored[k] for k in ("numbers", "positions", "masses", "cell", "pbc")})
        forces = np.array(stored["forces"])
        atoms.calc = SinglePointCalculator(atoms, energy=stored["energy"], forces=forces)
        config = stored["config"] | {"supercell": tuple(stored["config"]["supercell"])}
        return cls(
            atoms=atoms,
            frequencies=np.array(stored["frequencies"]),
            eigenvectors=np.array(stored["eigenvectors"]),
            force_constants=np.array(stored["force_constants"]),
            calculations=stored["calculations"],
            messages=stored["messages"],
            config=PhononsConfig(**config),
        )


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

    phonon = _phonopy(stationary, config)
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


def displaced(atoms: Atoms, phonon: Phonopy) -> list[Atoms]:
    """The displaced supercells, in phonopy's order; a molecule keeps its place and has no cell."""
    supercell = phonon.supercell
    base = atoms.copy()
    if atoms.pbc.any():
        base = base[[supercell.u2u_map[index] for index in supercell.s2u_map]]
        base.set_cell(supercell.cell)
        base.positions = supercell.positions
    out = []
    for index, *vector in phonon.displacements:
        structure = base.copy()
        structure.positions[int(index)] += vector
        out.append(structure)
    return out


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


def _phonopy(atoms: Atoms, config: PhononsConfig) -> Phonopy:
    """phonopy's object of ``atoms``; a molecule is put in the middle of a cubic box."""
    try:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError:
        raise InputError(
            "phonons need phonopy: install it with pip install 'ase-mlseqm[phonons]'"
        ) from None
    cell, positions = atoms.cell.array, atoms.positions
    if not atoms.pbc.any():
        length = np.ptp(positions, axis=0).max() + 2 * config.vacuum
        cell = length * np.eye(3)
        positions = positions + 0.5 * (length - positions.max(0) - positions.min(0))
    moments = atoms.get_initial_magnetic_moments()
    unit = PhonopyAtoms(
        numbers=atoms.numbers,
        masses=atoms.get_masses(),
        positions=positions,
        cell=cell,
        magnetic_moments=moments if moments.any() else None,  # they have less symmetry
    )
    return Phonopy(
        unit,
        supercell_matrix=np.diag(config.supercell),
        primitive_matrix="P",
        is_symmetry=config.symmetry,
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
