"""What ``mlseqm train`` does: read, split, train, write the model."""

from __future__ import annotations

import csv
import dataclasses
import json
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
from ..nn.hamiltonian import LearnedHamiltonian
from ..nn.weights import ModelFile, save_model, seeded
from ..options import check_types, number, positive_whole
from ..summary import jsonable, versions
from ..wholefile import write_whole
from .checkpoint import read_log
from .config import TrainConfig
from .curves import draw_curves
from .dataset import Dataset
from .evaluate import Errors
from .history import files_behind, splits_behind, warn_of_changes
from .parallel import find_world
from .presets import start_from
from .readers import read
from .sides import both_sides
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
    start : path, optional
        Model whose weights are the first ones.
    report : callable
        Called with ("data" | "step" | "epoch", values).
    """
    options, report = options or DataOptions(), report or (lambda *_: None)
    out = Path(out)
    device = find_device(device) if isinstance(device, str) else device
    threads = None if threads is None else positive_whole("threads", threads)
    hours = math.inf if max_hours is None else number("max_hours", max_hours)
    deadline = None if max_hours is None else time.monotonic() + 3600.0 * hours
    world = find_world()
    if world.chief:
        _check_folder(out, start)
    data = read(files, **dataclasses.asdict(options), elements=config.model.elements)
    sides = both_sides(data, config)
    model = seeded(config.model, config.seed, name or out.resolve().name)
    source = None if start is None else _started_from(start, model, data, config)
    if world.chief:
        _describe(out, config, options, data, sides.counts, source)
    taken = {"taken": len(sides.training), "levels": sorted(set(data.level))}
    report("data", sides.counts | taken)

    def keep(model: LearnedHamiltonian, errors: Errors, progress: Progress) -> None:
        card = _card(config, data, sides.counts, source, errors, progress)
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
    best = out / "model.safetensors"
    # not whether there is a file, which the first of several processes may still be writing
    known = trainer.progress.best_epoch >= 0
    if finished and not known:
        raise InputError(
            "no model came out of the training: no frame of the validation converged; see "
            f"{out / 'epochs.csv'}, and lower the learning rate, or raise max_iterations of the "
            "gradient"
        )
    if finished and world.chief and not best.exists():
        raise InputError(
            f"the training in {out} is finished, but {best.name} is gone: start again with another "
            "--out"
        )
    return TrainOutcome(finished, trainer.progress, best if known else None)


def _check_folder(out: Path, start: Path | str | None) -> None:
    """Refuse a folder in which something would be overwritten that is no part of the training, or
    is all that is left of it."""
    model = out / "model.safetensors"
    if start is not None and model.exists() and model.resolve() == Path(start).resolve():
        raise InputError(
            f"{start} would be overwritten by what is trained from it: give another --out"
        )
    if not (out / "config.json").exists():
        for found in (model, out / "checkpoint.pt"):
            if found.exists():
                raise InputError(
                    f"{found} would be overwritten, and is of no training that could go on (there "
                    "is no config.json beside it): give another --out"
                )
    read_log(out / "steps.csv")
    epochs = len(read_log(out / "epochs.csv", "epoch"))
    # one that was cut off in its first epoch may have a model already
    if epochs > 1 and model.exists() and not (out / "checkpoint.pt").exists():
        raise InputError(
            f"{model} would be overwritten, since checkpoint.pt, from which its training would go "
            f"on after {epochs} epochs, is gone: give another --out, or move the model"
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
    counts: dict[str, int],
    source: ModelFile | None,
    errors: Errors,
    progress: Progress,
) -> dict[str, Any]:
    """What a model file tells of its training."""
    return {
        "training": {"levels": sorted(set(data.level)), "files": data.checksums} | counts,
        "earlier_files": {} if source is None else files_behind(source.card),
        "splits": sorted({config.split} | (splits_behind(source.card) if source else set())),
        "validation": jsonable(dataclasses.asdict(errors)),
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "start": None if source is None else source.sha256,
        "settings": {k: v for k, v in dataclasses.asdict(config).items() if k != "model"},
        "versions": versions(),
    }


def _describe(
    out: Path,
    config: TrainConfig,
    options: DataOptions,
    data: Dataset,
    counts: dict[str, int],
    source: ModelFile | None,
) -> None:
    """Write settings and checksums; refuse a folder that holds a training with others."""
    out.mkdir(parents=True, exist_ok=True)
    now = {
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "data": data.checksums,
        "files": list(data.checksums),  # repeats and contacts follow their order
        "options": dataclasses.asdict(options),
        "start": None if source is None else source.sha256,
    }
    path = out / "config.json"
    if path.exists():
        try:
            before = dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError):
            before = {}
        if not all(isinstance(before.get(key), dict) for key in ("config", "data")):
            raise InputError(f"{path} is not that of a training: give another --out")
        usual = json.loads(json.dumps(dataclasses.asdict(TrainConfig())))
        before["config"] = _completed(before["config"], usual)
        for key, what in (
            ("config", "settings"),
            ("data", "data"),
            ("files", "files, or the same in another order"),
            ("options", "options of the data"),
            ("start", "a start"),
        ):
            if before.get(key, now[key]) != now[key]:  # older folders lack some
                difference = _first_difference(before.get(key), now[key])
                raise InputError(
                    f"{out} holds a training with other {what} ({difference}): give another --out, "
                    "or the same command as before to go on"
                )
    text = json.dumps(now | {"counts": counts, "versions": versions()}, indent=1)
    write_whole(path, text.encode())
    if data.skipped:
        with open(out / "skipped.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "record", "reason"))
            writer.writerows((s.file, s.record, s.reason) for s in data.skipped)


def _completed(before: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Settings with what a folder of an earlier version lacks, whose defaults change nothing."""
    out = usual | before
    for key, value in usual.items():
        if isinstance(value, dict) and isinstance(out[key], dict):
            out[key] = _completed(out[key], value)
    return out


def _first_difference(before: Any, now: Any, name: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(set(before) | set(now)):
            if before.get(key) != now.get(key):
                inner = f"{name}.{key}" if name else key
                return _first_difference(before.get(key), now.get(key), inner)
    return f"{name + ': ' if name else ''}{before} before, {now} now"


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
