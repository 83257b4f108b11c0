"""The command ``mlseqm label``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..labelling import LabelSettings
from .command import JSON, NO_PBC, add_command, options_of

FILES = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Any file ASE reads, all its frames; or FILE@index."),
]
OUT = Annotated[
    Path, typer.Option("--out", help="HDF5 (.h5, .hdf5) or extxyz (.xyz, .extxyz) file to write.")
]


def register(app: typer.Typer) -> None:
    """Add the command; its options are the fields of the settings."""
    kinds = {"files": FILES, "out": OUT, **options_of(LabelSettings)}
    kinds |= {"no_pbc": NO_PBC, "json_": JSON}
    required = inspect.Parameter.empty
    defaults = {"files": required, "out": required, "no_pbc": False, "json_": False}
    doc = "Reference energies and forces of all structures with PySCF; goes on where it stopped."
    add_command(app, "label", _run, doc, kinds, defaults)


def _run(files: list[str], out: Path, no_pbc: bool, json_: bool, **given: Any) -> int:
    from ..labelling.run import labels
    from ..runs.run import start

    settings = LabelSettings(**{key: value for key, value in given.items() if value is not None})
    run = start("label", settings, out.parent, json_, {"method": settings.method}, no_pbc)
    return labels(run, files, out)
