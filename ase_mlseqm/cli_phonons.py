"""The command ``mlseqm phonons``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .command import workflow_command
from .workflows.phonons import PhononsConfig

if TYPE_CHECKING:
    from .runs import Run


def phonons(run: Run, files: list[str], settings: PhononsConfig) -> int:
    """Phonons of all structures."""
    from .runs_phonons import phonon_runs

    return phonon_runs(run, files, settings)


def register(app: typer.Typer) -> None:
    """Add the command."""
    workflow_command(
        app,
        "phonons",
        PhononsConfig,
        phonons,
        "Phonons at Gamma of all structures with phonopy; goes on where it stopped.",
    )
