"""Time of energy and forces, beside other programs.

    python benchmarks/singlepoint.py --out table.md
    python benchmarks/singlepoint.py --profile --data ../shared/data/ani1x_labels.h5
    python benchmarks/singlepoint.py --device cuda --conformers 10000

Three parts: single molecules, one thread each; many conformers in one `evaluate` on two threads
beside two processes of Sparrow; and, with `--profile`, what the time goes into.  On `cuda` only
the conformers are run, without peers.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from programs import PROGRAMS, Program, installed
from report import Report, machine, versions

STRUCTURES = ("water", "ethanol", "benzene", "aspirin", "coronene", "c70", "peptide")
STEP = 0.005
"""Angstrom that every atom moves, in a random direction, between two calls."""
FORCE_ERROR = 1e-5
"""eV/Angstrom that every program may be off."""
SMALL = 30
"""Atoms; smaller molecules make ten times as many moves."""
CHECKED = 6
"""Geometries whose forces are compared with a far tighter SCF; all of them are started cold."""


def structure(name: str) -> Atoms:
    """A structure of this folder."""
    return read(Path(__file__).parent / "structures" / f"{name}.xyz")


def target(n_atoms: int) -> float | None:
    """Largest time in units of Sparrow's that is acceptable."""
    if n_atoms >= 36:
        return 1.0
    return {9: 8.0, 21: 3.0}.get(n_atoms)


def chain(positions: np.ndarray, moves: int, seed: int = 0) -> list[np.ndarray]:
    """Geometries of a random walk."""
    rng = np.random.default_rng(seed)
    out = [positions]
    for _ in range(moves):
        direction = rng.normal(size=positions.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        out.append(out[-1] + STEP * direction)
    return out


@dataclass
class Timing:
    """Seconds of every call, and the largest errors of the forces (eV/Angstrom)."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    warm_error: float = 0.0
    cold_error: float = 0.0


def measure(atoms: Atoms, programs: list[Program], moves: int, rounds: int) -> dict[str, Timing]:
    """Time all programs at the same geometries, in turns, so that noise hits all of them."""
    out = {program.name: Timing() for program in programs}
    path = chain(atoms.positions, moves)
    checked = np.linspace(1, moves, min(CHECKED, moves)).astype(int)
    exact = {}
    for program in programs:
        step = program.start(atoms, program.tight)
        exact[program.name] = {k: step(path[k]) for k in checked}
    steps = {program.name: program.start(atoms, program.loose) for program in programs}
    for step in steps.values():
        step(path[0] + STEP)
        step(path[0])
    for turn, block in enumerate(np.array_split(np.arange(1, moves + 1), rounds)):
        for name, step in rotated(list(steps.items()), turn):
            timing = out[name]
            for k in block:
                start = time.perf_counter()
                forces = step(path[k])
                timing.warm.append(time.perf_counter() - start)
                if k in exact[name]:
                    error = float(np.abs(forces - exact[name][k]).max())
                    timing.warm_error = max(timing.warm_error, error)
    for turn, k in enumerate(checked):
        there = Atoms(atoms.numbers, path[k])
        for program in rotated(programs, turn):
            timing = out[program.name]
            start = time.perf_counter()
            forces = program.start(there, program.loose)(path[k])
            timing.cold.append(time.perf_counter() - start)
            error = float(np.abs(forces - exact[program.name][k]).max())
            timing.cold_error = max(timing.cold_error, error)
    return out


def rotated(items: list, turn: int) -> list:
    """The same with another one first."""
    turn %= len(items)
    return items[turn:] + items[:turn]


def single_molecules(report: Report, names: list[str], programs: list[Program], options) -> None:
    """Tables of times, ratios and errors of single molecules."""
    measured = {}
    for name in names:
        atoms = structure(name)
        moves = options.moves * (10 if len(atoms) < SMALL else 1)
        print(f"{name}: {moves} moves", file=sys.stderr, flush=True)
        measured[name] = (len(atoms), measure(atoms, programs, moves, options.rounds))
    labels = [program.name for program in programs]
    with_sparrow = PROGRAMS["sparrow"] in programs and PROGRAMS["ours"] in programs
    ratio = ["ours / Sparrow", "target", "reached"] if with_sparrow else []
    for what, title in (
        ("warm", "Warm, density of the last geometry: ms per energy and forces (median)"),
        ("cold", "Cold, a fresh calculator: ms per energy and forces (median)"),
    ):
        rows = []
        for name, (n_atoms, timings) in measured.items():
            medians = {key: float(np.median(getattr(t, what))) for key, t in timings.items()}
            row = [name, n_atoms, *(f"{1e3 * medians[label]:.3g}" for label in labels)]
            if with_sparrow:
                times = medians[PROGRAMS["ours"].name] / medians[PROGRAMS["sparrow"].name]
                row += [f"{times:.2f}", *verdict(times, target(n_atoms))]
            rows.append(row)
        report.table(title, ["molecule", "atoms", *labels, *ratio], rows)
    rows = [
        [name, n_atoms, *(f"{t.warm_error:.1e} / {t.cold_error:.1e}" for t in timings.values())]
        for name, (n_atoms, timings) in measured.items()
    ]
    last: list[object] = ["all", ""]
    for label in labels:
        timings = [timings[label] for _, timings in measured.values()]
        worst = max(max(timing.warm_error, timing.cold_error) for timing in timings)
        last.append("ok" if worst <= FORCE_ERROR else "TOO LARGE")
    rows.append(last)
    title = f"Largest error of the forces, warm / cold, eV/Å (allowed: {FORCE_ERROR:.0e})"
    report.table(title, ["molecule", "atoms", *labels], rows)
    report.text(
        "Errors are differences from the same program at a far tighter setting. Settings: "
        + "; ".join(f"{p.name} {p.setting} {p.loose:.0e} (against {p.tight:.0e})" for p in programs)
        + "."
    )


def verdict(times: float, limit: float | None) -> list[str]:
    """Target and whether it is reached."""
    if limit is None:
        return ["", ""]
    return [f"{limit:g}", "yes" if times <= limit else "no"]


def calibrate(report: Report, names: list[str], programs: list[Program], moves: int) -> None:
    """Error of the forces at every setting, to choose the loosest that is good enough."""
    for program in programs:
        rows, worst = [], dict.fromkeys(program.ladder, 0.0)
        for name in names:
            atoms = structure(name)
            path = chain(atoms.positions, moves)
            step = program.start(atoms, program.tight)
            exact = [step(positions) for positions in path]
            row: list[object] = [name]
            for setting in program.ladder:
                step = program.start(atoms, setting)
                errors = [np.abs(step(x) - e).max() for x, e in zip(path, exact, strict=True)]
                worst[setting] = max(worst[setting], *errors)
                row.append(f"{max(errors):.1e}")
            rows.append(row)
        good = [setting for setting, error in worst.items() if error <= FORCE_ERROR]
        title = f"{program.label}: largest error of the forces, eV/Å, by {program.setting}"
        report.table(title, ["molecule", *(f"{s:.0e}" for s in program.ladder)], rows)
        report.text(f"Loosest that is good enough: {good[0]:.0e}." if good else "None is enough.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--device", default="cpu", help="cpu or cuda (only the conformers)")
    add("--peers", default="sparrow,tblite", help="programs to compare with (default: both)")
    add("--structures", default=",".join(STRUCTURES), help="molecules, by comma")
    add("--moves", type=int, default=20, help=f"per molecule, tenfold below {SMALL} atoms")
    add("--rounds", type=int, default=5, help="turns that the programs take")
    add("--conformers", type=int, default=1000, help="molecules in one evaluate")
    add("--data", type=Path, help="HDF5 file of conformers (ANI layout); default: displaced copies")
    add("--profile", action="store_true", help="also show what the time goes into")
    add("--calibrate", action="store_true", help="only find the convergence settings")
    add("--only", choices=("single", "batch", "profile"), help="run one part")
    add("--out", type=Path, help="write the tables to this file")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    import torch

    torch.set_num_threads(1)
    peers = [key for key in options.peers.split(",") if key]
    programs = installed(["ours", *peers])
    names = options.structures.split(",")
    report = Report()
    labels = ", ".join(program.label for program in programs)
    report.text(f"{machine(options.device)}. {labels}; {versions('torch', 'numpy', 'ase')}.")
    cuda = options.device != "cpu"
    if options.calibrate:
        calibrate(report, names, programs, options.moves)
    else:
        if options.only in (None, "single") and not cuda:
            single_molecules(report, names, programs, options)
        if options.only in (None, "batch"):
            from throughput import throughput

            sparrow = PROGRAMS["sparrow"] if PROGRAMS["sparrow"] in programs and not cuda else None
            throughput(report, options.conformers, options.data, options.device, sparrow)
        if options.only == "profile" or (options.profile and options.only is None and not cuda):
            from profiling import profile

            profile(report, {name: structure(name) for name in names}, chain)
    report.write(options.out)


if __name__ == "__main__":
    main()
