"""Minimum-energy path between two minima: nudged elastic band with a climbing image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.io import read

from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.wholefile import write_whole_frames

from .computed import fingerprint
from .many import Many
from .neb_band import Band
from .neb_config import NEBConfig, NEBResult
from .neb_optimizer import BandBFGS
from .neb_order import warn_of_order
from .neb_path import check_ends, first_path
from .relax import frozen

StepCallback = Callable[[int, list[float], float], None]


def neb(
    reactant: Atoms,
    product: Atoms,
    calc: BaseCalculator,
    config: NEBConfig | None = None,
    *,
    path: str | Path | None = None,
    callback: StepCallback | None = None,
) -> NEBResult:
    """Find the minimum-energy path between two minima.

    Parameters
    ----------
    reactant, product : ase.Atoms
        The same atoms in the same order; not changed.  A warning names like atoms that seem to be
        in different orders.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator; with :class:`~ase_mlseqm.MLSEQM` all images are one batch.
    config : NEBConfig, optional
    path : str or Path, optional
        extxyz file that gets the images after every step.  Where it holds an unfinished path
        between the same structures, made with the same calculator, the run goes on from there.
    callback : callable, optional
        Called with (step, energies of the images in eV, largest force in eV/Angstrom).

    Returns
    -------
    NEBResult
        ``converged`` is False when the steps were used up, an end could not be relaxed or a later
        step could not be computed; the last path that could be is in it.

    Raises
    ------
    InputError
        When the ends do not match, or are one structure.
    ase.calculators.calculator.CalculatorError
        When the ends or the first path cannot be computed.
    """
    reactant, product = as_atoms(reactant), as_atoms(product)
    config = config or NEBConfig()
    check_ends(reactant, product)
    warn_of_order(reactant, product)
    file = None if path is None else Path(path)
    key = fingerprint(calc, (reactant, product), config.images, config.relax_ends)
    found = _read(file, key)
    if found is None:
        images, problems = first_path(reactant, product, calc, config)
        start = 0
    else:
        images, problems = found, list(filter(None, [str(found[0].info.get("problems", ""))]))
        start = int(found[0].info["step"])
    band = Band(images, Many(calc), config)
    record = _Record(band, file, key, start, problems, callback)
    climbing = found is not None and bool(found[0].info["climbing"])
    stages = [(config.climb_fmax, False)] if config.climb and not climbing else []
    try:
        converged = False
        for fmax, band.climb in [*stages, (config.fmax, config.climb)]:
            with _optimizer(config, band) as optimizer:
                optimizer.attach(record)
                left = max(0, config.max_steps - record.step)
                converged = bool(optimizer.run(fmax=fmax, steps=left))
        if not converged:
            problems.append(
                f"not converged in {record.step} steps: largest force {record.max_force:.3g} "
                f"eV/Angstrom, asked for {config.fmax:g}"
            )
    except CalculatorError as error:
        if record.images is None:
            raise
        problems.append(f"stopped after step {record.step}: {error}")
    assert record.images is not None
    result = NEBResult(
        record.images,
        not problems,
        "; ".join(problems) or f"converged in {record.step} steps",
        record.step,
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
    file: Path | None
    key: str
    start: int
    problems: list[str]
    callback: StepCallback | None
    images: list[Atoms] | None = None
    step: int = 0
    max_force: float = float("nan")

    def __call__(self) -> None:
        forces = self.band.last_forces
        moved = self.images is None or any(
            (a.positions != b.positions).any()
            for a, b in zip(self.images, self.band.images, strict=True)
        )
        self.max_force = float(np.linalg.norm(forces, axis=1).max())
        if not moved:  # a second stage announces the last path of the first
            return
        self.step = self.start if self.images is None else self.step + 1
        self.images = [frozen(image) for image in self.band.images]
        if self.file is not None:
            self._write(self.file)
        if self.callback is not None:
            self.callback(self.step, self.band.energies.tolist(), self.max_force)

    def _write(self, file: Path) -> None:
        assert self.images is not None
        notes: dict[str, Any] = {
            "neb_key": self.key,
            "step": self.step,
            "climbing": bool(self.band.climb),
            "max_force": self.max_force,
        }
        if self.problems:
            notes["problems"] = "; ".join(self.problems)
        for number, image in enumerate(self.images):
            image.info.update(notes, neb_image=number)
        write_whole_frames(file, self.images)


def _read(file: Path | None, key: str) -> list[Atoms] | None:
    """The path in a file, if it is one of this run."""
    if file is None or not file.exists():
        return None
    try:
        images = read(file, ":", format="extxyz")
    except Exception:  # whatever it is, it is no path of ours
        return None
    return images if images and all(a.info.get("neb_key") == key for a in images) else None
