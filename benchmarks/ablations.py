"""What each choice of the model and the training is worth, at one reduced budget for all.

    python benchmarks/ablations.py --data FOLDER --out FOLDER [--variants nine,all] [--seeds 0,1]

Every variant is trained on the same fifth of the training frames of `ani1x_labels.h5` for the same
number of steps, with two seeds, and judged on validation fragments (of `ani1x_labels.h5` and of
`dft_train.h5`) and on `dft_large_val.h5`; no test file is touched.  What is finished or half done
in the output folder is not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import Report, processor, versions

from ase_mlseqm.nn.parameter_head import CORRECTIONS, PAPER
from ase_mlseqm.nn.weights import seeded
from ase_mlseqm.training.batches import n_orbitals
from ase_mlseqm.training.config import OptimizerConfig, TrainConfig
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.evaluate import evaluate_errors
from ase_mlseqm.training.parallel import Threads, World
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.run import default_threads
from ase_mlseqm.training.split import split
from ase_mlseqm.training.trainer import Trainer
from ase_mlseqm.units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL

SHARE, EPOCHS = 0.2, 2
OPTIMIZER = OptimizerConfig("muon", 4e-3, warm_up=60, weight_decay=0.02, clip=100.0, average=0.99)
BASE = TrainConfig(epochs=EPOCHS, max_validation=1000, optimizer=OPTIMIZER)
CORE = ("alpha", "K", "L", "M")


def _model(**changes: object) -> Callable[[TrainConfig], TrainConfig]:
    return lambda c: dataclasses.replace(c, model=dataclasses.replace(c.model, **changes))


def _network(**changes: object) -> Callable[[TrainConfig], TrainConfig]:
    return lambda c: _model(network=dataclasses.replace(c.model.network, **changes))(c)


def _loss(**changes: object) -> Callable[[TrainConfig], TrainConfig]:
    return lambda c: dataclasses.replace(c, loss=dataclasses.replace(c.loss, **changes))


VARIANTS: dict[str, tuple[str, Callable[[TrainConfig], TrainConfig]]] = {
    "nine": ("the paper's nine parameters", lambda c: c),
    "fixed table": ("nine, no correction of the table itself", _model(learn_table=False)),
    "core": ("nine, alpha and the Gaussians", _model(parameters=(*PAPER, *CORE))),
    "all": ("all fifteen parameters", _model(parameters=tuple(CORRECTIONS))),
    "tensor 1": ("nine, tensor sensitivities of order 1", _network(tensor_order=1)),
    "tensor 2": ("nine, tensor sensitivities of order 2", _network(tensor_order=2)),
    "forces": ("nine, energies weighted with 0.1", _loss(energy_weight=0.1)),
    "energies": ("nine, energies weighted with 2", _loss(energy_weight=2.0)),
    "rmse": ("nine, RMSE alone", _loss(rmse_share=1.0)),
    "adamw": (
        "nine, AdamW with learning rate 2e-3",
        lambda c: dataclasses.replace(
            c, optimizer=dataclasses.replace(OPTIMIZER, kind="adamw", learning_rate=2e-3)
        ),
    ),
    "dft": ("nine, one frame in ten from dft_train.h5", lambda c: c),
    "dft dipoles": ("the same with dipoles in the loss", _loss(dipole_weight=0.5)),
    "dft shipped": (
        "the same with dipoles, all fifteen, tensors of order 1: hipnn-pm3",
        lambda c: _network(tensor_order=1)(
            _model(parameters=tuple(CORRECTIONS))(_loss(dipole_weight=0.5)(c))
        ),
    ),
}
"""Description and change of the settings.  "dft" changes the data."""
DFT_SHARE = 0.1


def training_frames(data: Dataset, training: np.ndarray, dft: bool) -> np.ndarray:
    """The fifth of the frames that all variants see, or with a tenth of it from DFT."""
    model = training[data.source[training] == 0]
    random = np.random.default_rng(0)
    chosen = random.permutation(model)[: round(SHARE * len(model))]
    if dft:
        real = training[data.source[training] == 1]
        n_real = round(DFT_SHARE * len(chosen))
        chosen = np.concatenate((chosen[n_real:], random.choice(real, n_real)))
    return chosen


def run(
    name: str, seed: int, data: Dataset, large: Dataset, out: Path, threads: int
) -> dict[str, float]:
    """Train a variant with one seed, and its errors."""
    folder = out / f"{name.replace(' ', '_')}_{seed}"
    done = folder / "errors.json"
    if done.exists():
        return json.loads(done.read_text())
    config = dataclasses.replace(VARIANTS[name][1](BASE), seed=seed)
    training, validation, _ = split(data, config.validation_fraction, config.split_seed)
    parts = {
        "labels": validation[data.source[validation] == 0],
        "dft": validation[data.source[validation] == 1],
    }
    model = seeded(config.model, seed, name)
    trainer = Trainer(
        model,
        data,
        training_frames(data, training, name.startswith("dft")),
        parts["labels"],
        config,
        folder,
        threads=threads,
    )
    trainer.run()
    trainer.load_average()
    cpu = torch.device("cpu")
    errors: dict[str, float] = {"steps": trainer.progress.step}
    sets = [
        (key, data, trainer.validation if key == "labels" else rows) for key, rows in parts.items()
    ]
    for key, some, rows in [*sets, ("large", large, np.arange(len(large)))]:
        found = evaluate_errors(
            model, some, rows, n_orbitals(some), config, Threads(threads), World(), cpu
        )
        errors[f"{key}_force"] = found.force_mae * EV_TO_KCAL
        errors[f"{key}_energy"] = found.energy_mae * EV_TO_KCAL
        errors[f"{key}_dipole"] = found.dipole_mae * E_ANGSTROM_TO_DEBYE
        errors[f"{key}_unconverged"] = found.unconverged
    done.write_text(json.dumps(errors, indent=1))
    return errors


COLUMNS = {
    "labels_force": "forces, validation",
    "labels_energy": "energies, validation",
    "dft_force": "forces, DFT validation",
    "dft_energy": "energies, DFT validation",
    "dft_dipole": "dipoles, DFT validation",
    "large_force": "forces, large molecules",
}


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the HDF5 files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--threads", type=int, default=default_threads())
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.variants.split(",")
    seeds = [int(seed) for seed in options.seeds.split(",")]
    data = read([options.data / "ani1x_labels.h5", options.data / "dft_train.h5"])
    large = read([options.data / "dft_large_val.h5"])
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        for name in names:
            errors = run(name, seed, data, large, options.out, options.threads)
            found.setdefault(name, []).append(errors)
            print(name, seed, {k: round(v, 3) for k, v in errors.items()}, flush=True)
    report = Report()
    report.text(f"{processor()}. {versions('ase-mlseqm', 'torch', 'numpy')}.")
    rows = []
    for name, runs in found.items():
        cells = []
        for key in COLUMNS:
            values = [errors[key] for errors in runs]
            spread = f" ± {np.ptp(values) / 2:.2f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.2f}{spread}")
        rows.append((VARIANTS[name][0], len(runs), *cells))
    report.table(
        "MAE of forces (kcal/mol/Å), atomization energies (kcal/mol) and components of the dipole "
        "(D): mean of the seeds ± half their difference",
        ("variant", "seeds", *COLUMNS.values()),
        rows,
    )
    steps = {errors["steps"] for runs in found.values() for errors in runs}
    report.text(
        f"{SHARE:.0%} of the training frames of ani1x_labels.h5, {EPOCHS} epochs, "
        f"{', '.join(f'{n:.0f}' for n in sorted(steps))} steps of {BASE.batch_size} frames."
    )
    report.write(options.out / "ablations.md")


if __name__ == "__main__":
    main()
