"""The command ``mlseqm train``."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..summary import jsonable
from .command import GRADIENTS, ISOLATED, JSON, LEVEL, UNITS


def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="YAML file with settings.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="Settings with a name: paper, hipnn-pm3 or fine-tune; CONFIG changes some.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Labelled structures: HDF5, extxyz, ase.db, .npy folder; repeatable."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the training.")] = Path("training"),
    start: Annotated[
        str | None, typer.Option("--from", help="Model to start from: a file or a name.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes through the data.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of weights and order.")] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            "--split-by", help="fragment, or frame: what is kept for validation; see the settings."
        ),
    ] = None,
    level: LEVEL = None,
    units: UNITS = None,
    isolated: ISOLATED = None,
    gradients: GRADIENTS = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option("--threads", help="Default: all cores.")] = None,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", help="Stop after this time; to be continued.")
    ] = None,
    json_: JSON = False,
) -> int:
    """Train a Hamiltonian on energies and forces; the same command goes on where it stopped."""
    from ..training import run
    from ..training.isolated import given_energies

    if not data:
        raise InputError("there is nothing to train on: give labelled structures with --data FILE")
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}: give 1 or more")
    if max_hours is not None and not max_hours >= 0:
        raise InputError(f"--max-hours is {max_hours:g}: give 0 or more")
    settings = _settings(config, preset, start)
    for field, value in (("epochs", epochs), ("seed", seed), ("split_by", split_by)):
        if value is not None:
            settings = dataclasses.replace(settings, **{field: value})
    chief = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    with _Screen(settings, quiet=json_ or not chief) as screen:
        try:
            outcome = run.train(
                settings,
                data,
                out,
                options=run.DataOptions(level, units, given_energies(isolated), gradients),
                start=start,
                name=name,
                device=run.own_device(device),
                threads=threads or run.default_threads(),
                max_hours=max_hours,
                report=screen.report,
            )
        except KeyboardInterrupt:
            screen.say(f"interrupted; the same command goes on from {out / 'checkpoint.pt'}")
            return 130
    best = _best(out, outcome.progress.best_epoch) if outcome.model and chief else {}
    if not outcome.finished:
        screen.say(f"the same command goes on from {out / 'checkpoint.pt'}")
    elif best:
        screen.say(f"finished: {outcome.model} is that of epoch {best['epoch'] + 1}")
    if json_ and chief:
        print(
            json.dumps(
                {
                    "finished": outcome.finished,
                    "model": str(outcome.model) if outcome.model else None,
                    "progress": jsonable(dataclasses.asdict(outcome.progress)),
                    "validation": jsonable(best),
                }
            )
        )
    return 0


def _settings(config: Path | None, preset: str | None, start: str | None) -> Any:
    from ..configfile import load, read_mapping
    from ..training import presets
    from ..training.config import TrainConfig

    if config is not None:
        settings = load(config, TrainConfig, presets.preset(preset) if preset else None)
    else:
        settings = presets.preset(preset or ("fine-tune" if start else "paper"))
    if start is None and settings.tensor_order is not None:
        raise InputError(
            "tensor_order raises that of a model to start from (--from): for a new one it is "
            "model: {network: {tensor_order: ...}}"
        )
    if start is not None:
        from ..models import model_file

        if config is not None and "model" in read_mapping(config):
            raise InputError(
                f"{config}: the form of the model is that of --from {start}: leave out model:"
            )
        settings = presets.starting_from(settings, model_file(start).model.config)
    return settings


def _best(out: Path, epoch: int) -> dict[str, Any]:
    """The row of the log of epochs that has the errors of the model file."""
    from ..training.checkpoint import read_log

    rows = (row for row in read_log(out / "epochs.csv") if int(row["epoch"]) == epoch)
    whole = ("step", "epoch", "frames", "unconverged")
    return {k: int(v) if k in whole else float(v) for k, v in next(rows, {}).items()}


class _Screen:
    """A progress bar with losses, and a line for every epoch."""

    def __init__(self, settings: Any, quiet: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from ..runs.report import console

        self.settings, self.quiet = settings, quiet
        self.output = console(stderr=True)
        columns = (
            TextColumn("epoch {task.fields[epoch]}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self.bar = Progress(
            *columns,
            console=self.output,
            transient=True,
            disable=quiet or not self.output.is_terminal,
        )
        self.task = self.bar.add_task("", total=None, epoch="0", text="reading")
        self.per_epoch = 1

    def __enter__(self) -> _Screen:
        if not self.bar.disable:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.bar.disable:  # older versions of rich would end it with an empty line
            self.bar.stop()

    def say(self, sentence: str) -> None:
        """A line above the bar."""
        if not self.quiet:
            self.bar.print(sentence, markup=False, highlight=False)

    def report(self, kind: str, values: dict[str, Any]) -> None:
        """What the training tells."""
        if kind == "data":
            self.say(
                f"{values['training']} frames for training, {values['validation']} for validation"
                + (f", {values['taken']} taken in an epoch" if self.settings.repeats else "")
            )
            self.say(
                f"left out: {values['skipped']} broken, {values['between_both_sides']} between "
                f"both sides, {values['other_elements']} of other elements, "
                f"{values['other_states']} of unknown state or periodic, "
                f"{values['single_atoms']} single atoms"
            )
            if len(values["levels"]) > 1:
                self.say(f"labels of several levels, learned as one: {'; '.join(values['levels'])}")
            self.per_epoch = max(1, values["taken"] // self.settings.batch_size)
            self.bar.update(self.task, total=self.per_epoch * self.settings.epochs)
        elif kind == "step":
            text = (
                f"loss {values['loss']:.3f}  forces {values['force_mae']:.3f} eV/Å  energy "
                f"{values['energy_mae']:.3f} eV  {values['conformers_per_s']:.0f} conformers/s"
            )
            self.bar.update(
                self.task, completed=values["step"], text=text, epoch=str(values["epoch"] + 1)
            )
        else:
            self.say(
                f"epoch {values['epoch'] + 1}: validation forces {values['force_mae']:.4f} eV/Å, "
                f"energies {values['energy_mae']:.4f} eV (MAE), loss {values['loss']:.4f}"
                + (f", {values['unconverged']} unconverged" if values["unconverged"] else "")
            )
