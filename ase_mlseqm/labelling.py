"""Reference energies and forces from density functional theory, computed with PySCF.

The defaults are the level of the data that the learned model is trained on: wB97X (Chai and
Head-Gordon, J. Chem. Phys. 128 (2008) 084106) in 6-31G* with Cartesian d functions, as in the
ANI-1x data (Smith et al., J. Chem. Phys. 148 (2018) 241733); Coulomb and exchange integrals by
density fitting in the auxiliary basis that PySCF assigns to the basis (cc-pVDZ-JKFIT).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .options import _positive, _positive_whole, _truth, _whole
from .units import BOHR, HARTREE

if TYPE_CHECKING:
    from ase import Atoms

    from .batch import Molecule

FOLLOWED = 6
"""Times that an unrestricted singlet is followed where it is unstable."""
LOWERED = 1e-6
"""What that has to lower the energy by, Hartree; otherwise the state was stable."""


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
    """2S + 1; default: what the atoms say, otherwise the lowest possible."""
    unrestricted: bool = False
    """Singlets: unrestricted, too, and stable; of stretched bonds the state of broken symmetry."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name, check in (
            ("grid", _whole),
            ("density_fitting", _truth),
            ("cartesian", _truth),
            ("tolerance", _positive),
            ("max_iterations", _positive_whole),
            ("unrestricted", _truth),
        ):
            object.__setattr__(self, name, check(name, getattr(self, name)))
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


def load_pyscf() -> Any:
    """The module ``pyscf``.

    Raises
    ------
    InputError
        When it is not installed.
    """
    # advice on where to find basis sets, also given where PySCF then finds one
    warnings.filterwarnings("ignore", message="Basis may be available")
    try:
        importlib.import_module("pyscf.dft")
        return importlib.import_module("pyscf")
    except ImportError as error:
        raise InputError(
            f'labels need PySCF ({error}): install it with pip install "ase-mlseqm[label]"'
        ) from None


def check_functional(name: str) -> None:
    """Raise :class:`InputError` unless PySCF knows the functional."""
    libxc = load_pyscf().dft.libxc
    try:
        libxc.parse_xc(name)
    except (KeyError, ValueError):
        raise InputError(f"PySCF knows no functional {name!r}: try wB97X, PBE0 or B3LYP") from None


def prepare(atoms: Atoms, settings: LabelSettings) -> Molecule:
    """The molecule, checked, with its multiplicity filled in.

    Raises
    ------
    InputError
        When it cannot be computed.
    """
    from ase.data import chemical_symbols

    from .atoms import molecule_from_atoms
    from .validate import check_geometry

    molecule = molecule_from_atoms(atoms, settings.charge, settings.multiplicity)
    check_geometry(molecule.numbers, molecule.positions)
    for number in sorted(set(molecule.numbers.tolist())):
        _core_potential(settings.basis, chemical_symbols[number])
    n_electrons = int(molecule.numbers.sum()) - molecule.charge
    if n_electrons < 1:
        raise InputError(f"charge {molecule.charge:+d} leaves no electrons")
    lowest = 1 + n_electrons % 2
    multiplicity = molecule.multiplicity or lowest
    if (multiplicity - lowest) % 2 or multiplicity - 1 > n_electrons:
        raise InputError(
            f"multiplicity {multiplicity} is impossible with {n_electrons} electrons (charge "
            f"{molecule.charge:+d}): give {lowest} or {lowest + 2}, or another charge"
        )
    return dataclasses.replace(molecule, multiplicity=multiplicity)


@functools.lru_cache
def _core_potential(basis: str, symbol: str) -> Any:
    """What the basis set of an element puts in the place of core electrons, None for nothing.

    Raises
    ------
    InputError
        When the element is not in the basis set.
    """
    library = load_pyscf().gto.basis
    try:
        library.load(basis, symbol)
    except (KeyError, RuntimeError):
        raise InputError(f"PySCF has no basis set {basis!r} for {symbol}") from None
    try:
        return library.load_ecp(basis, symbol) or None
    except (KeyError, RuntimeError):
        return None


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
    mf, iterations, solver = _solve(molecule, settings)
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
        converged=bool(mf.converged) and _aufbau(mf),
    )
    if not out.converged:
        return out
    occupied, levels = np.ravel(mf.mo_occ) > 0, np.ravel(mf.mo_energy) * HARTREE
    return dataclasses.replace(
        out,
        energy=float(mf.e_tot) * HARTREE,
        forces=-np.asarray(mf.nuc_grad_method().kernel()) * (HARTREE / BOHR),
        dipole=np.asarray(mf.dip_moment(unit="AU", origin=np.zeros(3), verbose=0)) * BOHR,
        charges=np.asarray(mf.mulliken_pop(verbose=0)[1]),
        homo=float(levels[occupied].max()),
        lumo=float(levels[~occupied].min()) if not occupied.all() else np.nan,
        spin_squared=float(mf.spin_square()[0]) if np.ndim(mf.mo_occ) > 1 else 0.0,
    )


def _aufbau(mf: Any) -> bool:
    """Whether no empty orbital is below an occupied one of its spin, as in a saddle point."""
    pairs = zip(np.atleast_2d(mf.mo_energy), np.atleast_2d(mf.mo_occ > 0), strict=True)
    return all(
        levels[filled].max(initial=-np.inf) <= levels[~filled].min(initial=np.inf)
        for levels, filled in pairs
    )


def _solve(molecule: Molecule, settings: LabelSettings) -> tuple[Any, int, str]:
    """PySCF's mean-field object after its SCF, the iterations, and the solver that ended it."""
    from ase.data import chemical_symbols

    pyscf = load_pyscf()
    assert molecule.multiplicity is not None
    symbols = [chemical_symbols[z] for z in molecule.numbers]
    potentials = {symbol: _core_potential(settings.basis, symbol) for symbol in set(symbols)}
    mol = pyscf.gto.M(
        atom=list(zip(symbols, (molecule.positions / BOHR).tolist(), strict=True)),
        unit="Bohr",
        basis=settings.basis,
        ecp={symbol: potential for symbol, potential in potentials.items() if potential},
        cart=settings.cartesian,
        charge=molecule.charge,
        spin=molecule.multiplicity - 1,
        verbose=0,
    )
    if settings.unrestricted and molecule.multiplicity == 1 and mol.nelectron < 2 * mol.nao:
        return _broken_symmetry(mol, settings)
    return _iterate(_mean_field(mol, settings, unrestricted=molecule.multiplicity > 1))


def _mean_field(mol: Any, settings: LabelSettings, unrestricted: bool) -> Any:
    """PySCF's mean-field object before its SCF."""
    dft = load_pyscf().dft
    mf = (dft.UKS if unrestricted else dft.RKS)(mol, xc=settings.functional)
    if settings.density_fitting:
        mf = mf.density_fit()
    mf.grids.level = settings.grid
    mf.conv_tol = settings.tolerance
    mf.max_cycle = settings.max_iterations
    mf.chkfile = None  # no file that a killed run would leave behind
    return mf


def _iterate(mf: Any, density: Any = None) -> tuple[Any, int, str]:
    """The object after its SCF, the iterations, and the solver that ended it."""
    mf.kernel(density)
    if mf.converged:
        return mf, mf.cycles, "diis"
    iterations = mf.cycles
    orbitals = mf.mo_coeff, mf.mo_occ
    mf = mf.newton()
    mf.kernel(*orbitals)
    return mf, iterations + mf.cycles, "newton"


def _broken_symmetry(mol: Any, settings: LabelSettings) -> tuple[Any, int, str]:
    """An unrestricted singlet that no small change of its orbitals lowers.

    The SCF starts from restricted orbitals whose highest occupied and lowest empty one are mixed,
    differently in both spins, and goes on where an instability lowers the energy (Seeger and
    Pople, J. Chem. Phys. 66 (1977) 3045): the bond that is stretched is often not that of the
    highest orbital.
    """
    rough = _mean_field(mol, dataclasses.replace(settings, tolerance=1e-4), unrestricted=False)
    rough.kernel()  # need not converge
    empty = mol.nelectron // 2
    both = rough.mo_coeff[:, [empty - 1, empty]] @ np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    orbitals = np.stack([rough.mo_coeff] * 2)
    orbitals[:, :, empty - 1] = both.T
    filled = np.stack([(rough.mo_occ > 0).astype(float)] * 2)
    iterations, solver = rough.cycles, "diis"
    best: Any = None
    for _ in range(FOLLOWED):
        mf = _mean_field(mol, settings, unrestricted=True)
        mf, cycles, ended = _iterate(mf, mf.make_rdm1(orbitals, filled))
        iterations += cycles
        # where one spin has no density, the second derivatives of a functional are noise
        if best is not None and not mf.e_tot < best.e_tot - LOWERED:
            break
        best, solver = mf, ended
        if not mf.converged:
            break
        orbitals, _, stable, _ = mf.stability(return_status=True)
        if stable:
            break
        filled = mf.mo_occ
    else:
        best.converged = False
    return best, iterations, solver
