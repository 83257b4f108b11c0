"""What ``mlseqm train`` does: read, split, train, write the model."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..devices import find_device
from ..errors import InputError
from ..models import model_file
from ..nn.hamiltonian import LearnedHamiltonian
from ..nn.weights import save_model, seeded
from ..summary import versions
from ..wholefile import write_whole
from .config import TrainConfig
from .curves import draw_curves
from .dataset import Dataset
from .evaluate import Errors
from .history import files_behind, splits_behind, warn_of_changes
from .parallel import find_world
from .presets import start_from
from .readers import BROKEN, OTHER_ELEMENTS, OTHER_STATES, kind_of, read
from .split import on_both_sides, split
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


@dataclasses.dataclass(frozen=True)
class TrainOutcome:
    """How a training ended: the model file (None before the first validation) and its errors."""

    finished: bool
    progress: Progress
    model: Path | None


def train(
    config: TrainConfig,
    files: list[str],
    out: Path,
    *,
    options: DataOptions | None = None,
    start: Path | str | None = None,
    name: str | None = None,
    device: torch.device | None = None,
    threads: int | None = None,
    max_hours: float | None = None,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> TrainOutcome:
    """Train a Hamiltonian, or go on with the training in ``out``.

    Parameters
    ----------
    files : list of str
        Labelled structures.
    start : path, optional
        Model whose weights are the first ones.
    report : callable
        Called with ("data" | "step" | "epoch", values).
    """
    options, report = options or DataOptions(), report or (lambda *_: None)
    deadline = None if max_hours is None else time.monotonic() + 3600.0 * max_hours
    world = find_world()
    data = read(files, **dataclasses.asdict(options), elements=config.model.elements)
    left_out = Counter(kind_of(skipped.reason) for skipped in data.skipped)
    training, validation, dropped = split(data, *config.split)
    if not len(training) or not len(validation):
        what = "give more frames, "
        if config.split_by == "fragment":
            what = (
                "a molecule is on one side only: give frames of more molecules, --split-by frame, "
            )
        gone = ", ".join(f"{number} {kind}" for kind, number in left_out.items() if number)
        raise InputError(
            f"{len(training)} frames are left for training and {len(validation)} for validation"
            f"{f' (left out: {gone})' if gone else ''}: "
            f"{what}or in a settings file another validation_fraction or split_seed"
        )
    if config.split_by == "fragment":
        _warn_of_names(on_both_sides(data, config.validation_fraction, config.split_seed))
    if config.loss.dipole_weight and data.dipoles is None:
        warnings.warn(
            "the data have no dipoles whose unit is known: dipole_weight changes nothing; state "
            "the unit of those that there are, as in units 'hartree, angstrom, hartree/angstrom, "
            "debye'",
            stacklevel=2,
        )
    counts = {
        "frames": len(data),
        "training": len(training),
        "validation": len(validation),
        "between_both_sides": len(dropped),
        "other_elements": left_out[OTHER_ELEMENTS],
        "other_states": left_out[OTHER_STATES],
        "skipped": left_out[BROKEN],
    }
    _check_lists(config, len(data.level))
    training = _repeated(data, training, config)
    if not len(training):
        given = ", ".join(f"{times:g}" for times in config.repeats)
        raise InputError(f"repeats [{given}] leave no frame for training: raise one")
    model = seeded(config.model, config.seed, name or out.name)
    source = None
    if start is not None:
        source = model_file(start)
        start_from(model, source.model)
        warn_of_changes(source, data)
        known = set(files_behind(source.card).values()) & set(data.checksums.values())
        if known and config.split not in splits_behind(source.card):
            warnings.warn(
                f"{start} was trained on some of these files with another split: some frames that "
                "are kept for validation are not new to it; give its validation_fraction, "
                "split_seed and split_by",
                stacklevel=2,
            )
    if world.chief:
        _describe(out, config, options, data, counts, None if source is None else source.sha256)
    report("data", counts | {"levels": sorted(set(data.level))})

    def keep(model: LearnedHamiltonian, errors: Errors, progress: Progress) -> None:
        card = {
            "training": {"levels": sorted(set(data.level)), "files": data.checksums} | counts,
            "earlier_files": {} if source is None else files_behind(source.card),
            "splits": sorted({config.split} | (splits_behind(source.card) if source else set())),
            "validation": dataclasses.asdict(errors),
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "start": None if source is None else source.sha256,
            "settings": {k: v for k, v in dataclasses.asdict(config).items() if k != "model"},
            "versions": versions(),
        }
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
            training,
            validation,
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
    if finished and not best.exists():
        raise InputError(
            "no model came out of the training: no frame of the validation converged; see "
            f"{out / 'epochs.csv'}, and lower the learning rate, or raise max_iterations of the "
            "gradient"
        )
    return TrainOutcome(finished, trainer.progress, best if best.exists() else None)


def _repeated(data: Dataset, indices: np.ndarray, config: TrainConfig) -> np.ndarray:
    """The frames as often as the settings want those of their file."""
    times = np.ones(len(data.level))
    times[: len(config.repeats)] = config.repeats
    generator = np.random.default_rng(config.split_seed)
    taken = []
    for source, often in enumerate(times):
        frames = indices[data.source[indices] == source]
        whole = int(often)
        drawn = generator.permutation(len(frames))[: round((often - whole) * len(frames))]
        counts = np.full(len(frames), whole)
        counts[drawn] += 1
        taken.append(np.repeat(frames, counts))
    return np.concatenate(taken)


def _warn_of_names(several: list[list[str]]) -> None:
    """Say that molecules are on both sides of the split because they have several SMILES."""
    if several:
        warnings.warn(
            f"{len(several)} molecules have several SMILES, and are on both sides of the split, "
            f"such as {' and '.join(several[0])}: write all of them with one program, as canonical "
            "SMILES",
            stacklevel=3,
        )


def _check_lists(config: TrainConfig, files: int) -> None:
    """Refuse settings that list more data files than there are."""
    if len(config.contacts) > files:
        raise InputError(
            f"contacts {list(config.contacts)} does not fit {files} data files: give at most one "
            "for each, true or false"
        )
    if len(config.repeats) > files:
        given = ", ".join(f"{times:g}" for times in config.repeats)
        raise InputError(
            f"repeats [{given}] does not fit {files} data files: give at most one number for each"
        )


def _describe(
    out: Path,
    config: TrainConfig,
    options: DataOptions,
    data: Dataset,
    counts: dict[str, int],
    start: str | None,
) -> None:
    """Write settings and checksums; refuse a folder that holds a training with others."""
    out.mkdir(parents=True, exist_ok=True)
    now = {
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "data": data.checksums,
        "files": list(data.checksums),  # repeats and contacts follow their order
        "options": dataclasses.asdict(options),
        "start": start,
    }
    path = out / "config.json"
    if path.exists():
        try:
            before = dict(json.loads(path.read_text("utf-8")))
        except ValueError:
            before = {}
        if not {"config", "data"} <= set(before):
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
