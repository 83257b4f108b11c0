"""The folder of a training: what it is of, and what in it may not be overwritten."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

from ..configfile import merged
from ..errors import InputError
from ..summary import versions
from ..wholefile import write_whole
from .checkpoint import read_log
from .config import TrainConfig
from .dataset import Dataset


def check_folder(out: Path, start: Path | str | None) -> None:
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


def describe(
    out: Path, config: TrainConfig, data: Dataset, counts: dict[str, int], about: dict[str, Any]
) -> None:
    """Write settings and checksums; refuse a folder that holds a training with others.

    ``about`` are the options of the data, the checksum of the model to start from, and the name.
    """
    out.mkdir(parents=True, exist_ok=True)
    now = {
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "data": data.checksums,
        "files": list(data.checksums),  # repeats and contacts follow their order
        **about,
    }
    path = out / "config.json"
    if path.exists():
        before = _recorded(path)
        if not all(isinstance(before.get(key), dict) for key in ("config", "data")):
            raise InputError(f"{path} is not that of a training: give another --out")
        # what a folder of an earlier version lacks has defaults that change nothing
        usual = json.loads(json.dumps(dataclasses.asdict(TrainConfig())))
        before["config"] = merged(usual, before["config"])
        for key, what in (
            ("config", "settings"),
            ("data", "data"),
            ("files", "files, or the same in another order"),
            ("options", "options of the data"),
            ("start", "start"),
            ("name", "name"),
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


def _recorded(path: Path) -> dict[str, Any]:
    """What config.json tells; nothing if it is none."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def named(out: Path) -> str | None:
    """Name of the model of the training in ``out``, whose folder may have another one by now."""
    name = _recorded(out / "config.json").get("name")
    return name if isinstance(name, str) else None


def _first_difference(before: Any, now: Any, name: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(set(before) | set(now)):
            if before.get(key) != now.get(key):
                inner = f"{name}.{key}" if name else key
                return _first_difference(before.get(key), now.get(key), inner)
    return f"{name + ': ' if name else ''}{before} before, {now} now"
