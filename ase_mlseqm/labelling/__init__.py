"""Reference energies and forces from density functional theory, computed with PySCF.

The defaults are the level of the data that the learned model is trained on: wB97X (Chai and
Head-Gordon, J. Chem. Phys. 128 (2008) 084106) in 6-31G* with Cartesian d functions, as in the
ANI-1x data (Smith et al., J. Chem. Phys. 148 (2018) 241733); Coulomb and exchange integrals by
density fitting in the auxiliary basis that PySCF assigns to the basis (cc-pVDZ-JKFIT).
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..options import check_types, positive_whole, require_positive
from ..units import BOHR, HARTREE
from .scf import aufbau, core_potential, load_pyscf, solve

if TYPE_CHECKING:
    from ase import Atoms

    from ..batch import Molecule

FIT = (
    "the Cartesian functions with which PySCF fits the density of some molecules are nearly "
    "dependent: forces came out right where this was tested; --no-density-fitting, or --spherical, "
    "which is another level, avoid it"
)
"""Said in the place of what scipy says of a matrix that it does not name."""


@dataclasses.dataclass(frozen=True)
class LabelSettings:
    """Level of theory, and charge and spin where the atoms do not say."""

    functional: str = "wB97X"
    """Exchange-correlation functional, by PySCF's name."""
    basis: str = "6-31G*"
    """Basis set, by PySCF's name."""
    grid: int = 3
    """Level of PySCF's integration grid, 0 (coarse) to 9."""
    density_fitting: bool = True
    """Fit the density in an auxiliary basis instead of computing all integrals."""
    cartesian: bool = True
    """Six Cartesian d functions instead of five spherical ones."""
    tolerance: float = 1e-9
    """SCF: change of the energy at convergence, Hartree."""
    max_iterations: int = 100
    """SCF: iterations, first of DIIS and then of a second-order solver."""
    charge: int | None = None
    """Total charge, e; default: what the atoms say, otherwise 0."""
    multiplicity: int | None = None
    """2S + 1; default: what the atoms say, otherwise the lowest possible, of a neutral free atom
    that of its ground state."""
    unrestricted: bool = False
    """Singlets: unrestricted, too, and stable; of stretched bonds the state of broken symmetry."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_types(self)
        require_positive(self, "tolerance")
        positive_whole("max_iterations", self.max_iterations)
        if self.multiplicity is not None:
            positive_whole("multiplicity", self.multiplicity)
        if not 0 <= self.grid <= 9:
            raise InputError(f"grid is {self.grid}: give a level from 0 to 9")
        if not self.functional.strip() or not self.basis.strip():
            raise InputError("functional and basis need a name, such as wB97X and 6-31G*")

    @property
    def method(self) -> str:
        """Functional and basis, as the field writes them."""
        return f"{self.functional}/{self.basis}"

    @property
    def level(self) -> str:
        """The level of theory in words."""
        words = ["PySCF", f"{'Cartesian' if self.cartesian else 'spherical'} d functions"]
        words += ["density fitting"] if self.density_fitting else []
        words += ["unrestricted"] if self.unrestricted else []
        return f"{self.method} ({', '.join(words)}, grid level {self.grid})"


@dataclasses.dataclass(frozen=True)
class Label:
    """Result for one molecule with A atoms; every number is NaN unless ``converged``.

    Attributes
    ----------
    energy : float
        Total energy, eV.
    forces : (A, 3) array
        Minus the gradient of ``energy``, eV/Angstrom, without the derivative of the integration
        grid (at level 3 some 1e-4 Hartree/Angstrom, which a finer grid removes).
    dipole : (3,) array
        About the origin of the coordinates, e*Angstrom.
    charges : (A,) array
        Mulliken charges, e.
    homo, lumo : float
        Highest occupied and lowest unoccupied orbital energy (of either spin), eV.
    spin_squared : float
        Expectation value of S^2 of the Kohn-Sham determinant.
    charge, multiplicity : int
        What was computed; unrestricted where the multiplicity is above one or it was asked for.
    iterations : int
        Of the SCF.
    solver : str
        ``"diis"``, or ``"newton"`` where the second-order solver was needed.
    program : str
        Name and version of the program.
    """

    energy: float
    forces: np.ndarray
    dipole: np.ndarray
    charges: np.ndarray
    homo: float
    lumo: float
    spin_squared: float
    charge: int
    multiplicity: int
    iterations: int
    solver: str
    program: str
    converged: bool

    @property
    def message(self) -> str:
        """One sentence on how it ended."""
        if self.converged:
            return f"converged in {self.iterations} iterations ({self.solver})"
        return (
            f"the SCF did not converge to a ground state in {self.iterations} iterations; try "
            "another geometry or multiplicity, or a larger max_iterations"
        )


def check_functional(name: str) -> None:
    """Raise :class:`InputError` unless PySCF knows the functional."""
    libxc = load_pyscf().dft.libxc
    try:
        libxc.parse_xc(name)
    except (KeyError, ValueError, NotImplementedError):
        raise InputError(f"PySCF knows no functional {name!r}: try wB97X, PBE0 or B3LYP") from None


def prepare(atoms: Atoms, settings: LabelSettings) -> Molecule:
    """The molecule, checked, with its multiplicity filled in.

    Raises
    ------
    InputError
        When it cannot be computed.
    """
    from ase.data import chemical_symbols

    from ..atoms import molecule_from_atoms
    from ..training.blocks import ground_state
    from ..validate import check_geometry

    molecule = molecule_from_atoms(atoms, settings.charge, settings.multiplicity)
    check_geometry(molecule.numbers, molecule.positions)
    for number in sorted(set(molecule.numbers.tolist())):
        core_potential(settings.basis, chemical_symbols[number])
    n_electrons = int(molecule.numbers.sum()) - molecule.charge
    if n_electrons < 1:
        raise InputError(f"charge {molecule.charge:+d} leaves no electrons")
    lowest = 1 + n_electrons % 2
    free = len(molecule.numbers) == 1 and not molecule.charge
    usual = ground_state(molecule.numbers[0]) if free else lowest
    multiplicity = molecule.multiplicity or usual
    if (multiplicity - lowest) % 2 or multiplicity - 1 > n_electrons:
        raise InputError(
            f"multiplicity {multiplicity} is impossible with {n_electrons} electrons (charge "
            f"{molecule.charge:+d}): give {lowest} or {lowest + 2}, or another charge"
        )
    return dataclasses.replace(molecule, multiplicity=multiplicity)


def label(atoms: Atoms, settings: LabelSettings = LabelSettings()) -> Label:
    """Energy, forces and properties of a molecule.

    Charge and multiplicity come from ``settings``, ``atoms.info`` and the arrays as in
    :func:`ase_mlseqm.atoms.charge_and_multiplicity`; open shells are unrestricted.

    Raises
    ------
    InputError
        When the molecule or the settings cannot be computed, or PySCF is not installed.
    """
    load_pyscf()
    check_functional(settings.functional)
    molecule = prepare(atoms, settings)
    try:
        return _compute(molecule, settings)
    except (RuntimeError, np.linalg.LinAlgError) as error:  # what PySCF cannot do
        raise InputError(f"PySCF cannot compute {settings.level}: {error}") from None


def _compute(molecule: Molecule, settings: LabelSettings) -> Label:
    mf, iterations, solver = solve(molecule, settings)
    n_atoms = len(molecule.numbers)
    assert molecule.multiplicity is not None
    out = Label(
        energy=np.nan,
        forces=np.full((n_atoms, 3), np.nan),
        dipole=np.full(3, np.nan),
        charges=np.full(n_atoms, np.nan),
        homo=np.nan,
        lumo=np.nan,
        spin_squared=np.nan,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        iterations=iterations,
        solver=solver,
        program=f"PySCF {load_pyscf().__version__}",
        converged=bool(mf.converged) and aufbau(mf),
    )
    if not out.converged:
        return out
    occupied, levels = np.ravel(mf.mo_occ) > 0, np.ravel(mf.mo_energy) * HARTREE
    return dataclasses.replace(
        out,
        energy=float(mf.e_tot) * HARTREE,
        forces=-_gradient(mf) * (HARTREE / BOHR),
        dipole=np.asarray(mf.dip_moment(unit="AU", origin=np.zeros(3), verbose=0)) * BOHR,
        charges=np.asarray(mf.mulliken_pop(verbose=0)[1]),
        homo=float(levels[occupied].max()),
        lumo=float(levels[~occupied].min()) if not occupied.all() else np.nan,
        spin_squared=float(mf.spin_square()[0]) if np.ndim(mf.mo_occ) > 1 else 0.0,
    )


def _gradient(mf: Any) -> np.ndarray:
    """Of the energy, (A, 3), Hartree/Bohr."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gradient = np.asarray(mf.nuc_grad_method().kernel())
    for warning in told:
        ill = "ill-conditioned matrix" in str(warning.message)
        warnings.warn(FIT if ill else warning.message, stacklevel=4)
    return gradient
