"""A model whose weights are the mean of those of several that were trained from the same start.

    python benchmarks/mean_of_weights.py FIRST.safetensors:0.5 SECOND.safetensors:0.5 \
        --data labels.h5 --out mean.safetensors

Trainings that begin from the same weights stay in the same valley, and the middle between them is
often better than either (Wortsman et al., Proc. Mach. Learn. Res. 162 (2022) 23965).  Numbers
behind the colons are shares.  The card is that of the first model, with those of the others and
the errors on the validation frames of ``--data``.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ase_mlseqm import Engine, InputError
from ase_mlseqm.models import model_file
from ase_mlseqm.nn.hamiltonian import LearnedHamiltonian
from ase_mlseqm.nn.weights import ModelFile, save_model
from ase_mlseqm.training.calibration import kept
from ase_mlseqm.training.history import splits_behind
from ase_mlseqm.training.readers import read

TOLD = ("epoch", "settings", "start", "step", "training", "versions")
"""What the card keeps of each model."""


def mean(
    files: list[ModelFile], shares: list[float], smoothing: float | None
) -> LearnedHamiltonian:
    """The model with the mean weights, with the ``smoothing`` of the first or another one."""
    form = files[0].model.config
    for file in files[1:]:
        network = dataclasses.replace(file.model.config.network, smoothing=form.network.smoothing)
        if dataclasses.replace(file.model.config, network=network) != form:
            raise InputError(
                f"{file.sha256[:12]} and {files[0].sha256[:12]} differ in form: give models that "
                "were trained from the same one"
            )
    if smoothing is not None:
        network = dataclasses.replace(form.network, smoothing=smoothing)
        form = dataclasses.replace(form, network=network)
    model = LearnedHamiltonian(form)
    model.network.requires_grad_(False)
    weights = [file.model.network.state_dict() for file in files]
    model.network.load_state_dict(
        {
            name: sum(share * part[name] for share, part in zip(shares, weights, strict=True))
            / sum(shares)
            for name in weights[0]
        }
    )
    model.states = frozenset.intersection(*(file.model.states for file in files))
    return model


def validation(model: LearnedHamiltonian, data: list[str], card: dict[str, Any]) -> dict[str, Any]:
    """Errors on the frames that the trainings kept for validation, eV and eV/Angstrom."""
    labels = read(data)
    rows = kept(labels, splits_behind(card))
    if not len(rows):
        raise InputError("nothing of --data is kept for validation: give what was trained on")
    points = Engine(model).run(labels.molecules(rows))
    done = [(k, p) for k, p in zip(rows, points, strict=True) if p.converged]
    energy = np.array([p.atomization_energy - labels.atomization[k] for k, p in done])
    forces = np.concatenate([(p.forces - labels.forces[k]).ravel() for k, p in done])
    errors = {"energy": energy, "force": forces}
    return {
        **{f"{name}_mae": float(np.abs(wrong).mean()) for name, wrong in errors.items()},
        **{f"{name}_rmse": float(np.sqrt((wrong**2).mean())) for name, wrong in errors.items()},
        "frames": len(rows),
        "unconverged": len(rows) - len(done),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="+", help="MODEL:SHARE")
    parser.add_argument("--smoothing", type=float, help="instead of that of the first")
    parser.add_argument("--data", nargs="+", required=True, help="labels, for the validation")
    parser.add_argument("--name", help="of the new model; that of the first otherwise")
    parser.add_argument("--license", default="BSD-3-Clause")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    names, _, numbers = zip(*(text.rpartition(":") for text in options.models), strict=True)
    files, shares = [model_file(name) for name in names], [float(number) for number in numbers]
    model = mean(files, shares, options.smoothing)
    model.name = options.name or files[0].model.name
    card = files[0].card | {"license": options.license, "name": model.name}
    card["states"] = sorted(model.states)
    card["averaged"] = [
        {"sha256": file.sha256, "share": share / sum(shares)}
        | {key: file.card[key] for key in TOLD if key in file.card}
        for file, share in zip(files, shares, strict=True)
    ]
    card["validation"] = validation(model, options.data, card)
    print(save_model(options.out, model, card), card["validation"])


if __name__ == "__main__":
    main()
