"""What ``mlseqm train`` does: read, split, train, write the model."""

from __future__ import annotations

import dataclasses
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..devices import find_device
from ..errors import InputError
from ..models import model_file
from ..nddo.layout import build_layout
from ..nn.hamiltonian import LearnedHamiltonian
from ..nn.weights import ModelFile, save_model, seeded
from ..options import check_types, number, positive_whole
from ..summary import jsonable, versions
from .config import TrainConfig
from .curves import draw_curves
from .dataset import Dataset
from .evaluate import Errors
from .folder import check_folder, describe, named
from .history import files_behind, splits_behind, warn_of_changes
from .parallel import find_world
from .presets import start_from
from .readers import read
from .sides import Sides, both_sides, warn_of_elements
from .trainer import Progress, Trainer


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How data files are to be read."""

    level: str | None = None
    """Level of theory of files that do not state it."""
    units: str | None = None
    """Units of files that do not state them: hartree or ev."""
    isolated: dict[str, float] | None = None
    """Energies of isolated atoms by element, Hartree, where the level is not known."""
    gradients: bool = False
    """The files hold gradients instead of forces."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclasses.dataclass(frozen=True)
class TrainOutcome:
    """How a training ended: the model file (None before the first validation) and its errors."""

    finished: bool
    progress: Progress
    model: Path | None


def train(
    config: TrainConfig,
    files: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    options: DataOptions | None = None,
    start: Path | str | None = None,
    name: str | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    max_hours: float | None = None,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> TrainOutcome:
    """Train a Hamiltonian, or go on with the training in ``out``.

    Parameters
    ----------
    files : path, or several
        Labelled structures.
    out : path
        Folder of the training.
    options : DataOptions, optional
        How the files are read.
    start : path, optional
        Model whose weights are the first ones.
    name : str, optional
        Of the model; default: that of the folder when the training began.
    device : torch.device or str, optional
        Default: the CPU.
    threads : int, optional
        Default: as many as torch uses.
    max_hours : float, optional
        Stop after this time; the same call goes on.
    report : callable
        Called with ("data" | "step" | "epoch", values).
    """
    if not isinstance(config, TrainConfig):
        raise InputError(
            f"the settings of a training are {type(config).__name__}: give TrainConfig(...), or a "
            "preset of ase_mlseqm.training.presets"
        )
    options, report = options or DataOptions(), report or (lambda *_: None)
    out = Path(out)
    device = find_device(device) if isinstance(device, str) else device
    threads = None if threads is None else positive_whole("threads", threads)
    hours = math.inf if max_hours is None else number("max_hours", max_hours)
    deadline = None if max_hours is None else time.monotonic() + 3600.0 * hours
    world = find_world()
    if world.chief:
        check_folder(out, start)
    data = read(files, **dataclasses.asdict(options), elements=config.model.elements)
    sides = both_sides(data, config)
    model = seeded(config.model, config.seed, name or named(out) or out.resolve().name)
    _check_parameters(model)
    source = None if start is None else _started_from(start, model, data, config)
    if source is None and world.chief:
        warn_of_elements(data, sides.training, config)
    if world.chief:
        about = {
            "options": dataclasses.asdict(options),
            "start": None if source is None else source.sha256,
            "name": model.name,
        }
        describe(out, config, data, sides.counts, about)
    taken = {"taken": len(sides.training), "levels": sorted(set(data.level))}
    report("data", sides.counts | taken)

    def keep(model: LearnedHamiltonian, errors: Errors, progress: Progress) -> None:
        card = _card(config, data, sides, source, errors, progress)
        save_model(out / "model.safetensors", model, card)

    def rows(row: dict[str, Any]) -> None:
        if "frames" in row:
            draw_curves(out, model.name)
        report("epoch" if "frames" in row else "step", row)

    before = torch.get_num_threads()
    threads = threads or before
    torch.set_num_threads(1)
    try:
        trainer = Trainer(
            model,
            data,
            sides.training,
            sides.validation,
            config,
            out,
            threads=threads if device is None or device.type == "cpu" else 1,
            world=world,
            device=device,
            keep=keep,
            report=rows,
        )
        finished = trainer.run(deadline=deadline)
    finally:
        torch.set_num_threads(before)
        if world.chief:
            draw_curves(out, model.name)
    # not whether there is a file, which the first of several processes may still be writing
    best = out / "model.safetensors" if trainer.progress.best_epoch >= 0 else None
    if finished:
        _require_model(best, out, world.chief)
    return TrainOutcome(finished, trainer.progress, best)


def _require_model(best: Path | None, out: Path, chief: bool) -> None:
    """Refuse a training in ``out`` that is finished and has no model."""
    if best is None:
        raise InputError(
            "no model came out of the training: no frame of the validation converged; see "
            f"{out / 'epochs.csv'}, and lower the learning rate, or raise max_iterations of the "
            "gradient"
        )
    if chief and not best.exists():
        raise InputError(
            f"the training in {out} is finished, but {best.name} is gone: start again with another "
            "--out"
        )


def _check_parameters(model: LearnedHamiltonian) -> None:
    """Refuse a model none of whose elements has a parameter that is learned."""
    atoms = build_layout(torch.tensor(model.config.elements)[:, None])
    if not model.head.applies(atoms).any():
        raise InputError(
            f"no element of the model has any of the parameters {', '.join(model.head.names)} in "
            f"{model.method}, so that there is nothing to learn: give others, such as U_ss"
        )


def _started_from(
    start: Path | str, model: LearnedHamiltonian, data: Dataset, config: TrainConfig
) -> ModelFile:
    """The model file ``start``, whose weights ``model`` gets."""
    source = model_file(start)
    start_from(model, source.model)
    warn_of_changes(source, data)
    known = set(files_behind(source.card).values()) & set(data.checksums.values())
    if known and config.split not in splits_behind(source.card):
        warnings.warn(
            f"{start} was trained on some of these files with another split: some frames that "
            "are kept for validation are not new to it; give its validation_fraction, "
            "split_seed and split_by",
            stacklevel=3,
        )
    return source


def _card(
    config: TrainConfig,
    data: Dataset,
    sides: Sides,
    source: ModelFile | None,
    errors: Errors,
    progress: Progress,
) -> dict[str, Any]:
    """What a model file tells of its training."""
    charge, spin = (column[sides.training].tolist() for column in (data.charge, data.multiplicity))
    states = set(zip(charge, spin, strict=True))
    return {
        "training": {"levels": sorted(set(data.level)), "files": data.checksums} | sides.counts,
        "states": sorted(states | (set() if source is None else source.model.states)),
        "earlier_files": {} if source is None else files_behind(source.card),
        "splits": sorted({config.split} | (splits_behind(source.card) if source else set())),
        "validation": jsonable(dataclasses.asdict(errors)),
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "start": None if source is None else source.sha256,
        "settings": {k: v for k, v in dataclasses.asdict(config).items() if k != "model"},
        "versions": versions(),
    }


def default_threads() -> int:
    """Cores that this process may use; what torchrun starts on a machine shares them."""
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def own_device(device: str) -> torch.device:
    """The device of this process; what torchrun starts on a machine shares its GPUs."""
    found = find_device(device)
    if found.type == "cuda" and ":" not in device and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return found
