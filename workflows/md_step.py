"""A step of a trajectory: its line of the table, its frame, and the bounds that it must keep."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

from .geometry import widest_gap
from .isotopes import element_masses


class Row(NamedTuple):
    """A line of the table; a quantity that does not exist is nan."""

    step: float
    time_fs: float
    total_eV: float
    potential_eV: float
    kinetic_eV: float
    temperature_K: float
    conserved_eV: float
    widest_gap_A: float
    dipole_x_eA: float
    dipole_y_eA: float
    dipole_z_eA: float

    @classmethod
    def of(
        cls,
        atoms: Atoms,
        step: int,
        time_fs: float,
        potential: float,
        freedom: int,
        conserved: float | None,
        dipole: np.ndarray | None,
    ) -> Row:
        """That of atoms with their velocities, of which so many degrees of ``freedom`` move."""
        kinetic = float(atoms.get_kinetic_energy())
        x, y, z = np.full(3, np.nan) if dipole is None else dipole
        return cls(
            step=float(step),
            time_fs=time_fs,
            total_eV=potential + kinetic,
            potential_eV=potential,
            kinetic_eV=kinetic,
            temperature_K=2.0 * kinetic / (freedom * units.kB) if freedom else 0.0,
            conserved_eV=potential + kinetic if conserved is None else conserved,
            # a periodic cell is everywhere
            widest_gap_A=np.nan if atoms.pbc.any() else widest_gap(atoms.positions),
            dipole_x_eA=x,
            dipole_y_eA=y,
            dipole_z_eA=z,
        )

    def line(self) -> str:
        """Of a CSV file."""
        step, *values = self
        return ",".join((f"{step:.0f}", *(repr(float(value)) for value in values))) + "\n"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a trajectory must not exceed: temperature (K) and widest gap (Angstrom)."""

    temperature: float
    gap: float

    def broken(self, temperature: float, gap: float) -> str | None:
        """One sentence on what is out of bounds, if something is."""
        if not np.isfinite(temperature):
            return "the velocities are not finite numbers"
        if temperature > self.temperature:
            return f"too hot: {temperature:.0f} K, allowed are {self.temperature:.0f} K"
        if gap > self.gap:
            return f"flown apart: a gap of {gap:.2f} Angstrom, allowed are {self.gap:g} Angstrom"
        return None


def snapshot(atoms: Atoms, step: int, time_fs: float, **results: Any) -> Atoms:
    """Copy of ``atoms`` for a file, with its results, step and time (fs)."""
    copy = atoms.copy()
    copy.info |= {"step": step, "time_fs": time_fs}
    copy.calc = SinglePointCalculator(copy, **{k: v for k, v in results.items() if v is not None})
    return copy


def dipole_about_center_of_mass(
    dipole: np.ndarray | None, charge: int, atoms: Atoms
) -> np.ndarray | None:
    """The dipole moment of an ion, e*Angstrom, about the centre of the masses that move.

    Results have it about that of the elements' masses, which isotopes turn about the other one.
    """
    if dipole is None or not charge or "masses" not in atoms.arrays:
        return dipole
    mass = element_masses(atoms)
    center = mass @ atoms.positions / mass.sum()
    return dipole + charge * (center - atoms.get_center_of_mass())
