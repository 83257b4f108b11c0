"""The molecules of the reference set: geometry, charge, spin state and methods of each.

`all_entries()` is the whole set. No geometry is a stationary point of any method. Bonds that lie
exactly along an axis (`kind` "axis") are left as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule as g2_molecule
from ase.io import read

METHODS = ("MNDO", "AM1", "PM3")
BORON = 5  # no single-centre AM1 or PM3 parameters
# PM3's lowest UHF solution for the aluminium atom is not the s2p configuration: see README.md.
EXCLUDED = {("Al doublet", "PM3")}
DISPLACEMENT = 0.02  # standard deviation of the random displacements, Angstrom
DECIMALS = 10


@dataclass(frozen=True)
class Entry:
    """One molecule; `positions` in Angstrom, `uhf` asks for UHF although it is a singlet."""

    name: str
    kind: str
    numbers: list[int]
    positions: np.ndarray = field(repr=False)
    charge: int = 0
    multiplicity: int = 1
    uhf: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        available = ("MNDO",) if BORON in self.numbers else METHODS
        return tuple(method for method in available if (self.name, method) not in EXCLUDED)

    @property
    def unrestricted(self) -> bool:
        return self.uhf or self.multiplicity > 1


# From the G2 set in ASE, displaced.
CLOSED_SHELL = (
    "H2 H2O NH3 CH4 CO CO2 HCN C2H2 C2H4 C2H6 N2H4 H2O2 H2CO CH3OH CH3CH2OH HCOOH CH3COOH "
    "CH3CONH2 H3CNH2 CH3CN CH3NO2 N2O O3 C6H6 C5H5N C4H4O C4H4NH C4H4S bicyclobutane "
    "CF4 H2CF2 NF3 F2O HCl Cl2 ClF CH3Cl HCCl3 CH3COCl HOCl ClNO SH2 SO2 CS2 OCS CH3SH CH3SCH3 "
    "C2H6SO PH3 P2 PF3 SiH4 Si2H6 CH3SiH3 SiF4 SiCl4 SiO AlF3 AlCl3 BF3 BCl3"
)
CATIONS = {"H2O": 2, "NH3": 2, "C6H6": 2, "C2H4": 2, "CH3": 1, "NO": 1, "HCO": 1}
ANIONS = {"OH": 1, "CN": 1, "SH": 1, "CH3O": 1, "CH3S": 1, "NO2": 1, "NH2": 1, "O2": 2, "PH2": 1}
DOUBLETS = "CH3 NH2 OH CN NO NO2 HCO CH3CO CH3O C2H5 C3H9C C2H3 CCH SH CH3S ClO PH2 SiH3 Al Cl"
TRIPLETS = "O2 NH SO S2 CH2_s3B1d SiH2_s3B1d H2CO C2H4 O"
QUARTETS = "N P"
UHF_SINGLETS = ("H2O", "O3", "CH2_s1A1d")

# From `embedded.xyz`, not displaced: charge and multiplicity where they are not 0 and 1.
EMBEDDED_CHARGES = {
    "ammonium": 1,
    "hydronium": 1,
    "hydrazinium": 1,
    "phosphonium": 1,
    "tropylium": 1,
    "tert-butyl cation": 1,
    "guanidinium": 1,
    "formate": -1,
    "nitrate": -1,
    "dihydrogenphosphate": -1,
    "phenoxide": -1,
    "tetrahydroborate": -1,
}
EMBEDDED_MULTIPLICITIES = {"phenoxyl": 2, "allyl": 2, "peroxyl": 2}

# Diatomics placed along all six half axes: bond lengths in Angstrom, multiplicity, charge.
AXIS_DIATOMICS = {
    "HCl": (1.30, 1, 0),
    "CO": (1.15, 1, 0),
    "N2": (1.12, 1, 0),
    "PN": (1.51, 1, 0),
    "ClF": (1.66, 1, 0),
}
OTHER_DIATOMICS = {
    "HF": (0.94, 1, 0),
    "HBr": (1.45, 1, 0),
    "HI": (1.62, 1, 0),
    "F2": (1.39, 1, 0),
    "Br2": (2.25, 1, 0),
    "I2": (2.69, 1, 0),
    "ICl": (2.34, 1, 0),
    "BrF": (1.78, 1, 0),
    "AlF": (1.68, 1, 0),
    "Br": (0.0, 2, 0),
    "I": (0.0, 2, 0),
}
AXES = {"+x": (1, 0, 0), "-x": (-1, 0, 0), "+y": (0, 1, 0), "-y": (0, -1, 0), "+z": (0, 0, 1)}
AXES |= {"-z": (0, 0, -1)}


def all_entries() -> list[Entry]:
    """Every entry of the reference set; names are unique."""
    entries = [*_g2_entries(), *_embedded_entries(), *_built_entries(), *_axis_entries()]
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError("two reference molecules have the same name")
    return entries


def entries_and_methods() -> Iterator[tuple[Entry, str]]:
    """Every calculation of the reference set."""
    for entry in all_entries():
        for method in entry.methods:
            yield entry, method


def _entry(name: str, kind: str, atoms: Atoms, *, displace: bool = False, **state) -> Entry:
    positions = atoms.positions.copy()
    if displace:
        random = np.random.default_rng(zlib.crc32(name.encode()))
        positions += random.normal(scale=DISPLACEMENT, size=positions.shape)
    positions = positions.round(DECIMALS) + 0.0  # no negative zeros
    return Entry(name, kind, atoms.numbers.tolist(), positions, **state)


def _g2_entries() -> Iterator[Entry]:
    for name in CLOSED_SHELL.split():
        yield _entry(name, "closed_shell", g2_molecule(name), displace=True)
    for kind, group, charge, sign in (("cation", CATIONS, 1, "+"), ("anion", ANIONS, -1, "-")):
        for name, spin in group.items():
            state = {"charge": charge, "multiplicity": spin}
            yield _entry(f"{name}{sign}", kind, g2_molecule(name), displace=True, **state)
    spins = (("doublet", DOUBLETS, 2), ("triplet", TRIPLETS, 3), ("quartet", QUARTETS, 4))
    for label, names, spin in spins:
        for name in names.split():
            atoms = g2_molecule(name)
            yield _entry(f"{name} {label}", "radical", atoms, displace=True, multiplicity=spin)
    for name in UHF_SINGLETS:
        yield _entry(f"{name} UHF", "uhf_singlet", g2_molecule(name), displace=True, uhf=True)


def _embedded_entries() -> Iterator[Entry]:
    for atoms in read(Path(__file__).with_name("embedded.xyz"), ":"):
        name = atoms.info["name"]
        charge = EMBEDDED_CHARGES.get(name, 0)
        multiplicity = EMBEDDED_MULTIPLICITIES.get(name, 1)
        kind = {1: "cation", -1: "anion"}.get(charge, "closed_shell")
        kind = "radical" if multiplicity > 1 else kind
        yield _entry(name, kind, atoms, charge=charge, multiplicity=multiplicity)


def _built_entries() -> Iterator[Entry]:
    """Molecules from literal coordinates."""
    hypervalent = {
        "PF5": Atoms("PF5", [(0, 0, 0), *_triangle(1.53), (0, 0, 1.58), (0, 0, -1.58)]),
        "SF6": Atoms("SF6", [(0, 0, 0), *(1.56 * np.array(list(AXES.values())))]),
        "AlH3": Atoms("AlH3", [(0, 0, 0), *_triangle(1.58)]),
        "BH3": Atoms("BH3", [(0, 0, 0), *_triangle(1.19)]),
        "B2H6": Atoms(
            "B2H6",
            [(0.885, 0, 0), (-0.885, 0, 0), (0, 0, 0.98), (0, 0, -0.98)]
            + [(x, y, 0) for x in (1.46, -1.46) for y in (1.04, -1.04)],
        ),
    }
    for name, atoms in hypervalent.items():
        yield _entry(name, "closed_shell", atoms, displace=True)
    for name, (length, spin, charge) in OTHER_DIATOMICS.items():
        kind = "closed_shell" if spin == 1 else "radical"
        atoms = _diatomic(name, length, (0.6, -0.48, 0.64))
        yield _entry(name, kind, atoms, charge=charge, multiplicity=spin)
    stretched = _diatomic("H2", 2.0, (0.6, -0.48, 0.64))
    yield _entry("H2 stretched UHF", "uhf_singlet", stretched, uhf=True)
    dimer = Atoms(
        "OH2OH2",
        [
            *((0, 0, 0), (0.96, 0, 0), (-0.24, 0.93, 0)),
            *((2.9, 0.1, 0), (3.2, 0.6, 0.75), (3.3, 0.5, -0.75)),
        ],
    )
    yield _entry("water dimer", "closed_shell", dimer)
    fluoride = Atoms("FH2O", [(2.45, 0.05, 0), (0.98, 0.0, 0.0), (-0.25, 0.92, 0.0), (0, 0, 0)])
    yield _entry("F-(H2O)", "anion", fluoride, charge=-1)
    water = g2_molecule("H2O")
    far = water.copy()
    far.positions += (9.9, 0.3, -0.2)
    yield _entry("two waters 10 A apart", "closed_shell", water + far)


def _triangle(radius: float) -> list[tuple[float, float, float]]:
    angles = np.radians([90, 210, 330])
    return [(radius * np.cos(angle), radius * np.sin(angle), 0.0) for angle in angles]


def _diatomic(formula: str, length: float, direction: tuple[float, float, float]) -> Atoms:
    atoms = Atoms(formula)
    atoms.positions[-1] = length * np.asarray(direction) if len(atoms) > 1 else 0.0
    return atoms


def _axis_entries() -> Iterator[Entry]:
    """Bonds exactly along an axis, or tilted from it by a little."""
    for name, (length, spin, charge) in AXIS_DIATOMICS.items():
        state = {"charge": charge, "multiplicity": spin}
        for axis, direction in AXES.items():
            yield _entry(f"{name} {axis}", "axis", _diatomic(name, length, direction), **state)
        for tilt in (1e-3, 1e-6):
            direction = (0.8 * np.sin(tilt), 0.6 * np.sin(tilt), -np.cos(tilt))
            atoms = _diatomic(name, length, direction)
            yield _entry(f"{name} -z tilted {tilt:.0e}", "axis", atoms, **state)
    for axis in ("+x", "+y", "+z"):
        direction = np.array(AXES[axis])
        atoms = Atoms("CO2", [(0, 0, 0), 1.18 * direction, -1.21 * direction])
        yield _entry(f"CO2 {axis}", "axis", atoms)
        atoms = g2_molecule("CH4")
        atoms.rotate(atoms.positions[1], direction)
        atoms.positions[1] = np.linalg.norm(atoms.positions[1]) * direction
        yield _entry(f"CH4 with a bond along {axis}", "axis", atoms)
    oxygen = _diatomic("O2", 1.22, (0, 0, 1))
    yield _entry("O2 triplet +z", "axis", oxygen, multiplicity=3)
