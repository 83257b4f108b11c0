"""Conservation of energy in dynamics of a peptide, and the time of a step.

    python benchmarks/dynamics.py --out results/dynamics
    python benchmarks/dynamics.py --method PM3 --steps 50 --out dynamics

Ac-Ser-Ala-Gly-NHMe (40 atoms) is brought to the temperature by Langevin dynamics; from there it
runs without a thermostat, once in full and twice for a short time at the time step and at half of
it.  Interrupted at any time, the same command goes on.  A run whose SCF fails ends there; the
tables are those of what was done, and the command fails.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from report import Report, machine, versions

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import MDConfig, MDResult, dynamics
from ase_mlseqm.workflows.md_config import End
from ase_mlseqm.workflows.md_figures import plot_energies

TARGET = 0.1
"""meV/atom/ps."""
RATIO = (3.5, 4.5)
"""Acceptable ratio of the fluctuations at a time step and at half of it; exactly 4 for dt^2."""


class Timed(MLSEQM):
    """Remembers processor seconds and SCF iterations of every calculation."""

    def __init__(self, **keywords) -> None:
        self.seconds: list[float] = []
        self.iterations: list[int] = []
        super().__init__(**keywords)

    def calculate(self, *args, **keywords) -> None:
        start = time.process_time()
        super().calculate(*args, **keywords)
        self.seconds.append(time.process_time() - start)
        self.iterations.append(self._singlepoint.iterations)


def run(atoms: Atoms, config: MDConfig, stem: Path, options) -> tuple[MDResult, Timed]:
    """One trajectory, or what is missing of it."""
    calc = Timed(method=options.method, model=options.model, device=options.device)
    start = time.perf_counter()

    def progress(step: int, temperature: float, energy: float) -> None:
        if step % 200 == 0 or step == config.steps:
            passed = time.perf_counter() - start
            print(
                f"{stem.name}: {step}/{config.steps}, {temperature:.0f} K, {energy:.5f} eV, "
                f"{passed:.0f} s",
                flush=True,
            )

    result = dynamics(atoms, calc, config, stem=stem, callback=progress)
    if result.end not in (End.COMPLETED, End.FAILED):
        raise SystemExit(f"{stem.name} {result.message}")
    return result, calc


def fluctuation(result: MDResult) -> float:
    """Standard deviation of the total energy about its linear fit, meV/atom; NaN of few steps."""
    if result.steps < 2:
        return float("nan")
    time_fs, energy = result.table["time_fs"], result.table["total_eV"]
    rest = energy - np.polyval(np.polyfit(time_fs, energy, 1), time_fs)
    return float(1e3 * rest.std() / len(result.atoms))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--method", help="MNDO, AM1 or PM3; default: the learned model")
    add("--model", help="name or file of a learned model")
    add("--structure", default="tripeptide", help="molecule in structures/")
    add("--temperature", type=float, default=300.0, help="K")
    add("--timestep", type=float, default=0.5, help="fs")
    add("--steps", type=int, default=10000, help="of the run without thermostat")
    add("--equilibration", type=int, help="Langevin steps; default: a tenth of the others, or 100")
    add("--device", default="cpu", help="cpu or cuda")
    add("--out", type=Path, default=Path("dynamics"), help="folder")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    import torch

    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    level = options.method or options.model or "hipnn-pm3"
    atoms = read(Path(__file__).parent / "structures" / f"{options.structure}.xyz")
    first = max(options.steps // 10, 100)
    warm = MDConfig(
        ensemble="langevin",
        temperature=options.temperature,
        timestep=options.timestep,
        steps=options.equilibration or first,
        interval=100,
        max_heating=6.0,
    )
    start, _ = run(atoms, warm, options.out / "equilibration", options)
    if start.end is End.FAILED:
        raise SystemExit(f"equilibration {start.message}")
    nve = dataclasses.replace(warm, ensemble="nve", keep_velocities=True, steps=options.steps)
    result, calc = run(without_rotation(start.atoms), nve, options.out / "nve", options)
    short = min(options.steps, round(500.0 / options.timestep))
    spread, failed = {}, {"nve": result} if result.end is End.FAILED else {}
    for part in (1, 2):
        step = options.timestep / part
        config = dataclasses.replace(nve, timestep=step, steps=short * part)
        name = f"nve_{step:g}fs"
        again, _ = run(without_rotation(start.atoms), config, options.out / name, options)
        spread[step] = fluctuation(again)
        if again.end is End.FAILED:
            failed[name] = again
    plot_energies(result, options.out / "nve.png", f"{options.structure}, {level}")
    write(options, level, result, calc, spread, len(failed))
    if failed:
        raise SystemExit("; ".join(f"{name} {lost.message}" for name, lost in failed.items()))


def without_rotation(atoms: Atoms) -> Atoms:
    """Copy at rest as a whole, as it is without a thermostat."""
    from ase.md.velocitydistribution import Stationary, ZeroRotation

    copy = atoms.copy()
    Stationary(copy, preserve_temperature=False)
    ZeroRotation(copy, preserve_temperature=False)
    return copy


def write(
    options,
    level: str,
    result: MDResult,
    calc: Timed,
    spread: dict[float, float],
    failures: int,
) -> None:
    """The tables, printed and in the folder; ``failures`` are runs that ended with one."""
    report = Report()
    report.text(f"{machine(options.device)}. {versions('ase-mlseqm', 'torch', 'numpy', 'ase')}.")
    slope, error = result.drift
    (whole, wide), (half, narrow) = spread.items()
    ratio = wide / narrow
    reached = {
        "drift": "yes" if abs(slope) < TARGET else "no",
        "ratio": "yes" if RATIO[0] <= ratio <= RATIO[1] else "no",
    }
    picoseconds = result.table["time_fs"][-1] / 1e3
    rows = [
        ["slope of the total energy, meV/atom/ps", f"{slope:.4f} ± {error:.4f}", f"below {TARGET}"]
        + [reached["drift"]],
        [f"fluctuation at {whole:g} fs, meV/atom", f"{wide:.4f}", "", ""],
        [f"fluctuation at {half:g} fs, meV/atom", f"{narrow:.4f}", "", ""],
        ["their ratio", f"{ratio:.2f}", "{} to {}".format(*RATIO), reached["ratio"]],
        ["SCF failures", f"{failures}", "0", "no" if failures else "yes"],
        ["mean temperature, K", f"{result.mean_temperature:.0f}", "", ""],
    ]
    if calc.seconds[1:]:  # nothing was left to do otherwise
        seconds = float(np.median(calc.seconds[1:]))
        rows += [
            ["processor time of a step (median), ms", f"{1e3 * seconds:.1f}", "", ""],
            ["SCF iterations of a step", f"{np.mean(calc.iterations[1:]):.1f}", "", ""],
        ]
    report.table(
        f"{options.structure} ({len(result.atoms)} atoms), {level}: {result.steps} steps of "
        f"{whole:g} fs ({picoseconds:g} ps) without thermostat",
        ["", "value", "target", "reached"],
        rows,
    )
    report.text(
        "The slope is that of a line through the means of 20 blocks, with its standard error. The "
        "fluctuation is the standard deviation about the fitted line, from the same initial state "
        "at either time step."
    )
    report.write(options.out / "dynamics.md")


if __name__ == "__main__":
    main()
