"""The command ``mlseqm phonons``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..workflows.phonons import PhononsConfig

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class PhononsOptions(PhononsConfig):
    """Settings of ``mlseqm phonons``."""

    figure: bool = True
    """Draw the density of states and the frequencies: NAME_phonons.png."""


def phonons(run: Run, files: list[str], settings: PhononsOptions) -> int:
    """Phonons at Gamma of all structures with phonopy; goes on where it stopped."""
    from ..runs.phonons import phonon_runs

    return phonon_runs(run, files, settings)
