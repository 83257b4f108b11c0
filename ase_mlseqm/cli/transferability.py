"""The command ``mlseqm transferability``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..configfile import from_dict
from ..workflows.transferability.config import TransferabilityConfig
from .command import JSON, add_command, gather, options_of

NAME = "transferability"
LISTS = ("tests", "model", "method", "peer", "dispersion", "isolated")
"""Options that may be given several times."""
OTHERS: dict[str, Any] = {
    "data": Annotated[Path, typer.Option("--data", help="Folder with the reference data.")],
    "out": Annotated[
        Path, typer.Option("--out", help="Folder for the report, the CSV files and the pictures.")
    ],
    "config": Annotated[
        Path | None, typer.Option("--config", help="YAML file with any of the options below.")
    ],
    "log": Annotated[
        Path | None,
        typer.Option("--log", help="Append every evaluation to this CSV file, or make none."),
    ],
    "json_": JSON,
}


def register(app: typer.Typer) -> None:
    """Add the command; its options are the fields of the configuration."""
    kinds = OTHERS | options_of(TransferabilityConfig, repeated=LISTS)
    defaults = {"data": inspect.Parameter.empty, "out": inspect.Parameter.empty, "json_": False}
    doc = "Test models on systems and properties beyond their training; goes on where it stopped."
    add_command(app, NAME, _run, doc, kinds, defaults)


def _run(**given: Any) -> int:
    data, out, source, log, json_ = (given.pop(name) for name in OTHERS)
    values, owner = gather(given, source, NAME)
    settings = from_dict(TransferabilityConfig, values, owner)
    from ..runs.transferability import transferability_run

    return transferability_run(settings, data, out, json_, log)
