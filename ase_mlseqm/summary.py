"""What a run was: versions, settings, units and timings, for a JSON file beside its results."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .wholefile import write_whole

UNITS = {
    "energy": "eV",
    "free_energy": "eV",
    "forces": "eV/Angstrom",
    "max_force": "eV/Angstrom",
    "positions": "Angstrom",
    "dipole": "e*Angstrom",
    "dipole_debye": "Debye",
    "charge": "e",
    "charges": "e",
    "mulliken_charges": "e",
    "magmoms": "alpha minus beta electrons",
    "heat_of_formation": "eV",
    "heat_of_formation_kcal_mol": "kcal/mol",
    "atomization_energy": "eV",
    "uncertainty": "eV",
    "dispersion": "eV",
    "mo_energies": "eV",
    "occupations": "electrons",
    "gap": "eV",
    "stability": "eV",
    "ionization_potential": "eV",
    "field": "V/Angstrom",
    "residual": "eV",
    "seconds": "s",
}
"""Of everything in results that has one."""

ARGUMENTS: list[str] = []
"""What was typed after the program's name; set by the command line."""


def versions() -> dict[str, str]:
    """Version of the package and of what it computes with."""
    out = {"python": platform.python_version()}
    for name in ("ase-mlseqm", "torch", "ase", "numpy"):
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            out[name] = "unknown"
    return out


@dataclasses.dataclass
class RunSummary:
    """One run of a program.

    Attributes
    ----------
    settings : dict
        All options, defaults included.
    command : list of str
        The command line.
    results : dict
        Counts: molecules, converged, unconverged, refused, interrupted.
    model : dict, optional
        Name and SHA-256 of a learned model.
    files : list of str
        What was written.
    started : str
        Local time with its offset, ISO 8601.
    timings : dict
        Seconds of wall-clock time by stage.
    """

    settings: dict[str, Any]
    command: list[str] = dataclasses.field(default_factory=lambda: ["mlseqm", *ARGUMENTS])
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    model: dict[str, str] | None = None
    files: list[str] = dataclasses.field(default_factory=list)
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    started: str = dataclasses.field(
        default_factory=lambda: datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    )
    _clock: float = dataclasses.field(default_factory=time.perf_counter, repr=False)

    def lap(self, stage: str) -> None:
        """Add the time since the last call, or since the start, to a stage."""
        now = time.perf_counter()
        self.timings[stage] = self.timings.get(stage, 0.0) + now - self._clock
        self._clock = now

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary."""
        return {
            "command": self.command,
            "started": self.started,
            "timings": {name: round(value, 4) for name, value in self.timings.items()},
            "versions": versions(),
            "platform": platform.platform(),
            "method": self.settings.get("method"),
            "model": self.model,
            "settings": jsonable(self.settings),
            "units": UNITS,
            "results": jsonable(self.results),
            "files": self.files,
        }

    def write(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"
        # a file name need not be text
        write_whole(path, text.encode(errors="backslashreplace"))

    def print(self, **more: Any) -> None:
        """Print it, and ``more``, as one line of JSON."""
        print(json.dumps(self.to_dict() | more, ensure_ascii=False, allow_nan=False))

    def last_line(self, folder: Path) -> str:
        """How long the run took, and what it wrote into a folder."""
        files = self.files
        written = ", ".join(files) if len(files) < 6 else f"{len(files)} files in {folder}"
        return f"{sum(self.timings.values()):.1f} s. Wrote {written}"


def fields_of(result: Any, *left_out: str) -> dict[str, Any]:
    """Fields of a dataclass by their names, arrays as lists."""
    names = [field.name for field in dataclasses.fields(result) if field.name not in left_out]
    values = {name: getattr(result, name) for name in names}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def jsonable(value: Any) -> Any:
    """Plain lists, dictionaries and numbers; what is not finite becomes None, as in JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
