"""The commands ``mlseqm neb`` and ``mlseqm ts``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..workflows.neb import NEBConfig
from ..workflows.ts import TSConfig

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class NEBOptions(NEBConfig):
    """Settings of ``mlseqm neb``."""

    reactions: str | None = None
    """Folder with many reactions, each a folder with r.xyz and p.xyz (or rN.xyz and pN.xyz)."""
    ts: bool = False
    """Refine the highest image as the command ts does, and report barriers with thermal
    corrections."""
    refiner: str = TSConfig.refiner
    """With --ts: sella, dimer, or auto: Sella if it is installed."""
    irc: bool = TSConfig.irc
    """With --ts: whether the imaginary mode is followed down both sides."""
    temperature: float = TSConfig.temperature
    """With --ts: temperature of the enthalpies and Gibbs energies of activation, K."""
    pressure: float = TSConfig.pressure
    """With --ts: pressure of their ideal gases, Pa."""
    symmetry_numbers: tuple[int, ...] = TSConfig.symmetry_numbers
    """With --ts: rotational symmetry numbers of the transition state, the reactant and the product;
    default: found by pymatgen."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "refiner", self.saddles().refiner)

    def saddles(self) -> TSConfig:
        """Settings of the transition states."""
        return TSConfig(
            refiner=self.refiner,
            irc=self.irc,
            temperature=self.temperature,
            pressure=self.pressure,
            symmetry_numbers=self.symmetry_numbers,
        )


def neb(run: Run, files: list[str], settings: NEBOptions) -> int:
    """Reaction path and barrier between two structures, or of all reactions in a folder; goes on
    where it stopped."""
    from ..runs.reactions import path_runs

    return path_runs(run, files, settings)


def ts(run: Run, files: list[str], settings: TSConfig) -> int:
    """Transition states: refined, verified, and followed down both sides; goes on where it
    stopped."""
    from ..runs.reactions import ts_runs

    return ts_runs(run, files, settings)
