"""Molecular dynamics with one of ASE's integrators, of one molecule or of many side by side."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.md.md import MolecularDynamics

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.summary import jsonable

from .constraints import check_moves, impose
from .extrapolation import DensityHistory
from .fingerprint import keywords
from .foreign import foreign_errors, require_calculator
from .interrupted import Interrupted
from .isotopes import check_masses
from .md_config import (
    End,
    MDConfig,
    MDResult,
    degrees_of_freedom,
    has_field,
    set_velocities,
)
from .md_integrators import conserved, integrator, set_thermostat, thermostat
from .md_log import Files, Log
from .md_step import Row, dipole_about_center_of_mass, snapshot
from .several import Failure, attempt, forget, structure
from .side_by_side import each
from .states import stated

StepCallback = Callable[[int, float, float], None]
"""Called with step, temperature (K) and total energy (eV)."""


@overload
def dynamics(
    atoms: Atoms,
    calc: BaseCalculator,
    config: MDConfig | None = None,
    *,
    stem: str | Path | None = None,
    callback: StepCallback | None = None,
) -> MDResult: ...


@overload
def dynamics(
    atoms: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: MDConfig | None = None,
    *,
    stem: Sequence[str | Path] | None = None,
) -> list[MDResult | Failure]: ...


def dynamics(
    atoms: Atoms | list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: MDConfig | None = None,
    *,
    stem: Any = None,
    callback: StepCallback | None = None,
) -> MDResult | list[MDResult | Failure]:
    """Molecular dynamics of one molecule, or of every one in a list.

    Parameters
    ----------
    atoms : ase.Atoms, or a list of them
        Start; not changed.  Constraints are respected.  With :class:`~ase_mlseqm.MLSEQM` the
        molecules of a list go on side by side, and a step of all is one batch; any other calculator
        takes them in turn.  Each moves as it does alone, with the random numbers of
        ``config.seed``: for copies of one molecule there is :func:`~.replicas.replicas`.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.  :class:`MLSEQM` gets starting densities that
        are extrapolated from the last steps.
    config : MDConfig, optional
    stem : str or Path, optional
        Start of the names of the files: STEM_md.csv with a line for every step, STEM_md.extxyz (or
        .h5md, as ``config.format`` says) with the frames, and STEM_md.checkpoint.npz.  Where that
        exists the run goes on from it, with the same random numbers; the result is that of a run
        that was never interrupted.  A run that is stopped leaves STEM_failed.extxyz, with its last
        frame, the structure that could not be computed, and the reason.  Of a list: one for each.
    callback : callable, optional
        Called with (step, temperature in K, total energy in eV) after every step; of one molecule
        only.

    Returns
    -------
    MDResult, or a list
        ``completed`` is False when it was stopped: too hot, flown apart, or no energy.  In a list,
        in its order, there is an exception, of the first two below, in the place of a molecule that
        could not be started.  The others are not affected.

    Raises
    ------
    ase.calculators.calculator.CalculatorError
        When the first structure cannot be computed.
    InputError
        When the checkpoint belongs to another run, or the molecule cannot move; when a list has
        a callback, or not a stem for each.
    Interrupted
        On Ctrl-C after the first structure; for a list KeyboardInterrupt.  The checkpoints are up
        to date.
    """
    require_calculator(calc)
    if isinstance(atoms, list | tuple):
        if callback is not None:
            raise InputError("a callback is for one molecule: call dynamics in side_by_side")

        def one(start: Atoms, own: BaseCalculator, **files: Any) -> MDResult:
            return dynamics(start, own, config, **files)

        _warn_of_copies(atoms, config or MDConfig())
        return each(one, atoms, calc, stem=stem)
    simulation = _Simulation(structure(atoms), calc, config or MDConfig(), stem, callback)
    try:
        return simulation.run()
    except KeyboardInterrupt:
        if not simulation.state:
            raise
        raise Interrupted(simulation.result(End.INTERRUPTED, "interrupted")) from None


def _warn_of_copies(starts: Sequence[Any], config: MDConfig) -> None:
    """Say so where molecules of a list would all move alike."""
    known = [found for found in attempt(as_atoms, starts) if isinstance(found, Atoms)]
    different = {(atoms.numbers.tobytes(), atoms.positions.tobytes()) for atoms in known}
    if len(different) < len(known) and not config.keep_velocities:
        warnings.warn(
            "equal molecules of the list move alike: replicas() gives each random numbers of its "
            "own",
            stacklevel=3,
        )


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
        check_moves(atoms, config.ensemble)
        check_masses(atoms)
        self.atoms = stated(atoms, calc)
        self.atoms.calc = calc
        forget(calc)
        self.history = DensityHistory() if isinstance(calc, MLSEQM) else None
        self.freedom = degrees_of_freedom(atoms, config, has_field(self.atoms.calc))
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
            impose(self.atoms)
            set_velocities(self.atoms, self.config, self.rng, has_field(self.atoms.calc))
        else:
            self.atoms.positions = saved["positions"]
            self.atoms.set_momenta(saved["momenta"], apply_constraint=False)
            self.rng.bit_generator.state = saved["rng"]
            if self.history is not None:
                self.history.densities = list(saved["densities"])
        dyn = integrator(self.atoms, self.config, self.freedom, self.rng)
        if saved is not None:
            dyn.nsteps = saved["step"]
            set_thermostat(dyn, saved["thermostat"])
        self._guess()
        with foreign_errors():
            reason = self._complete(dyn, new=saved is None)
        while reason is None and dyn.nsteps < self.config.steps:
            self._guess()
            try:
                with foreign_errors():
                    dyn.step()  # type: ignore[attr-defined]
                dyn.nsteps += 1
                reason = self._complete(dyn)
            except CalculatorError as error:
                last = self.state["step"]
                message = f"stopped after step {last}, the calculator gave up: {error}"
                return self.result(End.FAILED, message.removesuffix("."))
        if reason is not None:
            return self.result(End.STOPPED, f"stopped at step {dyn.nsteps}, {reason}")
        return self.result(End.COMPLETED, f"completed {dyn.nsteps} steps")

    def result(self, end: End, message: str) -> MDResult:
        """What was reached; the files are complete."""
        assert self.last is not None
        self.log.checkpoint(self.state, force=True)
        lost = self.atoms.copy() if end is End.FAILED else None
        if lost is not None:
            lost.info.pop("status", None)
        stopped = [self.last] if end in (End.STOPPED, End.FAILED) else []
        self.log.end(message, stopped if lost is None else [self.last, lost])
        return MDResult(
            atoms=self.last,
            end=end,
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
        potential = float(atoms.get_potential_energy())
        forces = atoms.get_forces(apply_constraint=False)  # as ASE writes them
        if not (np.isfinite(potential) and np.isfinite(forces).all()):
            raise CalculatorError("energy or forces are not finite numbers")
        earlier = [] if self.history is None else self.history.densities
        if self.history is not None and atoms.calc.density is not None:
            self.history.add(atoms.calc.density)
        dipole = atoms.calc.results.get("dipole") if hasattr(atoms.calc, "results") else None
        if isinstance(atoms.calc, MLSEQM):
            charge, _ = charge_and_multiplicity(atoms, atoms.calc.parameters["charge"])
            dipole = dipole_about_center_of_mass(dipole, charge, atoms)
        time_fs = step * self.config.timestep
        # without those of constraints, as the forces are
        energy = float(atoms.get_potential_energy(apply_constraint=False))
        last = snapshot(atoms, step, time_fs, energy=energy, forces=forces, dipole=dipole)
        state = {
            "step": step,
            "positions": atoms.get_positions(),
            "momenta": atoms.get_momenta(),
            "rng": self.rng.bit_generator.state,
            "thermostat": thermostat(dyn),
            # those from which the SCF of this step was started: a rerun repeats it
            "densities": np.array(earlier),
        }
        if new:
            kept = conserved(dyn, potential)
            row = Row.of(atoms, step, time_fs, potential, self.freedom, kept, dipole)
            self.log.add(row, last)
        self.last, self.state = last, state
        self.log.checkpoint(state)
        row = self.log.rows[-1]
        if new and self.callback is not None:
            self.callback(step, row.temperature_K, row.total_eV)
        return self.config.bounds(self.freedom).broken(row.temperature_K, row.widest_gap_A)


def _identity(calc: BaseCalculator) -> dict[str, Any]:
    """What of a calculator decides on energies, JSON-able."""
    known = {"class": type(calc).__name__} | jsonable(keywords(calc))
    # an object is told by its class: its address is another one in every process
    found: dict[str, Any] = json.loads(json.dumps(known, default=lambda one: type(one).__name__))
    return found
