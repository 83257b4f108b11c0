"""Does the SCF converge, and to the lowest solution?

    python benchmarks/robustness.py --data ../shared/data/ani1x_labels.h5 --mopac 200 --out table.md

Frames of a data file, the same with a random bond stretched to 1.5, 2 and 3 times its length,
and boxes of randomly placed atoms: each ends converged or flagged.  Every converged density is
checked against a Fock matrix that is built anew, and with `--mopac N` the energies of N
molecules of every set are compared with MOPAC's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from frames import Frame, random_boxes, read_frames, stretch
from report import Report, processor, versions
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
from mopac import MopacJob, run_mopac_batch

from ase_mlseqm import SCFSettings, SinglePoint, evaluate
from ase_mlseqm.batch import Molecule, collate
from ase_mlseqm.model import PlainModel
from ase_mlseqm.nddo.fock import build_maps, fock_builder
from ase_mlseqm.nddo.integrals import integrals, prepare
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.validate import check

METHOD = "PM3"
FACTORS = (1.5, 2.0, 3.0)
TARGETS = {"plain": 0.999, "1.5 x": 0.99, "2 x": 0.97, "3 x": 0.97, "boxes": 0.90}
ABOVE = 1e-3
"""eV; a solution this much above MOPAC's is a wrong answer."""
MOPAC_CRITERION = 1e-6
"""kcal/mol."""


def molecule_sets(data: Path, n_frames: int, n_boxes: int) -> dict[str, list[Molecule]]:
    """All sets; the first members do not depend on how many there are."""
    plain = read_frames(data, n_frames)
    sets: dict[str, Sequence[Frame]] = {"plain": plain}
    for factor in FACTORS:
        sets[f"{factor:g} x"] = [stretch(frame, factor, k) for k, frame in enumerate(plain)]
    if n_boxes:
        sets["boxes"] = random_boxes(n_boxes)
    return {name: [Molecule(*frame) for frame in frames] for name, frames in sets.items()}


def rebuild_residual(molecule: Molecule, result: SinglePoint) -> tuple[float, float]:
    """Largest elements of [F(d), d] (eV) and of d d - d, F built anew from the density d."""
    density = result.density
    assert density is not None
    model = PlainModel(result.method)
    batch = collate([check(molecule, model, result.unrestricted)])
    layout = build_layout(batch.numbers)
    positions = batch.positions.flatten(0, 1)[layout.slot]
    constants = prepare(layout, model.parameters(layout, positions))
    ints = integrals(layout, constants, positions)
    builder = fock_builder(layout, build_maps(layout), constants, ints)
    fock = builder(batch.positions.new_tensor(density).unsqueeze(1)).squeeze(1).numpy()
    commutator = fock @ density - density @ fock
    return float(np.abs(commutator).max()), float(np.abs(density @ density - density).max())


def run(molecules: list[Molecule], device: str, task) -> tuple[list[SinglePoint], float]:
    """Results of one `evaluate`, and its seconds."""
    start = time.perf_counter()
    wanted = ("energy", "density")
    results = evaluate(molecules, METHOD, wanted, device, callback=lambda *_: task())
    return results, time.perf_counter() - start


def convergence_row(
    name: str, molecules: list[Molecule], results: list[SinglePoint], seconds: float
) -> list[str]:
    """Counts, iterations, and the check of every converged density; stops at silent failures."""
    good = [r for r in results if r.converged]
    for result in results:
        numbers = [result.energy, result.heat_of_formation]
        if result.converged != bool(np.isfinite(numbers).all()):
            raise RuntimeError(f"{name}: converged and its numbers contradict each other")
    iterations = np.array([r.iterations for r in results])
    rate = len(good) / len(results)
    rungs = Counter(r.rung if r.converged else r.status.name.lower() for r in results)
    return [
        name,
        f"{len(molecules)}",
        f"{rate:.2%}",
        f"{TARGETS[name]:.1%}",
        "yes" if rate >= TARGETS[name] else "no",
        ", ".join(f"{rung} {count}" for rung, count in rungs.most_common()),
        f"{np.median(iterations):.0f} / {np.percentile(iterations, 95):.0f} / {iterations.max()}",
        f"{seconds:.1f}",
    ]


def residual_row(
    name: str, molecules: list[Molecule], results: list[SinglePoint], task
) -> list[str]:
    """Residuals of Fock matrices that are built anew."""
    checks = []
    for molecule, result in zip(molecules, results, strict=True):
        task()
        if result.converged:
            checks.append(rebuild_residual(molecule, result))
    residuals, defects = np.array(checks).T
    over = int((residuals >= SCFSettings().tolerance).sum())
    return [name, f"{len(checks)}", f"{residuals.max():.1e}", f"{over}", f"{defects.max():.1e}"]


def compare_with_mopac(
    name: str, molecules: list[Molecule], results: list[SinglePoint], task
) -> tuple[list[str], list[str]]:
    """Row of the table, and a line for every molecule that lies above MOPAC."""
    jobs = [
        MopacJob(m.numbers, m.positions, METHOD, 0, r.multiplicity, scf_criterion=MOPAC_CRITERION)
        for m, r in zip(molecules, results, strict=True)
    ]
    theirs: list[dict] = []
    for start in range(0, len(jobs), 10):
        part = jobs[start : start + 10]
        theirs += run_mopac_batch(part, timeout=60.0, jobs_per_process=10)
        for _ in part:
            task()
    differences = np.full(len(jobs), np.nan)
    for k, (result, other) in enumerate(zip(results, theirs, strict=True)):
        if result.converged and other["converged"]:
            assert result.heat_of_formation is not None
            heat = other["heat_of_formation_kcal_mol"] / EV_TO_KCAL
            differences[k] = result.heat_of_formation - heat
    both = np.isfinite(differences)
    above, below = differences > ABOVE, differences < -ABOVE
    equal = np.abs(differences[both & ~above & ~below])
    row = [
        name,
        f"{len(jobs)}",
        f"{np.mean([r.converged for r in results]):.1%}",
        f"{np.mean([other['converged'] for other in theirs]):.1%}",
        f"{both.sum()}",
        f"{above.sum()}",
        f"{below.sum()}",
        f"{equal.max():.1e}" if len(equal) else "",
    ]
    lines = [
        f"{name} {k}: {differences[k]:+.4f} eV ({results[k].rung}, {results[k].iterations} "
        f"iterations, multiplicity {results[k].multiplicity})"
        for k in np.flatnonzero(above)
    ]
    return row, lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="HDF5 file of frames (ANI layout)")
    add("--frames", type=int, default=2000, help="frames, each also stretched")
    add("--boxes", type=int, default=500, help="boxes of random atoms")
    add("--device", default="cpu", help="cpu or cuda")
    add("--mopac", type=int, default=0, metavar="N", help="compare N of every set with MOPAC")
    add("--out", type=Path, help="write the tables to this file")
    return parser.parse_args()


def tracked(bar: Progress, sets: dict, what: str) -> Iterator[tuple]:
    """Name, members and a function that moves the bar by one, for every set."""
    for name, members in sets.items():
        task = bar.add_task(f"{what}: {name}", total=len(members))
        yield name, members, lambda task=task: bar.advance(task)


def main() -> None:
    options = arguments()
    report = Report()
    report.text(
        f"{processor()}; {versions('ase-mlseqm', 'torch')}; {METHOD}, tolerance "
        f"{SCFSettings().tolerance:.0e} eV, on {options.device}; frames of {options.data.name}."
    )
    sets = molecule_sets(options.data, options.frames, options.boxes)
    sets = {name: molecules for name, molecules in sets.items() if molecules}
    columns = [TextColumn("{task.description:20s}"), BarColumn(), MofNCompleteColumn()]
    results, convergence, residuals, mopac, lines = {}, [], [], [], []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        for name, molecules, task in tracked(bar, sets, "SCF"):
            results[name], seconds = run(molecules, options.device, task)
            convergence.append(convergence_row(name, molecules, results[name], seconds))
        for name, molecules, task in tracked(bar, sets, "rebuilt"):
            residuals.append(residual_row(name, molecules, results[name], task))
        some = {name: molecules[: options.mopac] for name, molecules in sets.items()}
        if options.mopac:
            for name, molecules, task in tracked(bar, some, "MOPAC"):
                row, above = compare_with_mopac(
                    name, molecules, results[name][: options.mopac], task
                )
                mopac.append(row)
                lines += above
    header = ["set", "molecules", "converged", "target", "reached", "rungs needed"]
    header += ["iterations median / 95 % / most", "s"]
    report.table("Convergence", header, convergence)
    header = ["set", "converged", "largest [F, d], eV", "above tolerance", "largest dd - d"]
    report.table("Densities, Fock matrix built anew from each", header, residuals)
    if options.mopac:
        header = ["set", "molecules", "converged", "MOPAC converged", "both", "above MOPAC"]
        header += ["below MOPAC", "largest difference of the others, eV"]
        report.table(f"Beside MOPAC (above and below: by more than {ABOVE:g} eV)", header, mopac)
        report.text("Above MOPAC: " + ("; ".join(lines) if lines else "none") + ".")
    report.write(options.out)


if __name__ == "__main__":
    main()
