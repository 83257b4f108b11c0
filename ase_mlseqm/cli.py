"""The command line: ``mlseqm info``, ``mlseqm sp`` and ``mlseqm relax``.

Exit codes: 0 all well; 1 something did not converge; 2 bad input (what could be computed was);
130 interrupted (what was computed until then is written).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import InputError
from .options import CalculatorOptions, field_docs

app = typer.Typer(
    name="mlseqm",
    help="Semiempirical quantum chemistry (MNDO, AM1, PM3) of molecules.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_HELP = field_docs(CalculatorOptions)
_RELAX = {  # the docs of RelaxConfig, without importing ase.optimize for --help
    "fmax": "Largest force on any atom of the relaxed structure, eV/Angstrom.",
}


def _option(*names: str) -> Any:
    return typer.Option(*names, help=_HELP[names[0].removeprefix("--").replace("-", "_")])


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Any file ASE reads, all its frames; or FILE@index."),
]
Method = Annotated[str, _option("--method")]
Charge = Annotated[int | None, _option("--charge")]
Multiplicity = Annotated[int | None, _option("--multiplicity")]
Unrestricted = Annotated[
    bool | None,
    typer.Option("--unrestricted/--restricted", help=_HELP["unrestricted"]),
]
Field = Annotated[tuple[float, float, float] | None, _option("--field")]
Device = Annotated[str, _option("--device")]
Tolerance = Annotated[float | None, _option("--tolerance")]
MaxIterations = Annotated[int | None, _option("--max-iterations")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the output files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
