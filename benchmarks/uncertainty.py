"""What the uncertainty of the learned model costs, and what it says of structures of all kinds.

    python benchmarks/uncertainty.py [--model hipnn-pm3] [--data FOLDER] [--out FILE]

Cost: energy and forces through the ASE calculator, with and without it, at the same geometries and
in turns, from the last density, one thread.  With --data also how errors and estimates agree on
`dft_large_val.h5`, molecules larger than any that was trained on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from report import Report, machine, versions
from singlepoint import chain, structure

from ase_mlseqm import MLSEQM, evaluate
from ase_mlseqm.models import DEFAULT, model_file
from ase_mlseqm.results import SinglePoint, Status
from ase_mlseqm.training.calibration import Calibration
from ase_mlseqm.training.readers import read
from ase_mlseqm.units import EV_TO_KCAL

STRUCTURES = "ethanol,aspirin,peptide"
TARGET = 2.0


def medians(atoms: Atoms, model: str, moves: int, device: str) -> tuple[float, float]:
    """Median ms of energy and forces, and that with what the uncertainty adds to all else that
    `singlepoint` computes."""
    systems: list[tuple[Atoms, list[tuple[float, float]]]] = []
    for wanted in (False, True):
        copy = atoms.copy()
        copy.calc = MLSEQM(model=model, uncertainty=wanted, device=device)
        systems.append((copy, []))
    for k, positions in enumerate(chain(atoms.positions, moves)):
        for copy, times in systems if k % 2 else systems[::-1]:
            copy.positions = positions
            start = time.perf_counter()
            copy.get_forces()
            middle = time.perf_counter()
            _ = copy.calc.singlepoint
            times.append((1000 * (middle - start), 1000 * (time.perf_counter() - middle)))
    (one, rest), (other, rest_with) = (np.median(times[3:], axis=0) for _, times in systems)
    forces = 0.5 * float(one + other)
    return forces, forces + float(rest_with - rest)


def odd_structures() -> dict[str, Atoms]:
    """Structures like those trained on, and ever more unlike."""
    ethanol = molecule("CH3CH2OH")
    found = {"ethanol": ethanol, "benzene": molecule("C6H6"), "aspirin": structure("aspirin")}
    for factor in (1.2, 1.5, 2.0, 3.0):
        atoms = ethanol.copy()
        methyl = [k for k in range(len(atoms)) if atoms.get_distance(0, k) < 1.2]
        atoms.positions[methyl] += (factor - 1.0) * (atoms.positions[0] - atoms.positions[1])
        found[f"ethanol, C–C times {factor:g}"] = atoms
    line = Atoms("N8", positions=[(1.25 * k, 0.3 * (k % 2), 0) for k in range(8)])
    ring = Atoms(
        "O6", positions=[(1.4 * np.cos(t), 1.4 * np.sin(t), 0) for t in np.arange(6) * np.pi / 3]
    )
    found |= {"cubane": cubane(), "N8 chain": line, "O6 ring": ring}
    found["two ethanols, 1.2 Å apart"] = close_pair(ethanol)
    return found


def cubane() -> Atoms:
    """Cubane, C-C 1.57 and C-H 1.10 Angstrom (electron diffraction)."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    carbons = 0.785 * corners
    return Atoms("C8H8", positions=np.concatenate((carbons, carbons + 1.1 * corners / np.sqrt(3))))


def close_pair(atoms: Atoms) -> Atoms:
    """Two copies whose closest atoms are 1.2 Angstrom apart."""
    other = atoms.copy()
    other.positions[:, 2] += np.ptp(atoms.positions[:, 2]) + 1.2
    return atoms + other


def called(point: SinglePoint) -> str:
    """What a user is told of a structure."""
    words = {"unknown": point.status is Status.UNCERTAIN, "unstable": point.unstable}
    return ", ".join(word for word, true in words.items() if true)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--structures", default=STRUCTURES)
    parser.add_argument("--moves", type=int, default=30)
    parser.add_argument("--data", type=Path, help="folder of dft_large_val.h5")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (only the times)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = Report()
    checksum = model_file(options.model).sha256[:12]
    report.text(
        f"{options.model} ({checksum}). {machine(options.device)}, one thread. "
        f"{versions('ase-mlseqm', 'torch', 'ase')}."
    )
    rows = []
    for name in options.structures.split(","):
        atoms = structure(name)
        without, added = medians(atoms, options.model, options.moves, options.device)
        ratio = added / without
        times = (f"{without:.1f}", f"{added:.1f}", f"{ratio:.2f}")
        rows.append((name, len(atoms), *times, TARGET, "yes" if ratio < TARGET else "no"))
    report.table(
        "Energy and forces, density of the last geometry: ms (median)",
        ("molecule", "atoms", "without", "with uncertainty", "ratio", "target", "reached"),
        rows,
    )
    systems = odd_structures()
    points = evaluate(
        list(systems.values()),
        model=options.model,
        properties=("energy", "stability", "uncertainty"),
    )
    report.table(
        "Uncertainty of structures like and unlike the training data",
        ("structure", "atoms", "kcal/mol", "called"),
        [
            (
                name,
                len(atoms),
                f"{EV_TO_KCAL * point.uncertainty:.1f}" if point.converged else point.status.name,
                called(point),
            )
            for (name, atoms), point in zip(systems.items(), points, strict=True)
        ],
    )
    if options.data is not None:
        large(report, options.data / "dft_large_val.h5", options.model)
    report.write(options.out)


def large(report: Report, path: Path, model: str) -> None:
    """Errors and estimates of large molecules."""
    data = read([str(path)])
    systems = [
        Atoms(numbers=z, positions=x) for z, x in zip(data.numbers, data.positions, strict=True)
    ]
    points = evaluate(systems, model=model, properties=("energy", "uncertainty"))
    energies = np.array([p.atomization_energy for p in points])
    found = Calibration(
        np.array([p.uncertainty for p in points]),
        energies - data.atomization,
        np.array([len(z) for z in data.numbers]),
    )
    unknown = sum(p.status is Status.UNCERTAIN for p in points)
    sizes = f"{found.n_atoms.min()} to {found.n_atoms.max()} atoms"
    report.text(
        f"`{path.name}`, {len(points)} frames of {sizes}: "
        f"RMS error {EV_TO_KCAL * np.sqrt((found.error**2).mean()):.2f} kcal/mol, RMS uncertainty "
        f"{EV_TO_KCAL * np.sqrt((found.spread**2).mean()):.2f}, rank correlation "
        f"{found.correlation:.2f}; {unknown} called unknown."
    )


if __name__ == "__main__":
    main()
