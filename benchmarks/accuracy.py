"""How far a learned model, PM3, AM1 and GFN2-xTB are from labelled frames.

    python benchmarks/accuracy.py --data ../shared/data --out accuracy
    python benchmarks/accuracy.py --model FILE --data ../shared/data --sets test,large --out final

Sets: `validation` (validation fragments of dft_train.h5), `large_val`, `ions_radicals`, and the
final tests `test`, `large` and `heldout`: every evaluation of these adds a row to the log, and
there is none without it.  Writes accuracy.md, accuracy.json and pictures into the folder.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from accuracy_figures import plot_forces, plot_sizes
from accuracy_log import log_row
from accuracy_methods import GFN2, Properties, fit_shifts, methods, predict
from accuracy_metrics import SAMPLES, frame_errors, summarise
from accuracy_results import Evaluation, FrameRecord, SetResult
from accuracy_sets import (
    FILES,
    FINAL,
    OPEN,
    Labelled,
    element_counts,
    load,
    training_frames,
)
from accuracy_tables import write_report
from ase.data import chemical_symbols
from report import Report, versions

from ase_mlseqm.errors import InputError
from ase_mlseqm.evaluation_log import EvaluationLog
from ase_mlseqm.models import DEFAULT, model_file
from ase_mlseqm.nn.weights import config_to_dict

ROOT = Path(__file__).parents[1]
SETS = (*FILES, OPEN)
DEFAULT_SETS = ("validation", "large_val", OPEN)
ELEMENTS = (1, 6, 7, 8)

Shifts = dict[str, np.ndarray]
"""Constants per element of ELEMENTS, eV, by method."""


def predictions(frames: Labelled, model: str) -> dict[str, Properties]:
    """What every method says about the frames."""
    return {method: predict(method, frames.molecules, model) for method in methods()}


def fitted_shifts(frames: Labelled, model: str) -> tuple[Shifts, int]:
    """Constants of every method, and the number of frames all of them were fitted on."""
    counts = element_counts(frames.molecules, ELEMENTS)
    found = predictions(frames, model)
    good = np.all([p.converged for p in found.values()], axis=0)
    reference = np.where(good, frames.reference.atomization, np.nan)
    fits = {m: fit_shifts(p.atomization, reference, counts) for m, p in found.items()}
    return {m: constants for m, (constants, _) in fits.items()}, int(good.sum())


def evaluate_set(
    frames: Labelled, found: dict[str, Properties], shifts: Shifts, samples: int, seed: int
) -> SetResult:
    """Metrics of all groups of frames, and the errors of every frame."""
    counts = element_counts(frames.molecules, ELEMENTS)
    errors = {
        method: frame_errors(predicted, frames.reference, counts @ shifts[method])
        for method, predicted in found.items()
    }
    good = np.all([p.converged for p in found.values()], axis=0)
    groups = {
        name: summarise(
            {m: e.select(mask & good) for m, e in errors.items()},
            frames.molecule[mask & good],
            samples,
            seed,
        )
        for name, mask in frames.groups().items()
        if (mask & good).any()
    }
    records = [
        FrameRecord(
            frames.names[k],
            frames.smiles[k],
            frames.kinds[k],
            int(frames.heavy[k]),
            [m for m, p in found.items() if not p.converged[k]],
            {m: float(e.force[k]) for m, e in errors.items()},
            {m: float(e.atomization[k]) for m, e in errors.items()},
            {m: float(e.shifted[k]) for m, e in errors.items()},
        )
        for k in range(len(frames))
    ]
    return SetResult(frames.note, frames.file, frames.sha256, groups, records)


def run(options: argparse.Namespace) -> Evaluation:
    """Evaluate all sets; every result of a final test is logged before anybody sees it."""
    final = any(name in FINAL for name in options.sets)
    log = EvaluationLog(options.log) if final else None
    file = model_file(options.model)
    training = training_frames(options.data, options.fraction, options.seed)
    shifts, n_fitted = fitted_shifts(training, options.model)
    result = Evaluation(
        model=file.model.name,
        sha256=file.sha256,
        card=file.card,
        config=config_to_dict(file.model.config),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions("ase-mlseqm", "torch", *(["tblite"] if GFN2 in shifts else [])),
        methods=list(shifts),
        fraction=options.fraction,
        seed=options.seed,
        samples=options.samples,
        shifts={
            m: {chemical_symbols[z]: float(c) for z, c in zip(ELEMENTS, found, strict=True)}
            for m, found in shifts.items()
        },
        shift_frames=n_fitted,
        sets={},
    )
    for name in options.sets:
        print(f"{name} ...", flush=True)
        frames = load(name, options.data, options.fraction, options.seed, options.heldout_frames)
        found = predictions(frames, options.model)
        result.sets[name] = evaluate_set(frames, found, shifts, options.samples, options.seed)
        if log is not None and name in FINAL:
            log.append(log_row(result, name))
        if not result.sets[name].groups:
            raise SystemExit(f"{name}: no frame converged with every method")
        plot_forces(frames, found, result.model, name, options.out / f"forces_{name}.png")
    return result


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=DEFAULT, help="name or file of a learned model")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled frames")
    parser.add_argument("--sets", default=",".join(DEFAULT_SETS), help=", ".join(SETS))
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument(
        "--log", type=Path, default=ROOT / "docs" / "test_log.csv", help="CSV of all final tests"
    )
    parser.add_argument(
        "--fraction",
        type=float,
        default=0.05,
        help="share of the fragments that are validation (0.05 as in pre-training; these are also "
        "validation with 0.1, as in fine-tuning)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of split, subset and bootstrap")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="bootstrap samples")
    parser.add_argument(
        "--heldout-frames", type=int, default=1000, help="at least so many frames of heldout"
    )
    options = parser.parse_args(arguments)
    options.sets = list(dict.fromkeys(options.sets.split(",")))
    for name in options.sets:
        if name not in SETS:
            parser.error(f"unknown set {name!r}: choose from {', '.join(SETS)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        result = run(options)
    except InputError as error:
        raise SystemExit(str(error)) from None
    result.write(options.out / "accuracy.json")
    plot_sizes(result, options.out / "sizes.png")
    report = Report()
    write_report(report, result)
    report.write(options.out / "accuracy.md")


if __name__ == "__main__":
    main()
