"""The command ``mlseqm explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..models import DEFAULT, model_file
from .command import GRADIENTS, ISOLATED, JSON, LEVEL, NO_PBC, UNITS


def explain(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Structures: any file ASE reads, or FILE@index; with --dataset labelled data.",
        ),
    ],
    dataset: Annotated[
        bool, typer.Option("--dataset", help="Statistics of a data set instead of single atoms.")
    ] = False,
    model: Annotated[str, typer.Option("--model", help="Name or file of a learned model.")] = (
        DEFAULT
    ),
    parameter: Annotated[
        str | None,
        typer.Option("--parameter", help="What colours the atoms of a picture; default: U_pp."),
    ] = None,
    max_frames: Annotated[
        int, typer.Option("--max-frames", help="Data set: random choice of frames; 0: all.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Data set: of the random choice.")] = 0,
    level: LEVEL = None,
    units: UNITS = None,
    isolated: ISOLATED = None,
    gradients: GRADIENTS = False,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    figure: Annotated[bool, typer.Option("--figure/--no-figure", help="Draw pictures.")] = True,
    out: Annotated[Path, typer.Option("--out", help="Folder for the output files.")] = Path(),
    no_pbc: NO_PBC = False,
    json_: JSON = False,
) -> int:
    """Show the parameters that a learned model gives to atoms, and what they have to do with."""
    from ..devices import find_device
    from ..explain.run import ExplainRun, explain_dataset, explain_files
    from ..summary import RunSummary
    from ..training.isolated import given_energies
    from ..training.run import DataOptions

    if seed < 0:
        raise InputError(f"--seed is {seed}: give 0 or more")
    if max_frames < 0:
        raise InputError(f"--max-frames is {max_frames}: give a positive number, or 0 for all")
    if dataset and parameter is not None:
        raise InputError("--parameter colours the pictures of single structures: omit --dataset")
    if dataset and no_pbc:
        raise InputError(
            "--no-pbc is for single structures: labels of a crystal are not those of molecules, "
            "so omit it with --dataset"
        )
    found = model_file(model)
    settings = {
        "method": found.model.name,
        "dataset": dataset,
        "parameter": parameter,
        "max_frames": max_frames or None,
        "seed": seed,
        "level": level,
        "units": units,
        "isolated": isolated,
        "gradients": gradients,
        "device": device,
    }
    summary = RunSummary(settings)
    summary.model = {"name": model, "sha256": found.sha256}
    learned = found.model.on(find_device(device))
    run = ExplainRun(learned, out, json_, figure, summary, no_pbc=no_pbc)
    if dataset:
        options = DataOptions(level, units, given_energies(isolated), gradients)
        return explain_dataset(run, files, max_frames or None, seed, options, device)
    return explain_files(run, files, parameter)
