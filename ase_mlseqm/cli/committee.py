"""The command ``mlseqm committee``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .command import GRADIENTS, ISOLATED, JSON, LEVEL, UNITS


def committee(
    model: Annotated[Path, typer.Argument(help="Model whose uncertainty is wanted.")],
    members: Annotated[
        list[Path],
        typer.Argument(
            metavar="MEMBER...",
            help="Models trained with the same settings and other seeds; copied beside MODEL.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="Labelled structures; validation frames alone if a file was trained on.",
        ),
    ],
    level: LEVEL = None,
    units: UNITS = None,
    isolated: ISOLATED = None,
    gradients: GRADIENTS = False,
    json_: JSON = False,
) -> int:
    """Let the disagreement of several trainings tell how sure a model is."""
    from ..runs.run import progress_bar
    from ..training.calibration import calibrate
    from ..training.isolated import given_energies

    with progress_bar(1, "calibration") as advance:
        path, found = calibrate(
            model,
            members,
            data,
            level=level,
            units=units,
            isolated=given_energies(isolated),
            gradients=gradients,
            report=lambda done, total: advance(0, f"{done} of {total} frames"),
        )
    facts = {
        "committee": str(path),
        "frames": len(found.error),
        "scale": found.scale,
        "limit": found.limit,
        "correlation": found.correlation,
    }
    if json_:
        print(json.dumps(facts))
    else:
        print(
            f"{len(found.error)} frames: errors are {found.scale:.2f} times the spread, their rank "
            f"correlation is {found.correlation:.2f}; above {found.limit:.4f} eV per atom "
            f"a molecule is called unknown. Wrote {path}"
        )
    return 0
