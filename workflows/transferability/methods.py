"""Methods that stand beside each other: learned models, MNDO, AM1, PM3 and GFN2-xTB."""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
import importlib.metadata
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import ground_state_magnetic_moments

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.committee_file import committee_path
from ase_mlseqm.dispersion import Dispersion
from ase_mlseqm.engines import engine_for
from ase_mlseqm.errors import InputError
from ase_mlseqm.models import DEFAULT, find_model, has_committee, model_file
from ase_mlseqm.molecule import Molecule
from ase_mlseqm.options import CalculatorOptions
from ase_mlseqm.results import SinglePoint
from ase_mlseqm.units import BOHR, HARTREE
from ase_mlseqm.validate import check

from ..several import attempt, together
from ..states import state
from .config import TransferabilityConfig

PROPERTIES = ("energy", "forces", "dipole", "mulliken_charges", "mo_energies")
ACCURACY = 0.02
"""Of tblite's SCF: forces to 1e-5 eV/Angstrom."""
IPEA_SHIFT = 4.8455
"""eV per charge that the program xtb itself takes off GFN2-xTB's energies of ions, when it
computes ionization potentials and electron affinities."""


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


class GFN2(Method):
    """GFN2-xTB by tblite (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15 (2019) 1652)."""

    name = "GFN2-xTB"

    def __init__(self) -> None:
        try:
            import tblite.interface  # noqa: F401
        except ImportError:
            raise InputError(
                "GFN2-xTB needs tblite: pip install 'ase-mlseqm[peers]', or leave out --peer gfn2"
            ) from None
        parts = (importlib.metadata.version(name) for name in ("tblite", "ase-mlseqm"))
        # kept results of before have another atomization energy of ions
        self.identity = " ".join((self.name, *parts, f"{IPEA_SHIFT} eV per charge"))

    def calculator(self) -> BaseCalculator:
        """The calculator of tblite; it has no unrestricted singlets."""
        from tblite.ase import TBLite

        class Stated(TBLite):
            """With the charge and the multiplicity that the atoms state, which tblite's leaves."""

            def calculate(self, atoms: Atoms | None = None, *given: Any, **more: Any) -> None:
                if atoms is not None:
                    charge, multiplicity = _possible_state(atoms)
                    self.set(charge=float(charge), multiplicity=multiplicity)
                super().calculate(atoms, *given, **more)

        return Stated(method="GFN2-xTB", accuracy=ACCURACY, verbosity=0)

    def points(
        self,
        systems: Sequence[Atoms],
        properties: Sequence[str] = ("energy", "forces"),
        unrestricted: bool | None = None,
        done: Callable[[], None] | None = None,
    ) -> list[Point]:
        """One structure after the other."""
        out = []
        for atoms in systems:
            try:
                charge, multiplicity = _possible_state(atoms)
                out.append(gfn2_point(atoms.numbers, atoms.positions, charge, multiplicity - 1))
            except (InputError, RuntimeError, ValueError) as error:
                out.append(Point(failed=str(error)))
            if done is not None:
                done()
        return out


def _possible_state(atoms: Atoms) -> tuple[int, int]:
    """Charge and multiplicity; tblite would take another spin where there is no such state.

    Raises
    ------
    InputError
        When there is none.
    """
    charge, multiplicity = state(atoms)
    electrons = int(atoms.numbers.sum()) - charge
    if electrons % 2 == multiplicity % 2:
        raise InputError(
            f"multiplicity {multiplicity} is impossible with {electrons} electrons (charge "
            f"{charge:+d})"
        )
    return charge, multiplicity


def gfn2_point(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> Point:
    """One structure with GFN2-xTB.

    Parameters
    ----------
    numbers, positions : (A,) and (A, 3) arrays
        Angstrom.
    unpaired : int
        Electrons.

    Returns
    -------
    Point
        With :data:`IPEA_SHIFT` taken off ``atomization``, but not off ``energy``.

    Raises
    ------
    RuntimeError
        When the SCF does not converge.
    """
    found = _tblite(numbers, positions, charge, unpaired)
    energy = found.get("energy") * HARTREE
    isolated = sum(_isolated(int(z)) for z in numbers)
    return Point(
        energy,
        -found.get("gradient") * HARTREE / BOHR,
        found.get("dipole") * BOHR,
        found.get("charges"),
        _gap(found.get("orbital-energies"), found.get("orbital-occupations")),
        energy - isolated - IPEA_SHIFT * charge,
    )


def _gap(levels: np.ndarray, filled: np.ndarray) -> float:
    """eV; NaN of spin channels, which are not comparable, and without an empty level."""
    if np.ndim(filled) != 1:
        return np.nan
    highest = int(np.flatnonzero(filled > 0.5)[-1])
    gap = np.diff(levels[highest : highest + 2]) * HARTREE
    return float(gap[0]) if len(gap) else np.nan


def _tblite(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> Any:
    from tblite.interface import Calculator

    calculator = Calculator(
        "GFN2-xTB", numbers, positions / BOHR, charge=float(charge), uhf=unpaired
    )
    calculator.set("verbosity", 0)
    calculator.set("accuracy", ACCURACY)
    return calculator.singlepoint()


@functools.lru_cache(maxsize=128)
def _isolated(number: int) -> float:
    """Energy of the atom in its ground state, eV."""
    unpaired = round(ground_state_magnetic_moments[number])
    found = _tblite(np.array([number]), np.zeros((1, 3)), 0, unpaired)
    return float(found.get("energy") * HARTREE)


def methods(config: TransferabilityConfig) -> list[Method]:
    """All that is asked for, the learned models first; their names differ.

    Raises
    ------
    InputError
        When one of them does not exist or is given twice.
    """
    asked_nothing = not config.model and not config.method
    models = (DEFAULT,) if asked_nothing else config.model
    plain = ("PM3",) if asked_nothing else config.method
    out: list[Method] = []
    for dispersion in (None, *config.dispersion):
        out += [Semiempirical(None, name, config.device, dispersion) for name in models]
        out += [Semiempirical(name, None, config.device, dispersion) for name in plain]
    out += [GFN2() for _ in config.peer]
    names: dict[str, int] = {}
    for method in out:
        names[method.name] = names.get(method.name, 0) + 1
        if names[method.name] > 1:
            if method.identity in {m.identity for m in out if m is not method}:
                raise InputError(f"{method.name} is given twice: leave one out")
            method.name = f"{method.name} ({names[method.name]})"
    return out
