"""The ASE calculator: a thin shell on the engine."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetOutputsMixin
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    CalculatorSetupError,
    InputError,
    SCFError,
    all_changes,
)

from . import errors
from .engines import engine_for
from .options import CalculatorOptions, check_names, keyword_table
from .pymatgen_io import as_atoms
from .snapshot import Snapshot

if TYPE_CHECKING:  # torch is imported with the first calculator, not with this module
    from .derivatives import HessianResult
    from .engine import Engine
    from .results import SinglePoint

MAX_DISPLACEMENT, MAX_UNRESTRICTED = 0.5, 0.25
"""Angstrom; where an atom moved further, the last density is no better than that of free atoms,
and from unrestricted ones the SCF may go to a state that the search from free atoms leaves."""

ASE_PROPERTIES = ("energy", "forces", "charges", "dipole", "mo_energies", "density", "magmoms")
"""What ``results`` and the next step need."""


def ase_results(point: SinglePoint) -> dict[str, Any]:
    """The results that ASE has a name for; nothing when the SCF did not converge."""
    if not point.converged:
        return {}
    results: dict[str, Any] = {"energy": point.energy, "free_energy": point.energy}
    for name in ("forces", "dipole", "charges", "magmoms"):
        value = getattr(point, name)
        if value is not None:
            results[name] = value.copy()  # whoever works on one keeps the other
    if point.magmoms is not None:
        results["magmom"] = float(point.multiplicity - 1)
    if point.mo_energies is not None and point.occupations is not None:
        # spins, k-points, bands
        results["eigenvalues"] = point.mo_energies[:, None, :].copy()
        results["occupations"] = point.occupations[:, None, :].copy()
    return results


@dataclasses.dataclass(frozen=True)
class _Guess:
    """A density and what it belongs to."""

    key: tuple
    positions: np.ndarray
    density: np.ndarray


def _start(guess: _Guess | None, key: tuple, positions: np.ndarray) -> np.ndarray | None:
    """The density of a guess that belongs to the same molecule near these positions."""
    if guess is None or guess.key != key or not is_near(guess.density, guess.positions, positions):
        return None
    return guess.density


def is_near(density: np.ndarray, before: np.ndarray, positions: np.ndarray) -> bool:
    """Whether spin densities (S, N, N) of positions ``before`` are a start for the SCF at others
    (n, 3)."""
    farthest = MAX_DISPLACEMENT if len(density) == 1 else MAX_UNRESTRICTED
    return bool((np.abs(positions - before) < farthest).all())


class MLSEQM(GetOutputsMixin, Calculator):
    """Semiempirical energies, forces and properties of molecules.

    Charge and multiplicity come from the keywords, from ``atoms.info["charge"]`` and
    ``atoms.info["multiplicity"]`` (or ``["spin"]``, both 2S + 1), or from the sums of the initial
    charges and magnetic moments.  All that are given must agree.

    Parameters
    ----------
    {keywords}
    atoms : ase.Atoms, optional
        Gets this calculator attached.
    label, directory : str, optional
        Not used; for callers that give them to every calculator.

    Attributes
    ----------
    results : dict
        Under ASE's names: energy and free_energy (eV), forces (eV/Angstrom), dipole (e*Angstrom;
        ions: about the centre of mass), charges (e), magmoms and magmom (alpha minus beta
        electrons), eigenvalues (eV) and occupations, both (spins, 1, orbitals).
    singlepoint : SinglePoint or None
        All that was computed for the geometry of ``results``.

    Raises
    ------
    ase.calculators.calculator.InputError
        When a keyword or the molecule cannot be computed; the message says why.
    ase.calculators.calculator.SCFError
        When the SCF did not converge; its ``singlepoint`` says how far it came.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from ase_mlseqm import MLSEQM
    >>> atoms = molecule("H2O")
    >>> atoms.calc = MLSEQM(method="PM3")
    >>> round(atoms.calc.get_potential_energy(atoms), 1)
    -324.9
    >>> atoms.calc.singlepoint.multiplicity
    1
    """

    name = "mlseqm"
    default_parameters = dataclasses.asdict(CalculatorOptions())
    implemented_properties = [
        "energy",
        "free_energy",
        "forces",
        "dipole",
        "charges",
        "magmom",
        "magmoms",
        "eigenvalues",
        "occupations",
    ]

    def __init__(
        self,
        method: str | None = CalculatorOptions.method,
        *,
        atoms: Atoms | None = None,
        label: str | None = None,
        directory: str = ".",
        **options: Any,
    ) -> None:
        self._snapshot: Snapshot | None = None
        self._singlepoint: SinglePoint | None = None
        self._guess: _Guess | None = None
        _check_names(options)  # ASE's own __init__ takes more, and does nothing with it
        super().__init__(label=label, directory=directory, method=method, **options)
        if atoms is not None:
            atoms.calc = self

    @property
    def singlepoint(self) -> SinglePoint | None:
        """Everything computed for the last geometry, None when there are no valid results."""
        if not self.results or self._singlepoint is None:
            return None
        if self._singlepoint.parameters is None:
            self._singlepoint = self.completed(self._singlepoint, self._some_atoms(None))
        return self._singlepoint

    @property
    def unfinished(self) -> SinglePoint | None:
        """The same without what :meth:`completed` adds, for those who look at every step."""
        return self._singlepoint if self.results else None

    def completed(self, point: SinglePoint, atoms: Atoms) -> SinglePoint:
        """A result with bond orders, Mulliken charges, parameters and, where wanted, its
        uncertainty."""
        engine, molecule, _ = self._prepare(atoms)
        point = engine.complete(molecule, point, self.parameters["field"])
        if self.parameters["uncertainty"]:
            point = engine.assess(molecule, point, self.parameters["field"])
        return point

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change keywords; returns those that changed and forgets results if any did."""
        from .devices import find_device
        from .dispersion import Dispersion
        from .models import find_committee, find_model, installed

        _check_names(changes)
        with _errors_of_ase():
            options = CalculatorOptions(**{**self.parameters, **changes})
            model = find_model(options.method, options.model)
            if options.uncertainty:
                find_committee(model)
            find_device(options.device)
            if options.dispersion is not None:
                Dispersion.named(options.dispersion)
        values = dataclasses.asdict(options)
        if options.model is not None and options.model not in installed():
            values["model"] = str(Path(options.model).absolute())  # scripts change their folder
        changed = {key: values[key] for key in changes if values[key] != self.parameters[key]}
        if changed:
            self.parameters.update(changed)
            self.reset()
        return changed

    def reset(self) -> None:
        """Forget results and density."""
        super().reset()
        self._singlepoint = None
        self._guess = None

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """Keywords that differ from their defaults, and the method or the model."""
        from .models import DEFAULT

        # whoever reads a file wants to know it
        method, model = self.parameters["method"], self.parameters["model"]
        named = {"method": method} if method is not None else {"model": model or DEFAULT}
        return named | super().todict(skip_default)

    @property
    def density(self) -> np.ndarray | None:
        """Spin densities (S, N, N) that the next SCF starts from: those of the last geometry."""
        return None if self._guess is None else self._guess.density

    def start_from(self, atoms: Atoms, density: np.ndarray) -> None:
        """Start the next SCF from ``density``, if its atoms are close to ``atoms``."""
        _, molecule, key = self._prepare(atoms)
        self._guess = _Guess(key, molecule.positions, density)

    @property
    def atoms(self) -> Atoms | None:
        """Copy of the atoms of the last calculation."""
        return None if self._snapshot is None else self._snapshot.to_atoms()

    @atoms.setter
    def atoms(self, atoms: Atoms | None) -> None:
        self._snapshot = None if atoms is None else Snapshot(atoms)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; also charge and spin in ``atoms.info``."""
        if self._snapshot is None:
            return list(all_changes)
        return self._snapshot.changes(_plain(atoms), tol)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything, whatever ``properties`` are: next to the SCF it costs little.

        Only what ASE has no name for waits until :attr:`singlepoint` is asked for.
        """
        atoms = self._some_atoms(atoms)
        guess = self._guess
        # whatever happens below, nothing of an earlier geometry survives it
        self.reset()
        engine, molecule, key = self._prepare(atoms)
        with _errors_of_ase():
            (point,) = engine.run(
                [molecule],
                ASE_PROPERTIES,
                unrestricted=self.parameters["unrestricted"],
                field=self.parameters["field"],
                guesses=[_start(guess, key, molecule.positions)],
            )
        if not point.converged:
            if point.density is not None:  # there is none where the memory was too small
                point = engine.complete(molecule, point)
            raise failure(atoms, point)
        self.atoms = atoms
        self.results = ase_results(point)
        self._singlepoint = point
        if self.parameters["reuse_density"] and point.density is not None:
            self._guess = _Guess(key, molecule.positions, point.density)

    def get_hessian(self, atoms: Atoms | None = None) -> np.ndarray:
        """Second derivatives of the energy, (3N, 3N), eV/Angstrom^2; constraints do not count."""
        return self.second_derivatives(atoms).hessian

    def second_derivatives(self, atoms: Atoms | None = None, step: float = 1e-3) -> HessianResult:
        """Hessian and dipole derivatives from displacements of ``step`` Angstrom, in one batch."""
        from .derivatives import NotConvergedError, hessian

        atoms = self._some_atoms(atoms)
        engine, molecule, key = self._prepare(atoms)
        try:
            with _errors_of_ase():
                return hessian(
                    engine,
                    molecule,
                    step=step,
                    unrestricted=self.parameters["unrestricted"],
                    field=self.parameters["field"],
                    guess=_start(self._guess, key, molecule.positions),
                )
        except NotConvergedError as error:
            raise SCFError(f"{atoms.get_chemical_formula()}: {error}") from None

    def _some_atoms(self, atoms: Atoms | None) -> Atoms:
        found = self.atoms if atoms is None else atoms
        if found is None:
            raise CalculatorSetupError("there are no atoms to compute: give them as an argument")
        return _plain(found)

    def _prepare(self, atoms: Atoms) -> tuple[Engine, Any, tuple]:
        """The engine, the molecule, and what has to be equal for a density to be of use."""
        from .atoms import molecule_from_atoms

        given = self.parameters
        with _errors_of_ase():
            molecule = molecule_from_atoms(atoms, given["charge"], given["multiplicity"])
            engine = engine_for(given)
        key = (
            molecule.numbers.tobytes(),
            molecule.charge,
            molecule.multiplicity,
            given["unrestricted"],
        )
        return engine, molecule, key

    def _outputmixin_get_results(self) -> dict[str, Any]:
        """The results, and what a molecule has in the place of bands: one point of no momentum."""
        if "eigenvalues" not in self.results:
            return self.results
        levels, filled = self.results["eigenvalues"], self.results["occupations"] > 0
        edges = levels[filled].max(initial=-np.inf), levels[~filled].min(initial=np.inf)
        middle = np.mean([edge for edge in edges if np.isfinite(edge)])
        bands = {"ibz_kpoints": np.zeros((1, 3)), "kpoint_weights": np.ones(1)}
        return self.results | bands | {"fermi_level": float(middle)}


def batched(calc: Any) -> TypeGuard[MLSEQM]:
    """Whether what a calculator gives is what its engine computes, so that many structures may be
    one batch; a class made from MLSEQM that computes by itself, as for a bias, may add to it."""
    names = ("calculate", "get_property")
    own = any(getattr(type(calc), name, None) is not getattr(MLSEQM, name) for name in names)
    return isinstance(calc, MLSEQM) and not own


@contextlib.contextmanager
def _errors_of_ase() -> Iterator[None]:
    """An error of the input becomes ASE's, which is what callers of a calculator look for."""
    try:
        yield
    except errors.InputError as error:
        raise InputError(str(error)) from None


def _plain(atoms: Any) -> Atoms:
    """Atoms whose charge and spin are in ``info``, where copies keep them; see :func:`as_atoms`."""
    with _errors_of_ase():
        return as_atoms(atoms)


def _check_names(keywords: Iterable[str]) -> None:
    with _errors_of_ase():
        check_names(keywords, CalculatorOptions, "MLSEQM")


def failure(atoms: Atoms, point: SinglePoint) -> CalculationFailed:
    """The exception for a molecule that did not converge."""
    from .results import Status

    kind = CalculationFailed if point.status is Status.OUT_OF_MEMORY else SCFError
    error = kind(f"{atoms.get_chemical_formula()}: {point.message}")
    error.singlepoint = point  # type: ignore[attr-defined]
    return error


if MLSEQM.__doc__:  # absent under python -OO
    _table = keyword_table(CalculatorOptions).replace("\n", "\n    ")
    MLSEQM.__doc__ = MLSEQM.__doc__.replace("{keywords}", _table)
