"""Iterations and drift of dynamics with other starting densities: the table of docs/dynamics.md.

python benchmarks/extrapolation.py --out extrapolation.md        # ethanol, PM3 (10 minutes)
python benchmarks/extrapolation.py --time 50 --tolerances 1e-7   # a short trial
python benchmarks/extrapolation.py aspirin.xyz --model hipnn-pm3 --time 50 --tolerances 1e-7
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from math import comb
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.io import read
from report import Report

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import MDConfig, dynamics, md
from ase_mlseqm.workflows.extrapolation import DensityHistory
from ase_mlseqm.workflows.md_figures import with_error


class Last(DensityHistory):
    """The density of the last step."""

    def __init__(self) -> None:
        super().__init__(1)


class Kolafa(DensityHistory):
    """The always stable predictor of J. Comput. Chem. 25 (2004) 335, with six densities."""

    def predict(self) -> np.ndarray | None:
        count = len(self.densities)
        if count < 2:
            return super().predict()
        k = count - 2
        weights = [
            (-1) ** (j + 1) * j * comb(2 * k + 4, k + 2 - j) / comb(2 * k + 2, k + 1)
            for j in range(1, count + 1)
        ]
        density = np.tensordot(weights, np.array(self.densities), 1)
        square = density @ density
        return 3.0 * square - 2.0 * square @ density


class Niklasson(DensityHistory):
    """The auxiliary density of J. Chem. Phys. 130 (2009) 214109, K = 7, table I."""

    KAPPA, ALPHA = 1.86, 0.0016
    WEIGHTS = (-36, 99, -88, 11, 32, -25, 8, -1)

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary: list[np.ndarray] = []

    def add(self, density: np.ndarray) -> None:
        super().add(density)
        past = self.auxiliary
        if len(past) < len(self.WEIGHTS):
            new = density
        else:
            damping = np.tensordot(self.WEIGHTS, np.array(past), 1)
            new = 2.0 * past[0] - past[1] + self.KAPPA * (density - past[0]) + self.ALPHA * damping
        self.auxiliary = [new, *past][: len(self.WEIGHTS)]

    def predict(self) -> np.ndarray | None:
        return self.auxiliary[0] if self.auxiliary else None


SCHEMES = {
    "last density": Last,
    "Kolafa": Kolafa,
    "Niklasson": Niklasson,
    "polynomial": DensityHistory,
}


def measure(atoms: Atoms, options, scheme: type, tolerance: float) -> list[str]:
    """Mean iterations of a step, and the drift with its standard error."""
    calc = MLSEQM(method=options.method, model=options.model, tolerance=tolerance)
    iterations: list[int] = []
    config = MDConfig(steps=round(options.time / 0.5), max_heating=100.0)
    # dynamics() makes its own history
    original, md.DensityHistory = md.DensityHistory, scheme
    try:
        result = dynamics(
            atoms, calc, config, callback=lambda *_: iterations.append(calc.singlepoint.iterations)
        )
    finally:
        md.DensityHistory = original
    if not result.completed:
        raise SystemExit(result.message)
    return [f"{np.mean(iterations[10:]):.1f}", with_error(*result.drift)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="default: ethanol")
    parser.add_argument("--method", help="default: PM3, unless a model is given")
    parser.add_argument("--model")
    parser.add_argument("--time", type=float, default=600.0, help="fs")
    parser.add_argument(
        "--tolerances", type=float, nargs="+", default=[1e-7, 1e-5, 1e-4, 1e-3], help="eV"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.model:
        options.method = options.method or "PM3"
    atoms = read(options.file) if options.file else molecule("CH3CH2OH")
    report = Report()
    rows = []
    for name, scheme in SCHEMES.items():
        for tolerance in options.tolerances:
            rows.append([name, f"{tolerance:g}", *measure(atoms, options, scheme, tolerance)])
            print(*rows[-1], flush=True)
    header = ["start from", "tolerance, eV", "iterations", "drift, meV/atom/ps"]
    report.table(f"{atoms.get_chemical_formula()}, {options.time:g} fs", header, rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
