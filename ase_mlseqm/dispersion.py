"""London dispersion, which neither PM3 nor wB97X/6-31G* has: D3 and D4 of Grimme and coworkers.

J. Chem. Phys. 132 (2010) 154104 (D3), J. Comput. Chem. 32 (2011) 1456 (D3 with rational damping),
J. Chem. Phys. 150 (2019) 154122 (D4), computed by the libraries s-dftd3 and dftd4.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from .batch import Molecule
from .errors import InputError
from .results import SinglePoint
from .units import BOHR, HARTREE

KINDS = ("d3bj", "d3zero", "d4")


@dataclasses.dataclass(frozen=True)
class Dispersion:
    """A correction with the damping that was fitted for a density functional.

    Attributes
    ----------
    functional : str
        The functional as the library calls it, as in wb97x.
    kind : str
        d3bj (rational damping), d3zero (zero damping) or d4.
    """

    functional: str
    kind: str

    @classmethod
    def named(cls, name: str) -> Dispersion:
        """From a name like 'wb97x-d3bj'.

        Raises
        ------
        InputError
            When the kind or the functional is unknown, or the library is not installed.
        """
        functional, _, kind = name.lower().rpartition("-")
        if not functional or kind not in KINDS:
            raise InputError(
                f"unknown dispersion {name!r}: give a functional and one of {', '.join(KINDS)}, "
                "as in wb97x-d3bj"
            )
        out = cls(functional, kind)
        try:
            out._library()
        except RuntimeError:
            raise InputError(
                f"there is no {kind} damping for the functional {functional!r}: give that of "
                "another, as in wb97x"
            ) from None
        return out

    @property
    def name(self) -> str:
        """What :meth:`named` takes."""
        return f"{self.functional}-{self.kind}"

    @property
    def package(self) -> str:
        """The package that computes it."""
        return _package(self.kind)

    def _library(self) -> tuple[Any, Any]:
        return _library(self.functional, self.kind)

    def energy_and_forces(self, molecule: Molecule) -> tuple[float, np.ndarray]:
        """Energy, eV, and forces (A, 3), eV/Angstrom."""
        model, damping = self._library()
        charge = {"charge": molecule.charge} if self.kind == "d4" else {}
        atoms = model(molecule.numbers, molecule.positions / BOHR, **charge)
        found = atoms.get_dispersion(damping, grad=True)
        return HARTREE * float(found["energy"]), -HARTREE / BOHR * found["gradient"]

    def added_to(self, point: SinglePoint, molecule: Molecule) -> SinglePoint:
        """The result with the correction in its energies and forces."""
        if not point.converged:
            return dataclasses.replace(point, dispersion=float("nan"))
        energy, forces = self.energy_and_forces(molecule)
        changes: dict[str, Any] = {"energy": point.energy + energy, "dispersion": energy}
        for field in ("atomization_energy", "heat_of_formation"):
            value = getattr(point, field)
            changes[field] = None if value is None else value + energy
        changes["forces"] = None if point.forces is None else point.forces + forces
        return dataclasses.replace(point, **changes)


def _package(kind: str) -> str:
    return "dftd4" if kind == "d4" else "dftd3"


@functools.cache
def _library(functional: str, kind: str) -> tuple[Any, Any]:
    """The library's class of molecules and its damping parameters."""
    try:
        if kind == "d4":
            from dftd4.interface import DampingParam, DispersionModel

            return DispersionModel, DampingParam(method=functional)
        from dftd3.interface import (
            DispersionModel,
            RationalDampingParam,
            ZeroDampingParam,
        )
    except ImportError:
        raise InputError(
            f"dispersion {functional}-{kind} needs {_package(kind)}: "
            "pip install 'ase-mlseqm[dispersion]'"
        ) from None
    damping = RationalDampingParam if kind == "d3bj" else ZeroDampingParam
    return DispersionModel, damping(method=functional)
