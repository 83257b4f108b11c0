"""Molecules per second: one `evaluate` on two threads beside two processes of Sparrow."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read
from frames import Frame, displaced, read_frames
from programs import PROGRAMS, Program, Sparrow
from report import Report

from ase_mlseqm import SCFSettings, evaluate
from ase_mlseqm.engines import shared_engine

WORKERS = 2
ROUNDS = 3
TARGET = 0.5
"""Molecules per second in units of those of two Sparrow processes."""
CHECKED = 50
"""Molecules whose forces are compared with a far tighter SCF."""
SHIPPED = ("ethanol", "benzene", "aspirin")


def sparrow_part(frames: list[Frame], density_rmsd: float) -> tuple[float, list[np.ndarray]]:
    """Seconds and forces of a part; every molecule starts cold, one calculator a composition."""
    import scine_sparrow  # noqa: F401  (not part of the time)

    start = time.perf_counter()
    calculators: dict[bytes, Sparrow] = {}
    forces = []
    for numbers, positions in frames:
        key = numbers.tobytes()
        if key not in calculators:
            calculators[key] = Sparrow([chemical_symbols[z] for z in numbers], density_rmsd)
        calculators[key].restart(positions)
        forces.append(calculators[key].forces())
    return time.perf_counter() - start, forces


class SparrowPool:
    """Two processes that are started before anything is timed."""

    def __init__(self, frames: list[Frame]) -> None:
        self.parts = [frames[k::WORKERS] for k in range(WORKERS)]
        self.pools = [multiprocessing.get_context("spawn").Pool(1) for _ in self.parts]
        self.run([part[:2] for part in self.parts], 1e-6)

    def run(self, parts: list[list[Frame]], density_rmsd: float) -> tuple[float, list[np.ndarray]]:
        """Seconds of the slower process, and the forces in the order of the frames."""
        jobs = [
            pool.apply_async(sparrow_part, (part, density_rmsd))
            for pool, part in zip(self.pools, parts, strict=True)
        ]
        results = [job.get() for job in jobs]
        forces: list[np.ndarray] = [np.empty(0)] * sum(len(part) for part in parts)
        for k, (_, found) in enumerate(results):
            forces[k::WORKERS] = found
        return max(seconds for seconds, _ in results), forces

    def close(self) -> None:
        for pool in self.pools:
            pool.terminate()
            pool.join()


def ours(atoms: list[Atoms], device: str, tolerance: float) -> tuple[float, list]:
    """Seconds and results of one `evaluate`, index maps of earlier calls forgotten."""
    shared_engine.cache_clear()
    _synchronise(device)
    start = time.perf_counter()
    results = evaluate(atoms, "PM3", device=device, scf=SCFSettings(tolerance=tolerance))
    _synchronise(device)
    return time.perf_counter() - start, results


def _synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def conformers(data: Path | None, count: int) -> tuple[list[Frame], str]:
    """The molecules and a sentence on them."""
    if data is not None:
        frames, source = read_frames(data, count), f"frames of {data.name}"
    else:
        folder = Path(__file__).parent / "structures"
        shipped = [read(folder / f"{name}.xyz") for name in SHIPPED]
        frames = displaced([(a.numbers, a.positions) for a in shipped], count)
        source = f"displaced copies (0.05 Å) of {', '.join(SHIPPED)}"
    sizes = [len(numbers) for numbers, _ in frames]
    kinds = len({numbers.tobytes() for numbers, _ in frames})
    return frames, (
        f"{count} conformers: {source}, {min(sizes)} to {max(sizes)} atoms "
        f"(mean {np.mean(sizes):.1f}), {kinds} compositions."
    )


def throughput(
    report: Report, count: int, data: Path | None, device: str, sparrow: Program | None
) -> None:
    """Table of molecules per second; the programs take turns."""
    frames, source = conformers(data, count)
    atoms = [Atoms(numbers, positions) for numbers, positions in frames]
    tolerance = PROGRAMS["ours"].loose
    before = torch.get_num_threads()
    torch.set_num_threads(WORKERS)
    pool = SparrowPool(frames) if sparrow else None
    try:
        ours(atoms[: 2 * CHECKED], device, tolerance)
        seconds: dict[str, list[float]] = {"ours": [], "sparrow": []}
        for _ in range(ROUNDS):
            elapsed, results = ours(atoms, device, tolerance)
            seconds["ours"].append(elapsed)
            if pool and sparrow:
                elapsed, forces = pool.run(pool.parts, sparrow.loose)
                seconds["sparrow"].append(elapsed)
        _, exact = ours(atoms[:CHECKED], device, PROGRAMS["ours"].tight)
        errors = [_difference(a.forces, b.forces) for a, b in zip(results, exact, strict=False)]
        name = f"ase-mlseqm, {WORKERS} threads" if device == "cpu" else f"ase-mlseqm, {device}"
        rows = [_row(name, count, seconds["ours"], max(errors))]
        if pool and sparrow:
            parts = [part[: CHECKED // WORKERS] for part in pool.parts]
            _, exact = pool.run(parts, sparrow.tight)
            errors = [_difference(a, b) for a, b in zip(forces, exact, strict=False)]
            name = f"Sparrow, {WORKERS} processes"
            rows.append(_row(name, count, seconds["sparrow"], max(errors)))
    finally:
        torch.set_num_threads(before)
        if pool:
            pool.close()
    header = ["program", "s", "molecules / s", "error of forces, eV/Å"]
    report.table("Energy and forces of many conformers, every one from a cold start", header, rows)
    report.text(
        f"{source} Median of {ROUNDS} rounds; errors of the first {CHECKED}; "
        f"{sum(not r.converged for r in results)} did not converge."
    )
    if pool:
        ratio = float(np.median(seconds["sparrow"]) / np.median(seconds["ours"]))
        apart = [_difference(r.forces, f) for r, f in zip(results, forces, strict=True)]
        report.text(
            f"Ours / Sparrow, molecules per second: {ratio:.2f} (target {TARGET}, "
            f"{'reached' if ratio >= TARGET else 'not reached'}). The forces of both differ by "
            f"{np.median(apart):.1e} (median) and {max(apart):.1e} eV/Å (largest)."
        )


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _row(name: str, count: int, seconds: list[float], error: float) -> list[str]:
    median = float(np.median(seconds))
    return [name, f"{median:.2f}", f"{count / median:.0f}", f"{error:.1e}"]
