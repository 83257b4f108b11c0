"""Minimum-energy path between two minima: nudged elastic band with a climbing image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator, CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.wholefile import write_whole_frames

from .computed import frozen
from .constraints import in_order
from .foreign import foreign_errors, require_calculator
from .many import Many
from .neb_band import Band
from .neb_checkpoint import Checkpoint, Known
from .neb_config import NEBConfig, NEBResult
from .neb_optimizer import BandBFGS, replay
from .neb_order import warn_of_order
from .neb_path import check_ends, first_path
from .several import Failure
from .side_by_side import each
from .states import stated

StepCallback = Callable[[int, list[float], float], None]


@overload
def neb(
    reactant: Atoms,
    product: Atoms,
    calc: BaseCalculator,
    config: NEBConfig | None = None,
    *,
    path: str | Path | None = None,
    callback: StepCallback | None = None,
) -> NEBResult: ...


@overload
def neb(
    reactant: list[Atoms] | tuple[Atoms, ...],
    product: list[Atoms] | tuple[Atoms, ...],
    calc: BaseCalculator,
    config: NEBConfig | None = None,
    *,
    path: Sequence[str | Path] | None = None,
) -> list[NEBResult | Failure]: ...


def neb(
    reactant: Any,
    product: Any,
    calc: BaseCalculator,
    config: NEBConfig | None = None,
    *,
    path: Any = None,
    callback: StepCallback | None = None,
) -> NEBResult | list[NEBResult | Failure]:
    """Find the minimum-energy path between two minima, or those of many reactions.

    Parameters
    ----------
    reactant, product : ase.Atoms, or two lists of them
        The same atoms in the same order; not changed.  A warning names like atoms that seem to be
        in different orders.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator; with :class:`~ase_mlseqm.MLSEQM` all images, of all paths of a list, are
        one batch.  Any other calculator takes paths and images in turn.
    config : NEBConfig, optional
    path : str or Path, optional
        extxyz file that gets the images after every step; of lists one for each path.  Beside it is
        NAME.checkpoint.npz.  Where both hold a path between the same structures, made with the same
        calculator, the run goes on from there, and takes the steps of one that was not cut off.
    callback : callable, optional
        Called with (step, energies of the images in eV, largest force in eV/Angstrom); of one path
        only.

    Returns
    -------
    NEBResult, or a list
        ``converged`` is False when the steps were used up, an end could not be relaxed or a later
        step could not be computed; the last path that could be is in it.  In a list, in its order,
        there is an exception, of those below, in the place of a path that could not be begun.  The
        others are not affected.

    Raises
    ------
    InputError
        When the ends do not match, also in their constraints, or are one structure; when lists are
        of different lengths or have a callback.
    ase.calculators.calculator.CalculatorError
        When the ends or the first path cannot be computed.
    """
    require_calculator(calc)
    if isinstance(reactant, list | tuple):
        if callback is not None:
            raise InputError("a callback is for one path: call neb in side_by_side")

        def one(start: Atoms, own: BaseCalculator, product: Atoms, **files: Any) -> NEBResult:
            return neb(start, product, own, config, **files)

        return each(one, reactant, calc, product=product, path=path)
    reactant, product = in_order(as_atoms(reactant)), in_order(as_atoms(product))
    config = config or NEBConfig()
    check_ends(reactant, product, calc)
    reactant, product = stated(reactant, calc), stated(product, calc)
    warn_of_order(reactant, product)
    file = None if path is None else Path(path)
    kept = Checkpoint(file, (reactant, product), calc, config)
    known = kept.read()
    begun = known is not None
    if known is None:
        known = Known(*first_path(reactant, product, calc, config))
    band = Band(known.images, Many(calc), config)
    if begun:
        band.take()
    record = _Record(band, kept, known, callback)
    stages = [(config.climb_fmax, False)] if config.climb and not known.climbing else []
    problems = list(known.problems)
    try:
        converged = False
        for fmax, band.climb in [*stages, (config.fmax, config.climb)]:
            with _optimizer(config, band) as optimizer:
                if known.climbing != band.climb:
                    known.climbing, known.history = band.climb, []
                elif known.history:
                    replay(optimizer, band, known.history)
                optimizer.attach(record)
                left = max(0, config.max_steps - known.step)
                with foreign_errors():
                    converged = bool(optimizer.run(fmax=fmax, steps=left))
        if not converged:
            problems.append(
                f"not converged in {known.step} steps: largest force {record.max_force:.3g} "
                f"eV/Angstrom, asked for {config.fmax:g}"
            )
    except CalculatorError as error:
        if not record.announced:
            raise
        problems.append(f"stopped after step {known.step}: {error}")
    result = NEBResult(
        known.images,
        not problems,
        "; ".join(problems) or f"converged in {known.step} steps",
        known.step,
        record.max_force,
        config,
    )
    return dataclasses.replace(result, message="; ".join([result.message, *result.remarks]))


def _optimizer(config: NEBConfig, band: Band) -> Any:
    kind = BandBFGS if config.optimizer == "BFGS" else getattr(optimize, config.optimizer)
    return kind(band, logfile=None, maxstep=config.max_step_length)


@dataclasses.dataclass
class _Record:
    """Observer of the optimiser: keeps the last path, and writes it."""

    band: Band
    kept: Checkpoint
    known: Known
    callback: StepCallback | None
    announced: bool = False
    max_force: float = float("nan")

    def __call__(self) -> None:
        band, known = self.band, self.known
        positions, forces = band.get_positions(), band.last_forces
        moved = not self.announced or any(
            (a.positions != b.positions).any()
            for a, b in zip(known.images, band.images, strict=True)
        )
        self.max_force = float(np.linalg.norm(forces, axis=1).max())
        if not known.history or (known.history[-1][0] != positions).any():
            known.history.append((positions, forces))
        if not moved:  # a second stage announces the last path of the first
            return
        known.step += self.announced
        self.announced = True
        known.images = [frozen(image) for image in band.images]
        self._write()
        if self.callback is not None:
            energies = [image.get_potential_energy() for image in known.images]
            self.callback(known.step, energies, self.max_force)

    def _write(self) -> None:
        known, file = self.known, self.kept.path
        if file is None:
            return
        notes: dict[str, Any] = {
            "neb_key": self.kept.key,
            "step": known.step,
            "climbing": known.climbing,
            "max_force": self.max_force,
        }
        if known.problems:
            notes["problems"] = "; ".join(known.problems)
        for number, image in enumerate(known.images):
            image.info.update(notes, neb_image=number)
        self.kept.write(known)  # first: it may be ahead of the images, but not behind
        write_whole_frames(file, known.images)
