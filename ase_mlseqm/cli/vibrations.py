"""The commands ``mlseqm vib`` and ``mlseqm thermo``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InputError
from ..options import require_positive
from ..workflows.normal_modes import SHAPES
from ..workflows.thermochemistry import ThermoConfig
from ..workflows.vibrations import VibrationsConfig

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class VibOptions(VibrationsConfig):
    """Settings of ``mlseqm vib``."""

    shape: str = "lorentzian"
    """Of the bands in the spectrum: lorentzian or gaussian."""
    width: float = 20.0
    """Full width of a band at half its maximum, cm-1."""
    spectrum: bool = True
    """Write the spectrum to NAME_spectrum.csv and .png, and that of Raman to NAME_raman.csv and
    .png."""
    laser: float = 532.0
    """Wavelength of the light in the Raman spectrum, nm."""
    temperature: float = 298.15
    """Of the Raman spectrum, K."""
    animate: bool = True
    """Write an animation of every mode into the folder NAME_modes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape not in SHAPES:
            raise InputError(f"unknown shape {self.shape!r}: choose one of {', '.join(SHAPES)}")
        require_positive(self, "width", "laser", "temperature")


@dataclasses.dataclass(frozen=True)
class ThermoOptions(ThermoConfig):
    """Settings of ``mlseqm thermo``."""

    figure: bool = True
    """Draw H, S and G over the temperature: NAME_thermo.png."""


def vib(run: Run, files: list[str], settings: VibOptions) -> int:
    """Vibrations of all structures: frequencies, infrared and Raman spectra, animated modes; goes
    on where it stopped."""
    from ..runs.vibrations import vibration_runs

    return vibration_runs(run, files, settings)


def thermo(run: Run, files: list[str], settings: ThermoOptions) -> int:
    """Thermochemistry of all structures as ideal gases; uses what vib has written."""
    from ..runs.vibrations import thermo_runs

    return thermo_runs(run, files, settings)
