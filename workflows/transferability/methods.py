"""Methods that stand beside each other: what they hand over, and those of this package."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import importlib.metadata
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.committee_file import committee_path
from ase_mlseqm.dispersion import Dispersion
from ase_mlseqm.engines import engine_for
from ase_mlseqm.errors import InputError
from ase_mlseqm.models import find_model, has_committee, model_file
from ase_mlseqm.molecule import Molecule
from ase_mlseqm.options import CalculatorOptions
from ase_mlseqm.results import SinglePoint
from ase_mlseqm.validate import check

from ..several import attempt, together

PROPERTIES = ("energy", "forces", "dipole", "mulliken_charges", "mo_energies")


@dataclasses.dataclass(frozen=True)
class Point:
    """One structure with one method; None or NaN where ``failed`` says why.

    Attributes
    ----------
    energy, atomization, gap : float
        eV; total, relative to the isolated neutral atoms, lowest empty minus highest filled level.
    forces : (A, 3) array
        eV/Angstrom.
    dipole : (3,) array
        e*Angstrom.
    charges : (A,) array
        Mulliken charges, e.
    uncertainty : float
        Estimated error of ``atomization``, eV.
    known : bool
        Whether that is ordinary for such a molecule.
    failed : str
        Empty when all is well.
    """

    energy: float = np.nan
    forces: np.ndarray | None = None
    dipole: np.ndarray | None = None
    charges: np.ndarray | None = None
    gap: float = np.nan
    atomization: float = np.nan
    uncertainty: float = np.nan
    known: bool = True
    failed: str = ""


class Method(abc.ABC):
    """Something that computes molecules.

    Attributes
    ----------
    name : str
        In tables and pictures.
    identity : str
        What its results depend on.
    checksum : str
        SHA-256 of a learned model, otherwise empty.
    bare : bool
        Whether energies are electronic ones, to which a zero-point energy may be added; those of
        MNDO, AM1 and PM3 contain it.
    has_uncertainty : bool
        Whether it can estimate its errors.
    """

    name: str
    identity: str
    checksum: str = ""
    bare: bool = True
    has_uncertainty: bool = False

    @abc.abstractmethod
    def points(
        self,
        systems: Sequence[Atoms],
        properties: Sequence[str] = ("energy", "forces"),
        unrestricted: bool | None = None,
        done: Callable[[], None] | None = None,
    ) -> list[Point]:
        """Every structure; charge and multiplicity are those in its ``info``."""

    @abc.abstractmethod
    def calculator(self) -> BaseCalculator:
        """A calculator of ASE; failures are ASE's exceptions."""


class Semiempirical(Method):
    """A learned model or a published method of this package, with or without dispersion."""

    def __init__(
        self,
        method: str | None,
        model: str | None,
        device: str = "cpu",
        dispersion: str | None = None,
    ) -> None:
        self.options = CalculatorOptions(
            method=method, model=model, device=device, dispersion=dispersion
        )
        found = find_model(self.options.method, model)
        self.name = found.name if dispersion is None else f"{found.name} + {dispersion}"
        self.has_uncertainty = has_committee(found)
        self.checksum = "" if model is None else model_file(model).sha256
        self.bare = model is not None
        words = [self.name, self.checksum, importlib.metadata.version("ase-mlseqm")]
        if self.has_uncertainty:
            assert found.source is not None
            words.append(hashlib.sha256(committee_path(found.source).read_bytes()).hexdigest())
        if dispersion is not None:
            # an unknown one is told before anything is computed
            words.append(importlib.metadata.version(Dispersion.named(dispersion).package))
        self.identity = " ".join(words)

    def calculator(self) -> BaseCalculator:
        """The calculator of this package."""
        return MLSEQM(**dataclasses.asdict(self.options))

    def points(
        self,
        systems: Sequence[Atoms],
        properties: Sequence[str] = ("energy", "forces"),
        unrestricted: bool | None = None,
        done: Callable[[], None] | None = None,
    ) -> list[Point]:
        """All structures as one batch; what cannot be computed does not stop the others."""
        engine = engine_for(dataclasses.asdict(self.options))
        step = done or (lambda: None)

        def checked(atoms: Atoms) -> Molecule:
            try:
                return check(molecule_from_atoms(atoms), engine.model, unrestricted)
            except InputError:
                step()
                raise

        def run(molecules: list[Molecule]) -> list[SinglePoint]:
            return engine.run(
                molecules, properties, unrestricted=unrestricted, callback=lambda *_: step()
            )

        molecules = attempt(checked, systems)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="ions and radicals")
            return list(map(_point, together(run, molecules)))


def _point(found: SinglePoint | InputError) -> Point:
    if isinstance(found, InputError):
        return Point(failed=str(found))
    if not found.converged:
        return Point(failed=found.message)
    return Point(
        found.energy,
        found.forces,
        found.dipole,
        found.mulliken_charges,
        np.nan if found.gap is None else found.gap,
        np.nan if found.atomization_energy is None else found.atomization_energy,
        np.nan if found.uncertainty is None else found.uncertainty,
        not found.uncertain,
    )
