"""The command ``mlseqm transferability``."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from pathlib import Path
from typing import Annotated, Any

import typer

from .configfile import from_dict, read_mapping
from .options import field_docs
from .workflows.transferability.config import TransferabilityConfig

_OTHERS: dict[str, Any] = {
    "data": Annotated[Path, typer.Option("--data", help="Folder with the reference data.")],
    "out": Annotated[
        Path, typer.Option("--out", help="Folder for the report, the CSV files and the pictures.")
    ],
    "config": Annotated[
        Path | None, typer.Option("--config", help="YAML file with any of the options below.")
    ],
    "json_": Annotated[
        bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")
    ],
}


def transferability(**given: Any) -> int:
    """Test models on systems and properties beyond their training; goes on where it stopped."""
    data, out, source, json_ = (given.pop(name) for name in _OTHERS)
    values = {} if source is None else read_mapping(source)
    values |= {key: value for key, value in given.items() if value is not None and value != []}
    settings = from_dict(TransferabilityConfig, values, str(source or "transferability"))
    from .runs_transferability import transferability_run

    return transferability_run(settings, data, out, json_)


def register(app: typer.Typer) -> None:
    """Add the command; its options are the fields of the configuration."""
    docs = field_docs(TransferabilityConfig)
    hints = typing.get_type_hints(TransferabilityConfig)
    kinds = dict(_OTHERS)
    for field in dataclasses.fields(TransferabilityConfig):
        kinds[field.name] = _option(field, hints[field.name], docs.get(field.name, ""))
    defaults = {"data": inspect.Parameter.empty, "out": inspect.Parameter.empty, "json_": False}
    transferability.__annotations__ = kinds | {"return": int}
    transferability.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name),
                annotation=kind,
            )
            for name, kind in kinds.items()
        ]
    )
    app.command()(transferability)


def _option(field: dataclasses.Field, hint: Any, doc: str) -> Any:
    """Annotated type of an option; one that holds several values may be given several times."""
    flag = f"--{field.name.replace('_', '-')}"
    if typing.get_origin(hint) is tuple:
        again = typer.Option(flag, metavar="NAME", help=f"{doc} May be given several times.")
        return Annotated[list[str] | None, again]
    if hint is bool:
        flag += f"/--no-{flag[2:]}"
    return Annotated[hint | None, typer.Option(flag, help=f"{doc} Default: {field.default}.")]
