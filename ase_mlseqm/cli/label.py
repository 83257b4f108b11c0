"""The command ``mlseqm label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..labelling import LabelSettings
from ..options import field_docs
from .command import JSON, NO_PBC

_DOCS = field_docs(LabelSettings)
_DEFAULTS = LabelSettings()


def _option(field: str, *names: str) -> Any:
    """An option with the field's doc as its help."""
    return typer.Option(*(names or (f"--{field.replace('_', '-')}",)), help=_DOCS.get(field))


def label(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Any file ASE reads, all its frames; or FILE@index."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="HDF5 (.h5, .hdf5) or extxyz (.xyz, .extxyz) file to write."),
    ],
    functional: Annotated[str, _option("functional")] = _DEFAULTS.functional,
    basis: Annotated[str, _option("basis")] = _DEFAULTS.basis,
    grid: Annotated[int, _option("grid")] = _DEFAULTS.grid,
    density_fitting: Annotated[
        bool,
        _option("density_fitting", "--density-fitting/--no-density-fitting"),
    ] = _DEFAULTS.density_fitting,
    cartesian: Annotated[
        bool, _option("cartesian", "--cartesian/--spherical")
    ] = _DEFAULTS.cartesian,
    tolerance: Annotated[float, _option("tolerance")] = _DEFAULTS.tolerance,
    max_iterations: Annotated[int, _option("max_iterations")] = _DEFAULTS.max_iterations,
    charge: Annotated[int | None, _option("charge")] = None,
    multiplicity: Annotated[int | None, _option("multiplicity")] = None,
    unrestricted: Annotated[
        bool, _option("unrestricted", "--unrestricted/--restricted")
    ] = _DEFAULTS.unrestricted,
    no_pbc: NO_PBC = False,
    json_: JSON = False,
) -> int:
    """Reference energies and forces of all structures with PySCF; goes on where it stopped."""
    from ..labelling.run import labels
    from ..runs.run import start

    settings = LabelSettings(
        functional,
        basis,
        grid,
        density_fitting,
        cartesian,
        tolerance,
        max_iterations,
        charge,
        multiplicity,
        unrestricted,
    )
    run = start("label", settings, out.parent, json_, {"method": settings.method}, no_pbc)
    return labels(run, files, out)
