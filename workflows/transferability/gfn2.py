"""GFN2-xTB by tblite (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15 (2019) 1652)."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import ground_state_magnetic_moments

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import BOHR, HARTREE

from ..states import state
from .methods import Method, Point

ACCURACY = 0.02
"""Of tblite's SCF: forces to 1e-5 eV/Angstrom."""
IPEA_SHIFT = 4.8455
"""eV per charge that the program xtb itself takes off GFN2-xTB's energies of ions, when it
computes ionization potentials and electron affinities."""


class GFN2(Method):
    """GFN2-xTB."""

    name = "GFN2-xTB"

    def __init__(self) -> None:
        try:
            import tblite.interface  # noqa: F401
        except ImportError:
            raise InputError(
                "GFN2-xTB needs tblite: pip install 'ase-mlseqm[peers]', or leave out --peer gfn2"
            ) from None
        parts = (importlib.metadata.version(name) for name in ("tblite", "ase-mlseqm"))
        # kept results of before have another atomization energy of ions
        self.identity = " ".join((self.name, *parts, f"{IPEA_SHIFT} eV per charge"))

    def calculator(self) -> BaseCalculator:
        """The calculator of tblite; it has no unrestricted singlets."""
        from tblite.ase import TBLite

        class Stated(TBLite):
            """With the charge and the multiplicity that the atoms state, which tblite's leaves."""

            def calculate(self, atoms: Atoms | None = None, *given: Any, **more: Any) -> None:
                if atoms is not None:
                    charge, multiplicity = _possible_state(atoms)
                    self.set(charge=float(charge), multiplicity=multiplicity)
                super().calculate(atoms, *given, **more)

        return Stated(method="GFN2-xTB", accuracy=ACCURACY, verbosity=0)

    def points(
        self,
        systems: Sequence[Atoms],
        properties: Sequence[str] = ("energy", "forces"),
        unrestricted: bool | None = None,
        done: Callable[[], None] | None = None,
    ) -> list[Point]:
        """One structure after the other."""
        out = []
        for atoms in systems:
            try:
                charge, multiplicity = _possible_state(atoms)
                out.append(gfn2_point(atoms.numbers, atoms.positions, charge, multiplicity - 1))
            except (InputError, RuntimeError, ValueError) as error:
                out.append(Point(failed=str(error)))
            if done is not None:
                done()
        return out


def _possible_state(atoms: Atoms) -> tuple[int, int]:
    """Charge and multiplicity; tblite would take another spin where there is no such state.

    Raises
    ------
    InputError
        When there is none.
    """
    charge, multiplicity = state(atoms)
    electrons = int(atoms.numbers.sum()) - charge
    if electrons % 2 == multiplicity % 2:
        raise InputError(
            f"multiplicity {multiplicity} is impossible with {electrons} electrons (charge "
            f"{charge:+d})"
        )
    return charge, multiplicity


def gfn2_point(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> Point:
    """One structure with GFN2-xTB.

    Parameters
    ----------
    numbers, positions : (A,) and (A, 3) arrays
        Angstrom.
    unpaired : int
        Electrons.

    Returns
    -------
    Point
        With :data:`IPEA_SHIFT` taken off ``atomization``, but not off ``energy``.

    Raises
    ------
    RuntimeError
        When the SCF does not converge.
    """
    found = _tblite(numbers, positions, charge, unpaired)
    energy = found.get("energy") * HARTREE
    isolated = sum(_isolated(int(z)) for z in numbers)
    return Point(
        energy,
        -found.get("gradient") * HARTREE / BOHR,
        found.get("dipole") * BOHR,
        found.get("charges"),
        _gap(found.get("orbital-energies"), found.get("orbital-occupations")),
        energy - isolated - IPEA_SHIFT * charge,
    )


def _gap(levels: np.ndarray, filled: np.ndarray) -> float:
    """eV; NaN of spin channels, which are not comparable, and without an empty level."""
    if np.ndim(filled) != 1:
        return np.nan
    highest = int(np.flatnonzero(filled > 0.5)[-1])
    gap = np.diff(levels[highest : highest + 2]) * HARTREE
    return float(gap[0]) if len(gap) else np.nan


def _tblite(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> Any:
    from tblite.interface import Calculator

    calculator = Calculator(
        "GFN2-xTB", numbers, positions / BOHR, charge=float(charge), uhf=unpaired
    )
    calculator.set("verbosity", 0)
    calculator.set("accuracy", ACCURACY)
    return calculator.singlepoint()


@functools.lru_cache(maxsize=128)
def _isolated(number: int) -> float:
    """Energy of the atom in its ground state, eV."""
    unpaired = round(ground_state_magnetic_moments[number])
    found = _tblite(np.array([number]), np.zeros((1, 3)), 0, unpaired)
    return float(found.get("energy") * HARTREE)
