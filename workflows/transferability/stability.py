"""Test 8: long dynamics without a thermostat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Skipped

from ..md import dynamics
from ..md_config import MDConfig, drift
from .base import Advance, Case, Metric, Outcome, Row, TransferTest, column, grouped
from .config import TransferabilityConfig
from .labelled import LabelledTest, load_frames
from .methods import Method
from .read_extxyz import read_extxyz
from .records import Records, name_of, require_some
from .statistics import Interval, mean
from .style import colours, legend, new_figure, plain, save

SAMPLES = 400
"""Steps of a run that are kept, about."""


class Stability(TransferTest):
    """Conservation of energy in the largest molecules, and time per step."""

    name = "dynamics"
    title = "Dynamics"
    question = "Do the largest molecules stay whole, and is their energy conserved?"
    patterns = ("dynamics/*.xyz", "dynamics/*.extxyz", "dft_large.h5")
    columns = {
        "molecule": "name of the molecule",
        "atoms": "number of atoms",
        "time": "ps",
        "energy": "total, relative to the start, meV/atom",
        "temperature": "K",
        "step_time": "wall-clock time of a step, mean of the run, ms",
    }
    settings = (
        *LabelledTest.settings,
        *("md_molecules", "md_steps", "md_timestep", "md_temperature", "seed", "device"),
    )

    pictures_of_all = True

    def load(
        self, files: Sequence[Path], config: TransferabilityConfig
    ) -> Records[tuple[str, Atoms]]:
        """Name and first sound frame of the largest molecules."""
        found: dict[str, Atoms] = {}
        skipped: list[Skipped] = []
        for path in files:
            own: dict[str, Atoms] = {}
            if path.suffix.lower() in (".h5", ".hdf5"):
                frames = load_frames([path], config)
                skipped += frames.skipped
                for name, atoms in zip(frames.names, frames.systems, strict=True):
                    own.setdefault(name, atoms)
            else:
                for record in read_extxyz(path):
                    if isinstance(record, Skipped):
                        skipped.append(record)
                        continue
                    _, atoms = record
                    atoms.calc = None
                    own[path.stem] = atoms
                    break
            for name in sorted(own.keys() & found.keys()):
                reason = "another structure has this name: rename one"
                skipped.append(Skipped(path.name, name, reason))
            found = own | found
        require_some(list(found), name_of(files), skipped)
        order = sorted(found, key=lambda name: (-len(found[name]), name))
        return Records([(name, found[name]) for name in order[: config.md_molecules]], skipped)

    def compute(
        self,
        method: Method,
        data: Records[tuple[str, Atoms]],
        config: TransferabilityConfig,
        advance: Advance,
    ) -> Outcome:
        """A run of every molecule; one that was stopped is a failure."""
        outcome = Outcome()
        settings = MDConfig(
            timestep=config.md_timestep,
            steps=config.md_steps,
            temperature=config.md_temperature,
            seed=config.seed,
        )
        for name, atoms in data:
            began = time.perf_counter()
            try:
                result = dynamics(atoms, method.calculator(), settings)
            except (CalculatorError, InputError) as error:
                outcome.fail(name, error)
                continue
            finally:
                advance(1, name)
            if not result.completed:
                outcome.fail(name, result.message)
                outcome.worst.append(
                    Case.of(name, "stopped; steps", len(result.table["step"]), "", result.atoms)
                )
                continue
            each = 1000.0 * (time.perf_counter() - began) / config.md_steps
            total = np.asarray(result.table["total_eV"], dtype=float)
            energy = 1000.0 * (total - total[0]) / len(atoms)
            for k in range(0, len(total), max(1, len(total) // SAMPLES)):
                outcome.rows.append(
                    {
                        "case": name,
                        "molecule": name,
                        "atoms": len(atoms),
                        "time": 1e-3 * float(result.table["time_fs"][k]),
                        "energy": float(energy[k]),
                        "temperature": float(result.table["temperature_K"][k]),
                        "step_time": each,
                    }
                )
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Drift and fluctuation of the total energy, temperature, time per step."""
        drifts, spread, warmth, times = [], [], [], []
        for own in grouped(rows, "molecule").values():
            when, energy = column(own, "time"), column(own, "energy")
            drifts.append(abs(drift(when, energy)[0]))
            spread.append(energy.std())
            warmth.append(column(own, "temperature").mean())
            times.append(own[0]["step_time"])
        settings = (config.samples, config.seed)

        def over_molecules(values: list[float]) -> Interval:
            return mean(np.array(values, dtype=float), *settings)

        return [
            Metric("drift of the energy", "meV/atom/ps", over_molecules(drifts), 3),
            Metric("fluctuation of the energy", "meV/atom", over_molecules(spread), 3),
            Metric("temperature", "K", over_molecules(warmth), 0, None),
            Metric("time per step", "ms", over_molecules(times), 1),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Total energy against time, a panel a molecule."""
        sizes = {row["molecule"]: row["atoms"] for own in rows.values() for row in own}
        runs = {method: grouped(own, "molecule") for method, own in rows.items()}
        figure = new_figure(max(4.4 * len(sizes), 5.0), 3.4)
        panels = figure.subplots(1, len(sizes), squeeze=False)[0]
        colour = colours(rows)
        for axes, (name, size) in zip(panels, sizes.items(), strict=True):
            for method, own in runs.items():
                run = own.get(name, [])
                axes.plot(
                    *(column(run, "time"), column(run, "energy")),
                    color=colour[method],
                    linewidth=1.1,
                    label=method,
                )
            axes.set_title(f"{name} ({size} atoms)", fontsize=10, parse_math=False)
            axes.set_xlabel("time (ps)")
            plain(axes)
        panels[0].set_ylabel("total energy (meV/atom)")
        legend(figure, panels[0])
        return save(figure, path)
