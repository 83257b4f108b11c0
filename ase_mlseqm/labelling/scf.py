"""PySCF's mean fields for reference labels: set up, iterated, and checked."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..units import BOHR

if TYPE_CHECKING:
    from ..batch import Molecule
    from . import LabelSettings

FOLLOWED = 6
"""Times that an unrestricted singlet is followed where it is unstable."""
LOWERED = 1e-6
"""What that has to lower the energy by, Hartree; otherwise the state was stable."""


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


@functools.lru_cache
def core_potential(basis: str, symbol: str) -> Any:
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
        raise InputError(
            f"PySCF has no basis set {basis!r} for {symbol}: give one that has it, as def2-SVP "
            "(--basis)"
        ) from None
    try:
        return library.load_ecp(basis, symbol) or None
    except (KeyError, RuntimeError):
        return None


def aufbau(mf: Any) -> bool:
    """Whether no empty orbital is below an occupied one of its spin, as in a saddle point."""
    pairs = zip(np.atleast_2d(mf.mo_energy), np.atleast_2d(mf.mo_occ > 0), strict=True)
    return all(
        levels[filled].max(initial=-np.inf) <= levels[~filled].min(initial=np.inf)
        for levels, filled in pairs
    )


def solve(molecule: Molecule, settings: LabelSettings) -> tuple[Any, int, str]:
    """PySCF's mean-field object after its SCF, the iterations, and the solver that ended it."""
    from ase.data import chemical_symbols

    pyscf = load_pyscf()
    assert molecule.multiplicity is not None
    symbols = [chemical_symbols[z] for z in molecule.numbers]
    potentials = {symbol: core_potential(settings.basis, symbol) for symbol in set(symbols)}
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
