"""Settings and results of molecular dynamics, initial velocities, drift of the energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, ZeroRotation

from ase_mlseqm.atoms import KEYS
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, choose, require_positive
from ase_mlseqm.results import SinglePoint
from ase_mlseqm.summary import jsonable

from .constraints import removed_degrees
from .md_log import Files
from .md_step import Bounds
from .trajectory import FORMATS

ENSEMBLES = ("nve", "langevin", "bussi", "nose-hoover")


@dataclasses.dataclass(frozen=True)
class MDConfig:
    """Settings of molecular dynamics."""

    ensemble: str = "nve"
    """nve, langevin, bussi or nose-hoover."""
    temperature: float = 300.0
    """Of the initial velocities and the thermostat, K."""
    timestep: float = 0.5
    """Time step, fs."""
    steps: int = 1000
    """Number of steps, those of an earlier run that is continued included."""
    interval: int = 4
    """Steps between two frames of the trajectory."""
    format: str = "extxyz"
    """Of the trajectory: extxyz or h5md (HDF5; needs h5py)."""
    friction: float = 10.0
    """Friction of langevin, 1/ps."""
    coupling_time: float = 100.0
    """Time constant of bussi and nose-hoover, fs."""
    seed: int = 0
    """Of the initial velocities and the thermostat's random numbers."""
    keep_velocities: bool = False
    """Start with the velocities of the structure instead of random ones."""
    max_heating: float = 3.0
    """Stop above this multiple of the temperature, dimensionless (six standard deviations are
    added)."""
    max_gap: float = 6.0
    """Stop when atoms or fragments are further apart than this, Angstrom."""

    def __post_init__(self) -> None:
        check_types(self)
        choose(self, "ensemble", ENSEMBLES)
        choose(self, "format", FORMATS)
        require_positive(self, "timestep", "temperature", "friction", "coupling_time", "max_gap")
        if not self.max_heating > 1.0:
            raise InputError(f"max_heating is {self.max_heating}: give a number above 1")
        for name, least in (("steps", 1), ("interval", 1), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} is {value}: give {least} or more")

    @property
    def dt(self) -> float:
        """Time step in ASE's unit."""
        return self.timestep * units.fs

    def bounds(self, freedom: int) -> Bounds:
        """What a trajectory with this number of moving degrees must not exceed.

        Temperature fluctuates by sqrt(2 / freedom) of itself, much for small molecules.
        """
        spread = 1.0 + 6.0 * np.sqrt(2.0 / max(freedom, 1))
        return Bounds(self.max_heating * self.temperature * float(spread), self.max_gap)

    def identity(self, atoms: Atoms) -> dict[str, Any]:
        """What a run must share with a checkpoint to go on from it."""
        settings = dataclasses.asdict(self)
        for name in ("steps", "max_heating", "max_gap"):
            del settings[name]
        told = [str(atoms.info.get(name)) for name in KEYS]
        sums = [atoms.get_initial_charges().sum(), atoms.get_initial_magnetic_moments().sum()]
        momenta = atoms.get_momenta() if self.keep_velocities else np.zeros(0)
        return settings | {
            "atoms": atoms.numbers.tolist(),
            "positions": atoms.positions.round(8).tolist(),
            "masses": atoms.get_masses().tolist(),
            "velocities": momenta.round(8).tolist(),
            "charge or spin": [*told, *map(float, sums)],
            "cell": [atoms.cell.tolist(), atoms.pbc.tolist()],
            "constraints": [jsonable(c.todict()) for c in atoms.constraints],
        }


class End(Enum):
    """How a simulation ended."""

    COMPLETED = "all steps were made"
    STOPPED = "too hot, or flown apart"
    FAILED = "a structure could not be computed"
    INTERRUPTED = "Ctrl-C"


@dataclasses.dataclass(frozen=True)
class MDResult:
    """Outcome of a simulation.

    Attributes
    ----------
    atoms : ase.Atoms
        The last frame that could be computed, with velocities and results.
    end : End
    message : str
        One sentence on how it ended.
    table : dict
        Columns by name, one value a step: ``step``, ``time_fs``, ``total_eV``, ``potential_eV``,
        ``kinetic_eV``, ``temperature_K``, ``conserved_eV`` (of bussi and nose-hoover: the total
        energy and what the thermostat has taken), ``widest_gap_A``, ``dipole_x_eA`` and so on.
    failed : ase.Atoms or None
        The structure that the calculator gave up on.
    config : MDConfig
    files : Files or None
        What was written.
    point : SinglePoint or None
        Everything computed for ``atoms``; of replicas.
    """

    atoms: Atoms
    end: End
    message: str
    table: dict[str, np.ndarray]
    config: MDConfig
    failed: Atoms | None = None
    files: Files | None = None
    point: SinglePoint | None = None

    @property
    def completed(self) -> bool:
        """Whether all steps were made."""
        return self.end is End.COMPLETED

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return int(self.table["step"][-1]) if len(self.table["step"]) else 0

    @property
    def drift(self) -> tuple[float, float]:
        """Slope of the conserved energy and its standard error, meV/atom/ps."""
        time, energy = self.table["time_fs"] / 1e3, self.table["conserved_eV"]
        return drift(time, 1e3 * energy / len(self.atoms))

    @property
    def mean_temperature(self) -> float:
        """Mean of all steps, K."""
        return float(self.table["temperature_K"].mean()) if self.steps else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, without the table."""
        slope, error = self.drift
        return {
            "end": self.end.name.lower(),
            "completed": self.completed,
            "message": self.message,
            "steps": self.steps,
            "mean_temperature": self.mean_temperature,
            "drift_meV_per_atom_ps": slope,
            "drift_standard_error": error,
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "velocities": self.atoms.get_velocities().tolist(),
            "failed_positions": None if self.failed is None else self.failed.positions.tolist(),
            "config": dataclasses.asdict(self.config),
        }


def drift(time: np.ndarray, energy: np.ndarray, blocks: int = 20) -> tuple[float, float]:
    """Slope of a linear fit and its standard error.

    Energies of successive steps are correlated, which an ordinary fit takes for information;
    the line is fitted to the means of blocks.  NaN for fewer than three values.
    """
    if len(time) < 3:
        return float("nan"), float("nan")
    parts = np.array_split(np.arange(len(time)), min(blocks, len(time)))
    x = np.array([time[part].mean() for part in parts])
    y = np.array([energy[part].mean() for part in parts])
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt(rest @ rest / (len(x) - 2) / (x @ x)))


WHOLE = 1e-4
"""Share of all momenta, or angular momenta, from which on a molecule moves as a whole."""


def has_field(calc: Any) -> bool:
    """Whether a calculator has an electric field."""
    return is_on(getattr(calc, "parameters", {}).get("field"))


def is_on(field: Sequence[float] | None) -> bool:
    """Whether an electric field is given, and not zero."""
    return field is not None and bool(np.any(field))


def degrees_of_freedom(atoms: Atoms, config: MDConfig, field: bool = False) -> int:
    """Degrees that move: all with langevin, without translation and rotation otherwise.

    A periodic cell does not turn; in an electric ``field`` a molecule does.  Velocities that are
    kept may be those of a molecule that flies or turns: then all count.
    """
    if atoms.constraints or config.ensemble == "langevin":
        return 3 * len(atoms) - removed_degrees(atoms)
    if config.keep_velocities and _moves_as_a_whole(atoms):
        return 3 * len(atoms)
    if len(atoms) == 1 or atoms.pbc.any() or field:
        return 3 * len(atoms) - 3
    # more than two atoms are on one line for an instant only: bent, they turn about three axes
    return 3 * len(atoms) - (5 if len(atoms) == 2 else 6)


def _moves_as_a_whole(atoms: Atoms) -> bool:
    momenta = atoms.get_momenta()
    kinds = [momenta]
    if not atoms.pbc.any():
        kinds.append(np.cross(atoms.positions - atoms.get_center_of_mass(), momenta))
    return any(
        np.linalg.norm(kind.sum(0)) > WHOLE * np.linalg.norm(kind, axis=1).sum() for kind in kinds
    )


def set_velocities(
    atoms: Atoms, config: MDConfig, rng: np.random.Generator, field: bool = False
) -> None:
    """Random velocities of exactly ``config.temperature`` (in place).

    Maxwell's distribution without total momentum and, of molecules without an electric ``field``,
    rotation, unless there are constraints.
    """
    if config.keep_velocities:
        if not atoms.has("momenta"):
            raise InputError("there are no velocities to start with: leave out keep_velocities")
        if config.ensemble == "bussi" and atoms.get_kinetic_energy() < 1e-12:
            raise InputError("bussi has no motion to scale: leave out keep_velocities")
        atoms.set_momenta(atoms.get_momenta())  # those that constraints leave
        return
    freedom = degrees_of_freedom(atoms, config, field)
    if freedom < 1:
        hint = "leave atoms free" if atoms.constraints else "use langevin"
        raise InputError(f"{atoms.get_chemical_formula()} cannot move: {hint}")
    masses = atoms.get_masses()[:, None]
    noise = rng.standard_normal((len(atoms), 3))
    atoms.set_momenta(noise * np.sqrt(masses * units.kB * config.temperature))
    if not atoms.constraints and config.ensemble != "langevin":
        Stationary(atoms, preserve_temperature=False)
        if not atoms.pbc.any() and not field:
            with np.errstate(divide="ignore", invalid="ignore"):  # linear molecules
                ZeroRotation(atoms, preserve_temperature=False)
    now = 2.0 * atoms.get_kinetic_energy() / (freedom * units.kB)
    atoms.set_momenta(atoms.get_momenta() * np.sqrt(config.temperature / now))
