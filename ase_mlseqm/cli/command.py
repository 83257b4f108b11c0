"""Commands made from dataclasses: every field is an option, and its doc is the help text."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..configfile import from_dict, read_mapping
from ..errors import InputError
from ..options import CalculatorOptions, check_names, field_docs, without_none

SHARED = (
    *("method", "model", "charge", "multiplicity", "unrestricted", "field"),
    *("dispersion", "uncertainty", "device"),
    *("tolerance", "max_iterations"),
)
"""Options of the calculator that every command has."""
SWITCHES = {
    "unrestricted": "--unrestricted/--restricted",
    "cartesian": "--cartesian/--spherical",
}
"""Names of switches of which --no-... says less."""
CONFIG = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with these options (not --no-pbc, --out, --json)."),
]
LEVEL = Annotated[
    str | None,
    typer.Option("--level", help="Level of theory, where a file does not state it."),
]
UNITS = Annotated[
    str | None,
    typer.Option(
        "--units",
        help="hartree, ev, or all as in 'hartree, bohr, hartree/bohr, debye, e', where a file does "
        "not state them.",
    ),
]
METAVARS = {"isolated": "EL=E"}
"""Of options that are given several times and take no name."""
ISOLATED = Annotated[
    list[str] | None,
    typer.Option(
        "--isolated",
        metavar="EL=E",
        help="Energy of an isolated atom, Hartree, as in H=-0.4993; repeatable.",
    ),
]
GRADIENTS = Annotated[
    bool, typer.Option("--gradients", help="The files hold gradients instead of forces.")
]
NO_PBC = Annotated[
    bool,
    typer.Option(
        "--no-pbc",
        help="Take periodic structures as free molecules; those cut by the cell are put together.",
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def workflow_command(
    app: typer.Typer,
    work: Callable[[Any, list[str], Any], int],
    config: type[Any],
    *,
    files: str = "Any file ASE reads, all its frames; or FILE@index.",
    required: bool = True,
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Add a command to ``app`` that runs a workflow.

    Its name and its help are those of ``work``.  Its options are the fields of the calculator's
    options and of ``config``, ``--config FILE`` (YAML, the same names; the command line wins),
    ``--out`` and ``--json``.

    Parameters
    ----------
    work : callable
        Called with the Run, the files, and an instance of ``config``; returns the exit code.
    config : type
        Frozen dataclass of the workflow; its fields have docs and defaults.
    files : str
        Help of the files.
    required : bool
        Whether there must be files.
    aliases : mapping, optional
        Second names of options, such as ``--steps``, by field.
    """
    name = work.__name__
    own = {field.name for field in dataclasses.fields(config)}
    hints = typing.get_type_hints(CalculatorOptions) | typing.get_type_hints(config)
    kinds: dict[str, Any] = {
        "files": Annotated[list[str], typer.Argument(metavar="FILE", help=files)],
        **options_of(config, aliases=aliases),
        **options_of(CalculatorOptions, SHARED, skip=own),
        "config": CONFIG,
        "no_pbc": NO_PBC,
        "out": Annotated[Path, typer.Option("--out", help="Folder for the output files.")],
        "json_": JSON,
    }
    defaults = {
        "files": inspect.Parameter.empty if required else None,
        "no_pbc": False,
        "out": Path(),
        "json_": False,
    }

    def command(**given: Any) -> int:
        from ..runs.run import start

        paths, out, json_ = given.pop("files") or [], given.pop("out"), given.pop("json_")
        source, no_pbc = given.pop("config"), given.pop("no_pbc")
        values, owner = gather(given, source, name)
        shared = {key: value for key, value in values.items() if key in SHARED}
        try:
            check_names(set(values) - set(SHARED), config, owner, also=SHARED)
        except InputError as error:
            raise InputError(f"{owner}: {error}") from None
        rest = {key: value for key, value in values.items() if key not in SHARED or key in own}
        settings = from_dict(config, _split_lists(rest, hints), owner)
        options = from_dict(CalculatorOptions, _split_lists(shared, hints), owner)
        run = start(name, options, out, json_, dataclasses.asdict(settings), no_pbc)
        with run.may_fail():
            return work(run, paths, settings)
        return run.finish()

    add_command(app, name, command, inspect.getdoc(work) or "", kinds, defaults)


def add_command(
    app: typer.Typer,
    name: str,
    command: Callable[..., int],
    doc: str,
    kinds: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> None:
    """Add ``command``, which takes keywords of these annotated types, to ``app``.

    Defaults are None where nothing else is given; ``doc`` is the help.
    """
    command.__name__, command.__doc__ = name.replace("-", "_"), doc
    command.__annotations__ = {**kinds, "return": int}
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


def gather(given: Mapping[str, Any], source: Path | None, name: str) -> tuple[dict[str, Any], str]:
    """What the file ``source`` and the command line say, which wins; and who says it, for messages.

    Options that were not given are None, or empty lists.
    """
    values = {} if source is None else read_mapping(source)
    values |= {key: value for key, value in given.items() if value is not None and value != []}
    return values, name if source is None else str(source)


def options_of(
    config: type[Any],
    names: Collection[str] | None = None,
    *,
    skip: Collection[str] = (),
    aliases: Mapping[str, str] | None = None,
    repeated: Collection[str] = (),
) -> dict[str, Any]:
    """Annotated types of the options that are the fields of a dataclass, by field.

    Parameters
    ----------
    names, skip : collection of str, optional
        Those fields only; all but these.
    aliases : mapping, optional
        Second names of options by field.
    repeated : collection of str
        Fields that hold several values, given by one option each; the values of other lists are
        separated by commas.
    """
    docs, hints = field_docs(config), typing.get_type_hints(config)
    out = {}
    for field in dataclasses.fields(config):
        if field.name in skip or (names is not None and field.name not in names):
            continue
        doc = docs.get(field.name, "")
        if field.name in repeated:
            flag = typer.Option(
                f"--{field.name.replace('_', '-')}",
                metavar=METAVARS.get(field.name, "NAME"),
                help=f"{doc} May be given several times.",
            )
            out[field.name] = Annotated[list[str] | None, flag]
        else:
            alias = (aliases or {}).get(field.name)
            out[field.name] = _option(field, hints[field.name], doc, alias)
    return out


def _option(field: dataclasses.Field, hint: Any, doc: str, alias: str | None) -> Any:
    """Annotated type of an option that is None unless given."""
    kind = without_none(hint)
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


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split_lists(values: dict[str, Any], hints: dict[str, Any]) -> dict[str, Any]:
    """Lists from text such as 1,2.5 where a field holds several values."""
    out = dict(values)
    for key, value in values.items():
        hint = without_none(hints.get(key, str))
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
