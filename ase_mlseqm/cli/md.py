"""The command ``mlseqm md``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InputError
from ..options import base_settings, positive_whole, require_positive
from ..workflows.md_config import MDConfig

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class MDOptions(MDConfig):
    """Settings of ``mlseqm md``."""

    replicas: int = 1
    """Copies of every structure with velocities of their own; several run as one batch."""
    temperatures: tuple[float, ...] | None = None
    """Temperatures that all replicas run at, K; several run as one batch."""
    spectra: bool = True
    """Write the spectra of velocities and dipole moment."""
    resolution: float = 10.0
    """Width of a sharp line in the spectra, 1/cm; limited by the length of the run."""
    equilibration: float = 0.0
    """Time at the start that the spectra leave out, ps."""
    figure: bool = True
    """Draw the energies: NAME_md.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_whole("replicas", self.replicas)
        require_positive(self, "resolution")
        if not 0.0 <= self.equilibration < float("inf"):
            raise InputError(f"equilibration is {self.equilibration}: give zero or more")
        if self.temperatures is not None:
            if self.temperature != MDConfig.temperature:
                raise InputError("give either temperature or temperatures, not both")
            for value in self.temperatures:
                if not 0.0 < value < float("inf"):
                    raise InputError(f"temperatures holds {value}: give positive numbers")
        if self.batched and self.ensemble not in ("nve", "langevin"):
            raise InputError(f"many replicas run nve or langevin, not {self.ensemble}")
        if self.batched and self.keep_velocities and self.ensemble == "nve":
            raise InputError(
                "keep_velocities makes all replicas and temperatures one trajectory: leave it out, "
                "or use langevin"
            )

    @property
    def batched(self) -> bool:
        """Whether there are several trajectories of a structure."""
        return self.replicas > 1 or len(self.temperatures or ()) > 1

    @property
    def heats(self) -> tuple[float, ...]:
        """Temperatures of the trajectories, K."""
        return self.temperatures or (self.temperature,)

    def dynamics(self) -> MDConfig:
        """Those of one trajectory."""
        return dataclasses.replace(base_settings(self, MDConfig), temperature=self.heats[0])


def md(run: Run, files: list[str], settings: MDOptions) -> int:
    """Molecular dynamics of all structures, with energies and spectra; goes on where it stopped."""
    from ..runs.md import md_runs

    return md_runs(run, files, settings)
