"""What the network adds to the time of energy and forces: learned model against plain PM3.

    python benchmarks/overhead.py [--model hipnn-pm3] [--out FILE]

Both through the ASE calculator, at the same geometries and in turns, from the last density.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from report import Report, machine, versions
from singlepoint import chain, structure

from ase_mlseqm import MLSEQM
from ase_mlseqm.models import DEFAULT

STRUCTURES = "water,ethanol,aspirin"
TARGET_ATOMS, TARGET = 21, 2.0


def medians(atoms: Atoms, model: str, moves: int, device: str) -> tuple[float, float]:
    """Median ms of a step with PM3 and with the model."""
    systems = []
    for keywords in ({"method": "PM3"}, {"model": model}):
        copy = atoms.copy()
        copy.calc = MLSEQM(device=device, **keywords)
        systems.append((copy, []))
    for k, positions in enumerate(chain(atoms.positions, moves)):
        for copy, times in systems if k % 2 else systems[::-1]:
            copy.positions = positions
            start = time.perf_counter()
            copy.get_potential_energy()
            copy.get_forces()
            times.append(1000 * (time.perf_counter() - start))
    plain, learned = (float(np.median(times[3:])) for _, times in systems)
    return plain, learned


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--structures", default=STRUCTURES)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = Report()
    report.text(f"{machine(options.device)}, one thread. {versions('ase-mlseqm', 'torch', 'ase')}.")
    rows = []
    for name in options.structures.split(","):
        atoms = structure(name)
        plain, learned = medians(atoms, options.model, options.moves, options.device)
        ratio = learned / plain
        aim = len(atoms) == TARGET_ATOMS
        reached = ("yes" if ratio <= TARGET else "no") if aim else ""
        times = (f"{plain:.2f}", f"{learned:.2f}", f"{ratio:.2f}")
        rows.append((name, len(atoms), *times, TARGET if aim else "", reached))
    report.table(
        "Energy and forces, density of the last geometry: ms (median)",
        ("molecule", "atoms", "PM3", options.model, "ratio", "target", "reached"),
        rows,
    )
    report.write(options.out)


if __name__ == "__main__":
    main()
