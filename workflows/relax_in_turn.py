"""Molecules relaxed one after the other; what was cut off goes on where it was."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.io import read
from ase.io.trajectory import Trajectory, TrajectoryWriter

from ase_mlseqm.errors import InputError
from ase_mlseqm.files.broken import why_unreadable
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.wholefile import NotWritten, named_errors, replacement

from .constraints import impose, in_order
from .foreign import foreign_errors, require_calculator
from .interrupted import Interrupted
from .relax_checkpoint import Checkpoint, restore
from .relax_config import RelaxConfig, RelaxResult
from .relax_history import History, StepCallback
from .relax_lower import has_lower
from .several import structure


class InTurn:
    """Relaxes the molecules of a list, each when it is asked for.

    Parameters
    ----------
    systems : sequence of ase.Atoms
        Starts; not changed.  Constraints are respected.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator with energies and forces.
    config : RelaxConfig
    checkpoint : str or Path, optional
        File that gets the last structures of all molecules every few seconds.  Those that it has
        are not computed again.

    Attributes
    ----------
    lost : list of NotWritten
        Trajectories that end before their relaxations do, as where the disk is full; a warning says
        so, too.
    """

    def __init__(
        self,
        systems: Sequence[Atoms],
        calc: BaseCalculator,
        config: RelaxConfig,
        checkpoint: str | Path | None = None,
    ) -> None:
        require_calculator(calc)
        self.starts = [in_order(as_atoms(atoms)) for atoms in systems]
        self.calc, self.config = calc, config
        self.lost: list[NotWritten] = []
        path = None if checkpoint is None else Path(checkpoint)
        self._checkpoint = Checkpoint(path, self.starts, calc, config)
        self._histories = [History(atoms.copy(), calc, config) for atoms in self.starts]
        for k, frame in self._checkpoint.read().items():
            restore(self._histories[k], frame)

    def relax(
        self,
        k: int,
        *,
        trajectory: str | Path | None = None,
        callback: StepCallback | None = None,
    ) -> RelaxResult:
        """Relax one of them; the parameters are those of :func:`~.relax.relax`."""
        config, history = self.config, self._histories[k]
        structure(self.starts[k])
        if trajectory is not None:
            writer: Any = _continued(Path(trajectory), history.energies)
            if writer is None:
                history = self._histories[k] = History(self.starts[k].copy(), self.calc, config)
            history.trajectory = _Frames(Path(trajectory), writer)
        history.callback = callback
        history.atoms.calc = self.calc

        def observe(anew: bool = False) -> None:
            history(anew)
            self._checkpoint.write(self._histories)

        try:
            if history.last is None:
                impose(history.atoms)
                with foreign_errors():
                    observe()
            while True:
                if history.outcome() is None:
                    optimizer = history.optimizer()
                    optimizer.attach(observe)
                    with foreign_errors():
                        optimizer.run(fmax=config.fmax, steps=config.max_steps - history.steps)
                result = history.outcome() or history.given_up()
                if not (result.converged and any(has_lower([result.atoms], self.calc))):
                    return result
                self.calc.reset()  # the next SCF must not start from the density that was followed
                observe(anew=True)
        except CalculatorError as error:
            if history.last is None:
                raise
            return history.stopped(error)
        except KeyboardInterrupt:
            if history.last is None:
                raise
            result = history.interrupted()
            raise Interrupted(result, result.message) from None
        finally:
            if history.trajectory is not None:
                history.trajectory.close()
                self._tell(history.trajectory.error)

    def _tell(self, error: NotWritten | None) -> None:
        if error is not None:
            self.lost.append(error)
            warnings.warn(
                f"{error.filename} cannot be written ({error.strerror}): it ends before the "
                "relaxation does",
                stacklevel=4,
            )

    def finish(self) -> None:
        """Remove the checkpoint, when all is done."""
        self._checkpoint.remove()


class _Frames:
    """A trajectory, which ends where the file cannot be written any more.

    Without a writer it takes the place of a file of its name once there is something in it.
    """

    def __init__(self, path: Path, writer: TrajectoryWriter | None) -> None:
        self._path, self._writer = path, writer
        self.error: NotWritten | None = None

    def write(self, atoms: Atoms) -> None:
        if self.error is not None:
            return
        try:
            with named_errors(self._path):
                if self._writer is None:
                    self._writer = Trajectory(str(self._path), "w")
                self._writer.write(atoms)
        except NotWritten as error:
            self.error = error

    def close(self) -> None:
        if self._writer is None:
            return
        if self.error is None:
            self._writer.close()
            return
        with contextlib.suppress(OSError):
            self._writer.backend.fd.close()  # ASE would write a part of a frame once more


def _continued(path: Path, energies: list[float]) -> TrajectoryWriter | None:
    """A trajectory of these energies (eV), open for more; None where there is none.

    Raises
    ------
    InputError
        When the file does not hold them.
    """
    if not energies:
        return None
    if not path.exists():
        warnings.warn(
            f"{path.name} is to have all steps, and those of an earlier run are not in it: the "
            "relaxation begins anew",
            stacklevel=3,
        )
        return None
    try:
        frames = read(path, f":{len(energies)}", format="traj", do_not_split_by_at_sign=True)
        if [atoms.get_potential_energy() for atoms in frames] != energies:
            raise ValueError("its steps are others")
    except Exception as error:  # whatever the parser makes of it
        raise InputError(
            f"{path} does not hold the {len(energies) - 1} steps from which the relaxation goes on "
            f"({why_unreadable(path, error)}): remove it to begin anew, or go on without a "
            "trajectory"
        ) from None
    # the file may be some steps ahead of the checkpoint
    with replacement(path) as new, Trajectory(str(new), "w") as writer:
        for atoms in frames:
            writer.write(atoms)
    return Trajectory(str(path), "a")
