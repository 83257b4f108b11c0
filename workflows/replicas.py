"""Molecular dynamics of many molecules at once: every step is one batch of the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms

from ase_mlseqm import MLSEQM
from ase_mlseqm.errors import InputError
from ase_mlseqm.molecule import Molecule
from ase_mlseqm.results import SinglePoint

from .extrapolation import DensityHistory
from .isotopes import check_masses
from .md_config import End, MDConfig, MDResult, degrees_of_freedom, is_on, set_velocities
from .md_log import Files, Log
from .md_step import Row, dipole_about_center_of_mass, snapshot
from .md_system import System
from .several import structure

if TYPE_CHECKING:  # torch is imported with the first engine, not with this module
    from ase_mlseqm import Engine

PROPERTIES = ("energy", "forces", "dipole", "density")
BatchCallback = Callable[[int, int, float], None]
"""Called with (steps of the slowest replica, replicas still running, mean temperature in K)."""


def replicas(
    atoms: Sequence[Atoms],
    calc: MLSEQM | Engine | None = None,
    config: MDConfig | None = None,
    *,
    temperatures: Sequence[float] | None = None,
    stems: Sequence[str | Path] | None = None,
    unrestricted: bool | None = None,
    field: Sequence[float] | None = None,
    callback: BatchCallback | None = None,
) -> list[MDResult]:
    """Velocity Verlet or Langevin dynamics of many molecules, one batch a step.

    Langevin's equation is integrated by BAOAB (Leimkuhler and Matthews, Appl. Math. Res. Express
    2013, 34, eq. 9), velocity Verlet is what is left of it without friction.  Random numbers of a
    replica depend on ``config.seed`` and its place in the list alone.

    Parameters
    ----------
    atoms : sequence of ase.Atoms
        Starts, any molecules; not changed.  Charge and multiplicity as the calculator reads them.
        FixAtoms is respected, other constraints are refused.
    calc : MLSEQM or Engine, optional
        Default: the learned model on the CPU.  Of a calculator all keywords count, as for
        :func:`dynamics`.
    config : MDConfig, optional
        For all of them; ``ensemble`` nve or langevin.
    temperatures : sequence of float, optional
        Temperature of every replica, K; default: ``config.temperature``.
    stems : sequence of str or Path, optional
        Start of the names of every replica's files, as for :func:`dynamics`; a run that was cut off
        goes on from its checkpoints.
    unrestricted, field
        As for :meth:`Engine.run`; a calculator has its own.
    callback : callable, optional

    Returns
    -------
    list of MDResult
        In the order of ``atoms``; a replica that had to be stopped stops alone.

    Raises
    ------
    InputError
        When a molecule cannot be computed, or a checkpoint belongs to another run.
    KeyboardInterrupt
        On Ctrl-C; the checkpoints are up to date.
    """
    config = config or MDConfig()
    if config.ensemble not in ("nve", "langevin"):
        raise InputError(f"many replicas run nve or langevin, not {config.ensemble}")
    for name, values in (("temperatures", temperatures), ("stems", stems)):
        if values is not None and len(values) != len(atoms):
            raise InputError(f"{len(values)} {name} for {len(atoms)} replicas: give one each")
    system = System.of(calc, unrestricted, field)
    runs = []
    for index, molecule in enumerate(atoms):
        heat = config.temperature if temperatures is None else float(temperatures[index])
        own = dataclasses.replace(config, temperature=heat)
        stem = None if stems is None else Path(stems[index])
        runs.append(_Replica(structure(molecule), own, index, stem, system, len(atoms)))
    active = runs
    try:
        while active:
            molecules = [run.molecule() for run in active]
            active = [run for run in active if run.end is None]
            points = system.engine.run(
                [molecule for molecule in molecules if molecule is not None],
                PROPERTIES,
                unrestricted=system.unrestricted,
                field=system.field,
                guesses=[run.history.predict() for run in active],
            )
            for run, point in zip(active, points, strict=True):
                run.complete(point)
            active = [run for run in active if run.end is None]
            if callback is not None and active:
                heat = float(np.mean([run.temperature for run in active]))
                callback(min(run.step for run in active), len(active), heat)
            for run in active:
                run.move()
    finally:
        for run in runs:
            if run.state:
                run.log.checkpoint(run.state, force=True)
    return [run.result() for run in runs]


class _Replica:
    """One molecule on its way; alternates between :meth:`complete` and :meth:`move`."""

    def __init__(
        self,
        atoms: Atoms,
        config: MDConfig,
        index: int,
        stem: Path | None,
        system: System,
        count: int,
    ) -> None:
        for constraint in atoms.constraints:
            if not isinstance(constraint, FixAtoms):
                kind = type(constraint).__name__
                raise InputError(f"{kind} is not for replicas, which know FixAtoms: run this alone")
        check_masses(atoms)
        self.config, self.index, self.system, self.step = config, index, system, 0
        try:
            self.atoms = system.stated(atoms)
        except InputError as error:
            raise InputError(f"replica {index}: {error}") from None
        self.masses = atoms.get_masses()[:, None]
        field = is_on(system.field)
        self.freedom = degrees_of_freedom(atoms, config, field)
        self.rng = np.random.default_rng([config.seed, index])
        self.history = DensityHistory()
        self.end: End | None = None
        self.message = ""
        self.last: Atoms | None = None
        self.failed: Atoms | None = None
        self.point: SinglePoint | None = None
        self.state: dict[str, Any] = {}
        self.temperature = 0.0
        self.log = Log(
            None if stem is None else Files(stem, config.format),
            config.identity(atoms) | {"replica": index} | system.identity,
            config.interval,
            in_turn=count,
        )
        self.saved = self.log.restore()
        if self.saved is None:
            set_velocities(self.atoms, config, self.rng, field)
        else:
            self.step = self.saved["step"]
            self.atoms.positions = self.saved["positions"]
            self.atoms.set_momenta(self.saved["momenta"])
            self.rng.bit_generator.state = self.saved["rng"]
            self.history.densities = list(self.saved["densities"])

    def molecule(self) -> Molecule | None:
        """For the engine; None when atoms have collided."""
        try:
            return self.system.molecule(self.atoms)
        except InputError as error:
            if self.last is None:
                raise InputError(f"replica {self.index}: {error}") from None
            self._give_up(str(error))
            return None

    def complete(self, point: SinglePoint) -> None:
        """Second half of the velocities' step, and what is kept of it."""
        if not point.converged:
            self.point = point
            self._give_up(point.message)
            return
        atoms = self.atoms
        assert point.forces is not None and point.density is not None
        new = self.saved is None
        if new and self.step:
            self._kick(point.forces)
        self.forces, self.point = point.forces, point
        earlier = np.array(self.history.densities)
        self.history.add(point.density)
        time_fs = self.step * self.config.timestep
        dipole = dipole_about_center_of_mass(point.dipole, point.charge, atoms)
        results = {"energy": point.energy, "forces": point.forces, "dipole": dipole}
        last = snapshot(atoms, self.step, time_fs, **results)
        state = {
            "step": self.step,
            "positions": atoms.get_positions(),
            "momenta": atoms.get_momenta(),
            "rng": self.rng.bit_generator.state,
            "densities": earlier,
        }
        if new:
            row = Row.of(atoms, self.step, time_fs, point.energy, self.freedom, None, dipole)
            self.log.add(row, last)
        self.last, self.state = last, state
        self.log.checkpoint(state)
        self.saved = None
        row = self.log.rows[-1]
        self.temperature = row.temperature_K
        reason = self.config.bounds(self.freedom).broken(row.temperature_K, row.widest_gap_A)
        if reason is not None:
            self.end, self.message = End.STOPPED, f"stopped at step {self.step}, {reason}"
        elif self.step >= self.config.steps:
            self.end, self.message = End.COMPLETED, f"completed {self.step} steps"

    def _give_up(self, reason: str) -> None:
        self.failed = self.atoms.copy()
        self.failed.info.pop("status", None)
        when = f"stopped after step {self.step - 1}" if self.last else "not even started"
        self.last = self.last or self.failed
        self.end, self.message = End.FAILED, f"{when}, {reason}"

    def move(self) -> None:
        """First half of the velocities' step, and the positions' step."""
        self._kick(self.forces)
        if self.config.ensemble == "langevin":
            self._drift(0.5)
            self._friction()
            self._drift(0.5)
        else:
            self._drift(1.0)
        self.step += 1

    # set_momenta() leaves fixed atoms without momentum, so that they neither drift nor get noise
    def _kick(self, forces: np.ndarray) -> None:
        self.atoms.set_momenta(self.atoms.get_momenta() + 0.5 * self.config.dt * forces)

    def _drift(self, part: float) -> None:
        self.atoms.positions += part * self.config.dt * self.atoms.get_momenta() / self.masses

    def _friction(self) -> None:
        kept = np.exp(-self.config.friction * self.config.timestep * 1e-3)
        width = np.sqrt((1.0 - kept**2) * self.masses * units.kB * self.config.temperature)
        noise = self.rng.standard_normal(self.masses.shape[:1] + (3,))
        self.atoms.set_momenta(kept * self.atoms.get_momenta() + width * noise)

    def result(self) -> MDResult:
        """What was reached."""
        assert self.last is not None and self.end is not None
        last = [self.last, self.failed] if self.last is not self.failed else [self.last]
        completed = self.end is End.COMPLETED
        self.log.end(self.message, [] if completed else [atoms for atoms in last if atoms])
        return MDResult(
            atoms=self.last,
            end=self.end,
            message=self.message,
            table=self.log.table(),
            config=self.config,
            failed=self.failed,
            files=self.log.files,
            point=self.point,
        )
