"""Settings and result of phonons."""

from __future__ import annotations

import dataclasses
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.integrate import trapezoid

from ase_mlseqm.atoms import KEYS
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, require_not_negative, require_positive
from ase_mlseqm.summary import jsonable
from ase_mlseqm.units import WAVENUMBER

from .computed import ComputedAtoms
from .normal_modes import IMAGINARY, normal_modes
from .phonopy_cells import phonopy_object

if TYPE_CHECKING:
    from phonopy import Phonopy


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
    """Repetitions of a periodic cell along its three axes; above 1 with other calculators than
    MLSEQM only, so not on the command line."""
    vacuum: float = 5.0
    """Between a molecule and the walls of its box, Angstrom, at least 3; it is for phonopy alone,
    the forces are those of the free molecule."""
    symmetry: bool = True
    """Leave out displacements that follow from others by symmetry."""
    sum_rule: bool = True
    """Symmetrise the force constants, and let translations cost no energy."""

    def __post_init__(self) -> None:
        try:
            counts = tuple(operator.index(count) for count in self.supercell)
        except TypeError:
            counts = ()
        if len(counts) != 3 or min(counts) < 1:
            raise InputError(f"supercell is {self.supercell}: give three positive whole numbers")
        object.__setattr__(self, "supercell", counts)
        check_types(self)
        require_positive(self, "fmax", "step", "vacuum")
        require_not_negative(self, "max_steps")


@dataclasses.dataclass(frozen=True)
class PhononsResult(ComputedAtoms):
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
    def internal(self) -> np.ndarray:
        """Frequencies of a molecule without translations and rotations, which are projected out;
        all of a crystal, cm-1."""
        if self.atoms.pbc.any():
            return self.frequencies
        vectors = self.eigenvectors.reshape(len(self.frequencies), -1)
        values = np.sign(self.frequencies) * (self.frequencies / WAVENUMBER) ** 2
        masses = self.atoms.get_masses()
        root = np.sqrt(np.repeat(masses, 3))
        hessian = np.outer(root, root) * (vectors.T * values @ vectors)
        return normal_modes(hessian, self.atoms.positions, masses).frequencies

    @property
    def imaginary(self) -> np.ndarray:
        """Imaginary ones of ``internal`` beyond 20 cm-1, the noise, as negative numbers, cm-1."""
        found = self.internal
        return found[found < IMAGINARY]

    def to_phonopy(self) -> Phonopy:
        """phonopy's own object with these force constants: bands, densities of states and more."""
        phonon = phonopy_object(self.atoms, self.config)
        phonon.force_constants = self.force_constants
        return phonon

    def density_of_states(self, mesh: float = 50.0) -> tuple[np.ndarray, np.ndarray]:
        """Wavenumbers (cm-1) and density of states (modes of the cell per cm-1) of a crystal.

        It is that of tetrahedra between the q points.  Where bands are so narrow that these lose
        modes, every mode is a Gaussian of the width of three points.

        Parameters
        ----------
        mesh : float
            Length that sets the density of q points, Angstrom.

        Raises
        ------
        InputError
            For a molecule, and for a supercell of a single atom.
        """
        from phonopy.physical_units import get_physical_units

        if not self.atoms.pbc.any():
            raise InputError("a molecule has no bands: its frequencies are in `internal`")
        if len(self.force_constants) == 1:
            raise InputError(
                "a supercell of one atom has no force constants: give a larger one, such as "
                "supercell=(4, 4, 4)"
            )

        phonon, to_cm = self.to_phonopy(), get_physical_units().THzToCm
        # phonopy's symmetry does not know of isotopes
        kinds = {
            (z, round(m, 6))
            for z, m in zip(self.atoms.numbers, self.atoms.get_masses(), strict=True)
        }
        isotopes = len(kinds) > len(set(self.atoms.numbers.tolist()))
        phonon.run_mesh(mesh, is_mesh_symmetry=not isotopes)
        phonon.run_total_dos()
        found = phonon.total_dos
        number = trapezoid(found.dos, found.frequency_points)
        if abs(number / len(self.frequencies) - 1) > 0.02:
            pitch = found.frequency_points[1] - found.frequency_points[0]
            phonon.run_total_dos(sigma=1.5 * pitch, use_tetrahedron_method=False)
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
            "magmoms": self.atoms.get_initial_magnetic_moments().tolist(),
            "state": {name: jsonable(self.atoms.info.get(name)) for name in KEYS},
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
        names = ("numbers", "positions", "masses", "cell", "pbc", "magmoms")
        atoms = Atoms(**{name: stored[name] for name in names if name in stored})
        state = stored.get("state", {}).items()
        atoms.info = {name: value for name, value in state if value is not None}
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
