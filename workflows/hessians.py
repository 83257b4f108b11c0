"""Second derivatives of the energy with any ASE calculator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError, SCFError

from ase_mlseqm import MLSEQM

from .hessian_batch import SecondDerivatives, batched

Progress = Callable[[int, int], None]

BATCHED_STEP = 1e-3
FOREIGN_STEP = 1e-2
"""Angstrom; a calculator of unknown precision needs a larger displacement."""


def second_derivatives(
    atoms: Atoms,
    calc: BaseCalculator,
    step: float | None = None,
    *,
    cache: str | Path | None = None,
    callback: Progress | None = None,
) -> SecondDerivatives:
    """Hessian and dipole derivatives of ``atoms``; constraints do not count.

    With :class:`ase_mlseqm.MLSEQM` all displaced molecules are one batch, also those of many
    molecules (:func:`.hessian_batch.batched`).  Another calculator is asked for ``get_hessian`` if
    it has that and no dipoles; otherwise its forces and dipoles are differenced.

    Parameters
    ----------
    step : float, optional
        Displacement, Angstrom.  Default: 0.001 with MLSEQM, otherwise 0.01.
    cache : str or Path, optional
        File that keeps every displaced result of another calculator; a run that was cut off goes
        on from it.  It has no effect with MLSEQM.
    callback : callable, optional
        Called with (done, all) displaced calculations.
    """
    if isinstance(calc, MLSEQM):
        return _batched(atoms, calc, step or BATCHED_STEP)
    if hasattr(calc, "get_hessian") and "dipole" not in calc.implemented_properties:
        raw = np.asarray(calc.get_hessian(atoms)).reshape(3 * len(atoms), -1)
        return SecondDerivatives(0.5 * (raw + raw.T), float(np.abs(raw - raw.T).max()), None)
    return _differences(atoms, calc, step or FOREIGN_STEP, cache, callback)


def _batched(atoms: Atoms, calc: MLSEQM, step: float) -> SecondDerivatives:
    calc.get_property("energy", atoms)  # the density to start from
    assert calc.unfinished is not None
    (found,) = batched([atoms], calc, step, [calc.unfinished.density])
    if isinstance(found, SCFError):
        raise found
    return found


def _differences(
    atoms: Atoms,
    calc: BaseCalculator,
    step: float,
    cache: str | Path | None,
    callback: Progress | None,
) -> SecondDerivatives:
    work = atoms.copy()
    work.set_constraint()
    work.calc = calc
    size = 3 * len(atoms)
    with _Cache(cache, atoms, calc, step) as known:
        for index in range(2 * size):
            if str(index) not in known.results:
                work.positions = atoms.positions
                work.positions.flat[index // 2] += step if index % 2 == 0 else -step
                known.keep(str(index), {"forces": work.get_forces().tolist()} | _dipole(work))
            if callback is not None:
                callback(index + 1, 2 * size)
        rows = [known.results[str(index)] for index in range(2 * size)]
    forces = np.array([row["forces"] for row in rows]).reshape(size, 2, size)
    raw = -(forces[:, 0] - forces[:, 1]) / (2 * step)
    slopes = None
    if all("dipole" in row for row in rows):
        dipoles = np.array([row["dipole"] for row in rows]).reshape(size, 2, 3)
        slopes = (dipoles[:, 0] - dipoles[:, 1]) / (2 * step)
    return SecondDerivatives(0.5 * (raw + raw.T), float(np.abs(raw - raw.T).max()), slopes)


def _dipole(atoms: Atoms) -> dict[str, Any]:
    if "dipole" not in atoms.calc.implemented_properties:
        return {}
    try:
        return {"dipole": np.asarray(atoms.get_dipole_moment()).tolist()}
    except PropertyNotImplementedError:
        return {}


class _Cache:
    """Results of displaced molecules; one line each in a file, of which a torn end is ignored."""

    def __init__(
        self, path: str | Path | None, atoms: Atoms, calc: BaseCalculator, step: float
    ) -> None:
        words = [atoms.numbers.tolist(), atoms.positions.tolist(), sorted(atoms.info.items()), step]
        words += [calc.name, sorted(getattr(calc, "parameters", {}).items())]
        self.key = hashlib.sha256(repr(words).encode()).hexdigest()
        self.path = None if path is None else Path(path)
        self.results: dict[str, Any] = {}

    def __enter__(self) -> _Cache:
        self.file = None
        if self.path is None:
            return self
        text = self.path.read_text() if self.path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["key"] == self.key:
                self.results[entry["index"]] = entry["result"]
        self.file = self.path.open("a")
        if text and not text.endswith("\n"):
            self.file.write("\n")
        return self

    def keep(self, index: str, result: dict[str, Any]) -> None:
        self.results[index] = result
        if self.file is not None:
            entry = {"key": self.key, "index": index, "result": result}
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
