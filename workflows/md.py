"""Molecular dynamics of one molecule with one of ASE's integrators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import NoseHooverChainNVT, NoseHooverChainThermostat
from ase.md.verlet import VelocityVerlet

from ase_mlseqm import MLSEQM
from ase_mlseqm.pymatgen_io import as_atoms

from .extrapolation import DensityHistory
from .md_config import Interrupted, MDConfig, MDResult, degrees_of_freedom, set_velocities
from .md_log import Files, Log, StepCallback, row, snapshot


def dynamics(
    atoms: Atoms,
    calc: BaseCalculator,
    config: MDConfig | None = None,
    *,
    stem: str | Path | None = None,
    callback: StepCallback | None = None,
) -> MDResult:
    """Molecular dynamics of one molecule.

    Parameters
    ----------
    atoms : ase.Atoms
        Start; not changed.  Constraints are respected.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.  :class:`MLSEQM` gets starting densities that
        are extrapolated from the last steps.
    config : MDConfig, optional
    stem : str or Path, optional
        Start of the names of the files: STEM_md.csv with a line for every step, STEM_md.extxyz (or
        .h5md, as ``config.format`` says) with the frames, and STEM_md.checkpoint.npz.  Where that
        exists the run goes on from it, with the same random numbers; the result is that of a run
        that was never interrupted.  A run that is stopped leaves STEM_failed.extxyz, with its last
        frame, the structure that could not be computed, and the reason.
    callback : callable, optional
        Called with (step, temperature in K, total energy in eV) after every step.

    Returns
    -------
    MDResult
        ``completed`` is False when it was stopped: too hot, flown apart, or no energy.

    Raises
    ------
    ase.calculators.calculator.CalculatorError
        When the first structure cannot be computed.
    InputError
        When the checkpoint belongs to another run, or the molecule cannot move.
    Interrupted
        On Ctrl-C after the first structure.
    """
    simulation = _Simulation(as_atoms(atoms), calc, config or MDConfig(), stem, callback)
    try:
        return simulation.run()
    except KeyboardInterrupt:
        if not simulation.log.rows:
            raise
        raise Interrupted(simulation.result("interrupted")) from None


class _Simulation:
    """One trajectory while it runs; ``state`` is that of the last step that is complete."""

    def __init__(
        self,
        atoms: Atoms,
        calc: BaseCalculator,
        config: MDConfig,
        stem: str | Path | None,
        callback: StepCallback | None,
    ) -> None:
        self.config, self.callback = config, callback
        self.atoms = atoms.copy()
        self.atoms.calc = calc
        if hasattr(calc, "reset"):
            calc.reset()  # the result must not depend on what was computed before
        self.history = DensityHistory() if isinstance(calc, MLSEQM) else None
        self.freedom = degrees_of_freedom(atoms, config.ensemble)
        self.rng = np.random.default_rng(config.seed)
        self.log = Log(
            None if stem is None else Files(Path(stem), config.format),
            config.identity(atoms) | {"calculator": _identity(calc)},
            config.interval,
        )
        self.last: Atoms | None = None
        self.state: dict[str, Any] = {}

    def run(self) -> MDResult:
        """All steps that are missing."""
        saved = self.log.restore()
        if saved is None:
            set_velocities(self.atoms, self.config, self.rng)
        else:
            self.atoms.positions = saved["positions"]
            self.atoms.set_momenta(saved["momenta"], apply_constraint=False)
            self.rng.bit_generator.state = saved["rng"]
            if self.history is not None:
                self.history.densities = list(saved["densities"])
        dyn = integrator(self.atoms, self.config, self.rng)
        if saved is not None:
            dyn.nsteps = saved["step"]
            _set_thermostat(dyn, saved["thermostat"])
        self._guess()
        reason = self._complete(dyn, new=saved is None)
        while reason is None and dyn.nsteps < self.config.steps:
            self._guess()
            try:
                dyn.step()  # type: ignore[attr-defined]
                dyn.nsteps += 1
                reason = self._complete(dyn)
            except CalculatorError as error:
                reason = f"the calculator gave up: {error}"
                return self.result(f"stopped after step {self.state['step']}, {reason}", True)
        if reason is not None:
            return self.result(f"stopped at step {dyn.nsteps}, {reason}")
        return self.result(f"completed {dyn.nsteps} steps")

    def result(self, message: str, failed: bool = False) -> MDResult:
        """What was reached; the files are complete."""
        assert self.last is not None
        self.log.checkpoint(self.state, force=True)
        message = message.removesuffix(".")
        lost = self.atoms.copy() if failed else None
        last = [self.last] if lost is None else [self.last, lost]
        self.log.end(message, last if message.startswith("stopped") else [])
        return MDResult(
            atoms=self.last,
            completed=message.startswith("completed"),
            message=message,
            table=self.log.table(),
            config=self.config,
            failed=lost,
            files=self.log.files,
        )

    def _guess(self) -> None:
        if self.history is not None:
            density = self.history.predict()
            if density is not None:
                self.atoms.calc.start_from(self.atoms, density)

    def _complete(self, dyn: MolecularDynamics, new: bool = True) -> str | None:
        """Energies of a step; why it has to be the last one, if it has."""
        atoms, step = self.atoms, dyn.nsteps
        potential, forces = float(atoms.get_potential_energy()), atoms.get_forces()
        if not (np.isfinite(potential) and np.isfinite(forces).all()):
            raise CalculatorError("energy or forces are not finite numbers")
        earlier = [] if self.history is None else self.history.densities
        if self.history is not None and atoms.calc.density is not None:
            self.history.add(atoms.calc.density)
        dipole = atoms.calc.results.get("dipole") if hasattr(atoms.calc, "results") else None
        time_fs = step * self.config.timestep
        self.last = snapshot(atoms, step, time_fs, energy=potential, forces=forces, dipole=dipole)
        self.state = {
            "step": step,
            "positions": atoms.get_positions(),
            "momenta": atoms.get_momenta(),
            "rng": self.rng.bit_generator.state,
            "thermostat": _thermostat(dyn),
            # those from which the SCF of this step was started: a rerun repeats it
            "densities": np.array(earlier),
        }
        if new:
            conserved = _conserved(dyn, potential)
            self.log.add(
                step, row(time_fs, atoms, potential, self.freedom, conserved, dipole), self.last
            )
            self.log.checkpoint(self.state)
        _, total, _, _, temperature, _, gap = self.log.rows[-1][1:8]
        if new and self.callback is not None:
            self.callback(step, temperature, total)
        return self.config.bounds(self.freedom).broken(temperature, gap)


def integrator(atoms: Atoms, config: MDConfig, rng: np.random.Generator) -> MolecularDynamics:
    """ASE's integrator of an ensemble; thermostats know that the molecule does not rotate."""
    freedom = degrees_of_freedom(atoms, config.ensemble)
    time = config.coupling_time * units.fs
    if config.ensemble == "nve":
        return VelocityVerlet(atoms, config.dt)
    if config.ensemble == "langevin":
        friction = config.friction / (1e3 * units.fs)
        return Langevin(
            atoms,
            config.dt,
            temperature_K=config.temperature,
            friction=friction,
            fixcm=False,
            rng=rng,
        )
    if config.ensemble == "bussi":
        bussi = Bussi(atoms, config.dt, config.temperature, time, rng=rng)
        bussi.ndof = freedom
        bussi.target_kinetic_energy = 0.5 * freedom * units.kB * config.temperature
        return bussi
    chain = NoseHooverChainNVT(atoms, config.dt, config.temperature, time)
    chain._thermostat = NoseHooverChainThermostat(
        freedom / 3,  # type: ignore[arg-type]
        atoms.get_masses()[:, None],
        config.temperature,
        time,
    )
    return chain


def _identity(calc: BaseCalculator) -> dict[str, Any]:
    """What of a calculator decides on energies, JSON-able; of others than ours the class only."""
    if not isinstance(calc, MLSEQM):
        return {"class": type(calc).__name__}
    from ase_mlseqm.models import DEFAULT, model_file

    named = calc.todict()
    for name in ("device", "max_memory"):
        named.pop(name, None)
    if "model" in named:
        named["sha256"] = model_file(named["model"] or DEFAULT).sha256
    return named


def _thermostat(dyn: MolecularDynamics) -> dict[str, Any]:
    """Variables of a thermostat, JSON-able."""
    if isinstance(dyn, Bussi):
        return {"transferred": float(dyn.transferred_energy)}
    if isinstance(dyn, NoseHooverChainNVT):
        chain = dyn._thermostat
        return {"eta": chain._eta.tolist(), "p_eta": chain._p_eta.tolist()}
    return {}


def _set_thermostat(dyn: MolecularDynamics, saved: dict[str, Any]) -> None:
    if isinstance(dyn, Bussi):
        dyn.transferred_energy = saved["transferred"]
    elif isinstance(dyn, NoseHooverChainNVT):
        chain = dyn._thermostat
        chain._eta, chain._p_eta = np.array(saved["eta"]), np.array(saved["p_eta"])


def _conserved(dyn: MolecularDynamics, potential: float) -> float | None:
    """Energy with what the thermostat has taken, eV; None where it is the total energy."""
    if isinstance(dyn, Bussi):
        return potential + float(dyn.atoms.get_kinetic_energy()) - dyn.transferred_energy
    if isinstance(dyn, NoseHooverChainNVT):
        kinetic = float(dyn.atoms.get_kinetic_energy())
        return potential + kinetic + dyn._thermostat.get_thermostat_energy()
    return None
