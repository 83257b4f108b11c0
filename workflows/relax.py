"""Relaxation of one molecule with one of ASE's optimisers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator, CalculatorError, all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from ase_mlseqm.options import choose, require_not_negative, require_positive
from ase_mlseqm.pymatgen_io import as_atoms

OPTIMIZERS = ("BFGS", "LBFGS", "FIRE", "BFGSLineSearch")

StepCallback = Callable[[int, float, float], None]


@dataclasses.dataclass(frozen=True)
class RelaxConfig:
    """Settings of a relaxation."""

    fmax: float = 0.01
    """Largest force on any atom of the relaxed structure, eV/Angstrom."""
    max_steps: int = 500
    """Steps after which the relaxation is given up."""
    optimizer: str = "BFGS"
    """BFGS, LBFGS, FIRE or BFGSLineSearch."""
    max_step_length: float = 0.2
    """Largest displacement of an atom in one step, Angstrom."""

    def __post_init__(self) -> None:
        choose(self, "optimizer", OPTIMIZERS)
        require_positive(self, "fmax", "max_step_length")
        require_not_negative(self, "max_steps")


@dataclasses.dataclass(frozen=True)
class RelaxResult:
    """Outcome of a relaxation.

    Attributes
    ----------
    atoms : ase.Atoms
        The last structure that could be computed, with its results attached.
    converged : bool
        Whether the largest force on any atom is below ``config.fmax``.
    message : str
        One sentence on how it ended.
    energies : list of float
        Energy of the initial structure and after every step, eV.
    max_forces : list of float
        Largest force on any atom likewise, eV/Angstrom; constraints are taken into account.
    config : RelaxConfig
    """

    atoms: Atoms
    converged: bool
    message: str
    energies: list[float]
    max_forces: list[float]
    config: RelaxConfig

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return len(self.energies) - 1

    @property
    def energy(self) -> float:
        """Energy of ``atoms``, eV."""
        return self.energies[-1]

    @property
    def max_force(self) -> float:
        """Largest force on any atom of ``atoms``, eV/Angstrom."""
        return self.max_forces[-1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "energy": self.energy,
            "max_force": self.max_force,
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "energies": self.energies,
            "max_forces": self.max_forces,
            "config": dataclasses.asdict(self.config),
        }


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a relaxation; ``result`` holds what was done until then."""

    def __init__(self, result: RelaxResult) -> None:
        super().__init__(result.message)
        self.result = result


@dataclasses.dataclass
class _History:
    """Observer of an optimiser: what is worth keeping of every step."""

    atoms: Atoms
    trajectory: Any
    callback: StepCallback | None
    energies: list[float] = dataclasses.field(default_factory=list)
    max_forces: list[float] = dataclasses.field(default_factory=list)
    last: Atoms | None = None

    def __call__(self) -> None:
        forces = self.atoms.get_forces()
        energy = float(self.atoms.get_potential_energy())
        if not (np.isfinite(forces).all() and np.isfinite(energy)):
            raise CalculatorError("energy or forces are not finite numbers")
        # some optimisers announce a structure twice
        if self.last is None or (self.last.positions != self.atoms.positions).any():
            self.energies.append(energy)
            self.max_forces.append(float(np.linalg.norm(forces, axis=1).max(initial=0.0)))
            self.last = frozen(self.atoms)
            if self.trajectory is not None:
                self.trajectory.write(self.last)
            if self.callback is not None:
                self.callback(len(self.energies) - 1, energy, self.max_forces[-1])

    def result(self, config: RelaxConfig, converged: bool, message: str) -> RelaxResult:
        assert self.last is not None
        return RelaxResult(self.last, converged, message, self.energies, self.max_forces, config)


def frozen(atoms: Atoms) -> Atoms:
    """Copy of ``atoms`` with the results that its calculator has for it."""
    calc, results = atoms.calc, {}
    if isinstance(calc, SinglePointCalculator) and not calc.check_state(atoms):
        results = dict(calc.results)  # each property below would compare the atoms again
    else:
        for name in all_properties:
            try:
                value = calc.get_property(name, atoms, allow_calculation=False)
            except (NotImplementedError, CalculatorError):
                continue
            if value is not None:
                results[name] = value
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def relax(
    atoms: Atoms,
    calc: BaseCalculator,
    config: RelaxConfig | None = None,
    *,
    trajectory: str | Path | None = None,
    callback: StepCallback | None = None,
) -> RelaxResult:
    """Relax the positions of one molecule.

    Parameters
    ----------
    atoms : ase.Atoms
        Start; not changed.  Constraints are respected.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.
    config : RelaxConfig, optional
    trajectory : str or Path, optional
        ASE trajectory that gets the initial structure and that of every step.
    callback : callable, optional
        Called with (step, energy in eV, largest force in eV/Angstrom) after every step.

    Returns
    -------
    RelaxResult
        ``converged`` is False when the steps were used up or a later step could not be computed;
        the last structure that could be is in it.

    Raises
    ------
    ase.calculators.calculator.CalculatorError
        When the first structure cannot be computed.
    Interrupted
        On Ctrl-C after the first structure.
    """
    config = config or RelaxConfig()
    work = as_atoms(atoms).copy()
    work.calc = calc
    writer = None if trajectory is None else Trajectory(str(trajectory), "w")
    history = _History(work, writer, callback)
    try:
        history()
        optimizer = getattr(optimize, config.optimizer)(
            work, logfile=None, maxstep=config.max_step_length
        )
        optimizer.attach(history)
        converged = bool(optimizer.run(fmax=config.fmax, steps=config.max_steps))
    except CalculatorError as error:
        if history.last is None:
            raise
        message = f"stopped after step {len(history.energies) - 1}: {error}"
        return history.result(config, False, message)
    except KeyboardInterrupt:
        if history.last is None:
            raise
        message = f"interrupted after step {len(history.energies) - 1}"
        raise Interrupted(history.result(config, False, message)) from None
    finally:
        if writer is not None:
            writer.close()
    message = (
        f"converged in {len(history.energies) - 1} steps"
        if converged
        else f"not converged in {config.max_steps} steps: largest force "
        f"{history.max_forces[-1]:.3g} eV/Angstrom, asked for {config.fmax:g}"
    )
    return history.result(config, converged, message)
