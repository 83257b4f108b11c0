"""The programs that are compared: each is a function of positions, returning forces.

Every program has one convergence setting.  `loose` is the loosest that keeps the error of the
forces below 1e-5 eV/A for all structures (found with `singlepoint.py --calibrate`, verified in
every run), `tight` the one it is verified against, `ladder` what `--calibrate` tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from ase import Atoms
from report import package_version

Step = Callable[[np.ndarray], np.ndarray]
"""From positions (A, 3) in Angstrom to forces (A, 3) in eV/Angstrom."""

HARTREE = 1 / 0.03674932248  # Sparrow's own constants: eV, Angstrom
BOHR = 0.52917721067


@dataclass(frozen=True)
class Program:
    """A program and how tightly it converges.

    Attributes
    ----------
    start : callable
        From atoms and a convergence setting to a fresh calculator, cold.
    setting : str
        What the setting is.
    """

    name: str
    package: str
    start: Callable[[Atoms, float], Step]
    setting: str
    loose: float
    tight: float
    ladder: tuple[float, ...]

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} ({self.package} {package_version(self.package)})"


def _through_ase(atoms: Atoms, calculator: Any) -> Step:
    atoms = atoms.copy()
    atoms.calc = calculator

    def step(positions: np.ndarray) -> np.ndarray:
        atoms.positions = positions
        atoms.get_potential_energy()
        return atoms.get_forces()

    return step


def start_ours(atoms: Atoms, tolerance: float) -> Step:
    """The ASE calculator; nothing that was kept for other calculators is used."""
    from ase_mlseqm import MLSEQM
    from ase_mlseqm.engines import shared_engine

    shared_engine.cache_clear()
    return _through_ase(atoms, MLSEQM(method="PM3", tolerance=tolerance))


def start_tblite(atoms: Atoms, accuracy: float) -> Step:
    """The ASE calculator of tblite, which keeps the last density."""
    from tblite.ase import TBLite

    return _through_ase(atoms, TBLite(method="GFN2-xTB", accuracy=accuracy, verbosity=0))


class Sparrow:
    """Sparrow through its Python bindings; it keeps the last density until `structure` is set."""

    def __init__(self, symbols: list[str], density_rmsd: float) -> None:
        import scine_sparrow  # noqa: F401  (registers the methods)
        import scine_utilities as scine

        self.scine = scine
        self.elements = [scine.ElementInfo.element_from_symbol(symbol) for symbol in symbols]
        self.calculator = scine.core.ModuleManager.get_instance().get("calculator", "PM3")
        self.calculator.log = scine.core.Log.silent()
        for name, value in {
            "density_rmsd_criterion": density_rmsd,
            # its other criterion, on the energy (hartree), never decides
            "self_consistence_criterion": 1e-5,
            "max_scf_iterations": 1000,
            "spin_mode": "restricted",
        }.items():
            self.calculator.settings[name] = value
        self.required = [scine.Property.Energy, scine.Property.Gradients]

    def restart(self, positions: np.ndarray) -> None:
        """Set the structure: the next calculation starts from Sparrow's own guess."""
        self.calculator.structure = self.scine.AtomCollection(self.elements, positions / BOHR)
        self.calculator.set_required_properties(self.required)

    def forces(self) -> np.ndarray:
        """Forces at the positions that are set."""
        result = self.calculator.calculate()
        if not result.successful_calculation:
            raise RuntimeError("Sparrow did not converge")
        return np.array(result.gradients) * (-HARTREE / BOHR)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Forces at new positions, from the last density."""
        self.calculator.positions = positions / BOHR
        return self.forces()


def start_sparrow(atoms: Atoms, density_rmsd: float) -> Step:
    """A fresh calculator of Sparrow."""
    sparrow = Sparrow(atoms.get_chemical_symbols(), density_rmsd)
    sparrow.restart(atoms.positions)
    return sparrow


PROGRAMS = {
    "ours": Program(
        "ase-mlseqm PM3",
        "ase-mlseqm",
        start_ours,
        "SCFSettings.tolerance, eV",
        loose=5e-7,
        tight=1e-10,
        ladder=(2e-6, 1e-6, 5e-7, 2e-7, 1e-7),
    ),
    "sparrow": Program(
        "Sparrow PM3",
        "scine-sparrow",
        start_sparrow,
        "density_rmsd_criterion",
        loose=2e-6,
        tight=1e-11,
        ladder=(5e-6, 2e-6, 1e-6, 5e-7, 2e-7),
    ),
    "tblite": Program(
        "tblite GFN2-xTB",
        "tblite",
        start_tblite,
        "accuracy",
        loose=2e-2,
        tight=1e-5,
        ladder=(0.1, 0.05, 0.02, 0.01, 0.005),
    ),
}


def installed(keys: list[str]) -> list[Program]:
    """The programs that can be imported, in order."""
    modules = {"ours": "ase_mlseqm", "sparrow": "scine_sparrow", "tblite": "tblite"}
    return [PROGRAMS[key] for key in keys if find_spec(modules[key])]
