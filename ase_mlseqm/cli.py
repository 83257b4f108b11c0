"""The command line: ``mlseqm info``, ``mlseqm sp``, ``mlseqm relax`` and ``mlseqm label``.

Exit codes: 0 all well; 1 something did not converge; 2 bad input (what could be computed was);
130 interrupted (what was computed until then is written).
"""

from __future__ import annotations

import dataclasses
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from ase.calculators.calculator import CalculatorSetupError

from .cli_explain import explain
from .cli_md import register as register_md
from .cli_phonons import register as register_phonons
from .cli_reactions import register as register_reactions
from .cli_train import train
from .cli_vibrations import register as register_vibrations
from .errors import InputError
from .labelling import LabelSettings
from .options import CalculatorOptions, field_docs
from .summary import ARGUMENTS
from .workflows.relax import RelaxConfig

app = typer.Typer(
    name="mlseqm",
    help="Semiempirical quantum chemistry (MNDO, AM1, PM3) of molecules.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PROPERTIES = ("energy", "forces", "charges", "dipole", "mo_energies", "magmoms")
"""Default of ``mlseqm sp``."""

_DOCS = field_docs(CalculatorOptions) | field_docs(RelaxConfig)
_LABEL_DOCS = field_docs(LabelSettings)
_BASE, _RELAX, _LABEL = CalculatorOptions(), RelaxConfig(), LabelSettings()


def _option(field: str, *names: str, docs: dict[str, str] = _DOCS) -> Any:
    """An option with the field's doc as its help."""
    return typer.Option(*(names or (f"--{field.replace('_', '-')}",)), help=docs.get(field))


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Any file ASE reads, all its frames; or FILE@index."),
]
Method = Annotated[str | None, _option("method")]
Model = Annotated[str | None, _option("model")]
Charge = Annotated[int | None, _option("charge")]
Multiplicity = Annotated[int | None, _option("multiplicity")]
Unrestricted = Annotated[bool | None, _option("unrestricted", "--unrestricted/--restricted")]
Field = Annotated[
    tuple[float, float, float] | None,
    typer.Option("--field", metavar="X Y Z", help=_DOCS.get("field")),
]
Device = Annotated[str, _option("device")]
Tolerance = Annotated[float | None, _option("tolerance")]
MaxIterations = Annotated[int | None, _option("max_iterations")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the output files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


@app.command()
def info(json_: Json = False) -> None:
    """Show versions, devices, and the methods with their elements."""
    import torch

    from .nddo.parameters import METHODS, supported, symbols
    from .summary import versions

    names = symbols()
    methods = {m: [names[z] for z in sorted(supported(m))] for m in METHODS}
    devices = {"cpu": f"{torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if json_:
        print(json.dumps({"versions": versions(), "methods": methods, "devices": devices}))
        return
    from .report import console, info_table

    console().print(info_table(versions(), methods, devices))


@app.command()
def models(json_: Json = False) -> None:
    """List the learned models that are installed, with their errors."""
    from .models import installed, model_file

    files = {name: model_file(name) for name in installed()}
    if json_:
        cards = {name: {"sha256": f.sha256} | f.card for name, f in files.items()}
        print(json.dumps(cards))
        return
    from .report import console, models_table

    console().print(models_table(files))


@app.command()
def sp(
    files: Files,
    method: Method = None,
    model: Model = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    unrestricted: Unrestricted = None,
    field: Field = None,
    device: Device = _BASE.device,
    tolerance: Tolerance = None,
    max_iterations: MaxIterations = None,
    properties: Annotated[
        str, typer.Option("--properties", help="What to compute, separated by commas.")
    ] = ",".join(PROPERTIES),
    out: Out = Path(),
    json_: Json = False,
) -> int:
    """Single points of all structures, in one batch; written to NAME_sp.extxyz."""
    from .runs import single_points
    from .singlepoint import PROPERTIES as KNOWN

    asked = [name.strip() for name in properties.split(",") if name.strip()]
    for name in asked:
        if name not in KNOWN:
            raise InputError(f"unknown property {name!r}: choose from {', '.join(KNOWN)}")
    asked = list(dict.fromkeys(["energy", *asked]))
    options = CalculatorOptions(
        method, model, charge, multiplicity, unrestricted, field, device, tolerance, max_iterations
    )
    run = _run("sp", options, out, json_, properties=asked)
    return single_points(run, files, asked)


@app.command()
def relax(
    files: Files,
    method: Method = None,
    model: Model = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    unrestricted: Unrestricted = None,
    field: Field = None,
    device: Device = _BASE.device,
    tolerance: Tolerance = None,
    max_iterations: MaxIterations = None,
    fmax: Annotated[float, _option("fmax")] = _RELAX.fmax,
    steps: Annotated[int, _option("max_steps", "--steps")] = _RELAX.max_steps,
    optimizer: Annotated[str, _option("optimizer")] = _RELAX.optimizer,
    max_step_length: Annotated[float, _option("max_step_length")] = _RELAX.max_step_length,
    trajectory: Annotated[
        bool, typer.Option("--trajectory", help="Write every step to NAME.traj.")
    ] = False,
    figure: Annotated[
        bool,
        typer.Option("--figure/--no-figure", help="Draw the convergence: NAME_convergence.png."),
    ] = True,
    out: Out = Path(),
    json_: Json = False,
) -> int:
    """Relax all structures, several as one batch; written to NAME_relaxed.extxyz."""
    from .runs_relax import relaxations

    config = RelaxConfig(fmax, steps, optimizer, max_step_length)
    options = CalculatorOptions(
        method, model, charge, multiplicity, unrestricted, field, device, tolerance, max_iterations
    )
    run = _run("relax", options, out, json_, **dataclasses.asdict(config))
    return relaxations(run, files, config, trajectory=trajectory, figure=figure)


@app.command()
def label(
    files: Files,
    out: Annotated[
        Path,
        typer.Option("--out", help="HDF5 (.h5, .hdf5) or extxyz (.xyz, .extxyz) file to write."),
    ],
    functional: Annotated[str, _option("functional", docs=_LABEL_DOCS)] = _LABEL.functional,
    basis: Annotated[str, _option("basis", docs=_LABEL_DOCS)] = _LABEL.basis,
    grid: Annotated[int, _option("grid", docs=_LABEL_DOCS)] = _LABEL.grid,
    density_fitting: Annotated[
        bool,
        _option("density_fitting", "--density-fitting/--no-density-fitting", docs=_LABEL_DOCS),
    ] = _LABEL.density_fitting,
    cartesian: Annotated[
        bool, _option("cartesian", "--cartesian/--spherical", docs=_LABEL_DOCS)
    ] = _LABEL.cartesian,
    tolerance: Annotated[float, _option("tolerance", docs=_LABEL_DOCS)] = _LABEL.tolerance,
    max_iterations: Annotated[
        int, _option("max_iterations", docs=_LABEL_DOCS)
    ] = _LABEL.max_iterations,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    json_: Json = False,
) -> int:
    """Reference energies and forces of all structures with PySCF; goes on where it stopped."""
    from .label_run import labels

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
    )
    run = _run("label", settings, out.parent, json_, method=settings.method)
    return labels(run, files, out)


def _run(
    name: str,
    options: CalculatorOptions | LabelSettings,
    out: Path,
    json_: bool,
    **settings: Any,
) -> Any:
    from .runs import start

    return start(name, options, out, json_, settings)


app.command()(train)
app.command()(explain)
register_md(app)
register_vibrations(app)
register_phonons(app)
register_reactions(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    ARGUMENTS[:] = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return _main()


def _main() -> int:
    try:
        code = app(args=ARGUMENTS or ["--help"], prog_name="mlseqm", standalone_mode=False)
    except (InputError, CalculatorSetupError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _refuse(f"{error.filename or 'output'}: {error.strerror or error}")
    except Exception as error:
        # typer raises click's exceptions, from click or from its own copy of it
        if type(error).__name__ == "Abort":
            return 130
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error.format_message())
    return code if isinstance(code, int) else 0


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, as everything else that is said beside the results."""
    print(f"mlseqm: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _refuse(sentence: str) -> int:
    print(f"mlseqm: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
