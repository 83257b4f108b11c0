"""Commands made from dataclasses: every field is an option, and its doc is the help text."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .configfile import from_dict, read_mapping
from .errors import InputError
from .options import CalculatorOptions, field_docs

SHARED = (
    *("method", "model", "charge", "multiplicity", "unrestricted", "field"),
    *("dispersion", "device"),
    *("tolerance", "max_iterations"),
)
"""Options of the calculator that every command has."""
SWITCHES = {"unrestricted": "--unrestricted/--restricted"}
"""Names of switches of which --no-... says less."""


def workflow_command(
    app: typer.Typer,
    name: str,
    config: type[Any],
    work: Callable[[Any, list[str], Any], int],
    doc: str,
    *,
    files: str = "Any file ASE reads, all its frames; or FILE@index.",
    required: bool = True,
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Add a command to ``app`` that runs a workflow.

    Its options are the fields of the calculator's options and of ``config``, ``--config FILE``
    (YAML, the same names; the command line wins), ``--out`` and ``--json``.

    Parameters
    ----------
    config : type
        Frozen dataclass of the workflow; its fields have docs and defaults.
    work : callable
        Called with the Run, the files, and an instance of ``config``; returns the exit code.
    doc : str
        Help of the command, and of its files.
    required : bool
        Whether there must be files.
    aliases : mapping, optional
        Second names of options, such as ``--steps``, by field.
    """
    aliases = aliases or {}
    fields = [f for f in dataclasses.fields(CalculatorOptions) if f.name in SHARED]
    own = list(dataclasses.fields(config))
    docs = field_docs(CalculatorOptions) | field_docs(config)
    hints = typing.get_type_hints(CalculatorOptions) | typing.get_type_hints(config)
    kinds: dict[str, Any] = {
        "files": Annotated[list[str], typer.Argument(metavar="FILE", help=files)],
        **{
            f.name: _option(f, hints[f.name], docs.get(f.name, ""), aliases.get(f.name))
            for f in (*own, *fields)
        },
        "config": Annotated[
            Path | None, typer.Option("--config", help="YAML file with any of these options.")
        ],
        "out": Annotated[Path, typer.Option("--out", help="Folder for the output files.")],
        "json_": Annotated[
            bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")
        ],
    }
    defaults = {
        "files": inspect.Parameter.empty if required else None,
        "out": Path(),
        "json_": False,
    }

    def command(**given: Any) -> int:
        from .runs import start

        paths, out, json_ = given.pop("files") or [], given.pop("out"), given.pop("json_")
        source = given.pop("config")
        values = {} if source is None else read_mapping(source)
        owner = name if source is None else str(source)
        values |= {key: value for key, value in given.items() if value is not None}
        mine = {f.name for f in own}
        shared = {key: value for key, value in values.items() if key in SHARED}
        rest = {key: value for key, value in values.items() if key not in SHARED or key in mine}
        settings = from_dict(config, _split_lists(rest, hints), owner)
        options = from_dict(CalculatorOptions, _split_lists(shared, hints), owner)
        return work(start(name, options, out, json_, settings), paths, settings)

    command.__name__, command.__doc__ = name.replace("-", "_"), doc
    command.__annotations__ = kinds | {"return": int}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(key),
                annotation=kind,
            )
            for key, kind in kinds.items()
        ]
    )
    app.command(name)(command)


def _option(field: dataclasses.Field, hint: Any, doc: str, alias: str | None) -> Any:
    """Annotated type of an option that is None unless given."""
    kind = _plain(hint)
    flag = f"--{field.name.replace('_', '-')}"
    default = "" if field.default in (None, "", ()) else f" Default: {_shown(field.default)}."
    names = [flag] if alias is None else [flag, alias]
    settings: dict[str, Any] = {"help": f"{doc}{default}"}
    if kind is bool:
        names = [SWITCHES.get(field.name, f"{flag}/--no-{flag[2:]}")]
    elif kind == tuple[float, float, float]:
        settings["metavar"] = "X Y Z"
    elif kind not in (int, float, str):
        kind, settings["metavar"] = str, "A,B,..."
    return Annotated[kind | None, typer.Option(*names, **settings)]


def _plain(hint: Any) -> Any:
    """The type without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (a for a in typing.get_args(hint) if a is not type(None))
    return hint


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split_lists(values: dict[str, Any], hints: dict[str, Any]) -> dict[str, Any]:
    """Lists from text such as 1,2.5 where a field holds several values."""
    out = dict(values)
    for key, value in values.items():
        hint = _plain(hints.get(key, str))
        if typing.get_origin(hint) is tuple and isinstance(value, str):
            item = typing.get_args(hint)[0]
            parts = value.replace(",", " ").split()
            try:
                out[key] = [item(part) for part in parts]
            except ValueError:
                raise InputError(
                    f"--{key.replace('_', '-')} {value}: give a list of numbers"
                ) from None
    return out
