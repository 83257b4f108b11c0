"""Settings and result of vibrations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, require_not_negative, require_positive
from ase_mlseqm.summary import fields_of

from .computed import ComputedAtoms
from .normal_modes import IMAGINARY


@dataclasses.dataclass(frozen=True)
class VibrationsConfig:
    """Settings of vibrations."""

    relax: bool = True
    """Relax first; switch it off for a transition state."""
    fmax: float = 0.001
    """Largest force of a stationary point, eV/Angstrom: the relaxation ends there, and above it
    is a warning."""
    max_steps: int = 500
    """Steps after which a relaxation is given up."""
    follow: int = 0
    """How often a structure with imaginary modes is displaced along the first of them and relaxed
    again."""
    push: float = 0.1
    """Largest displacement of an atom along that mode, Angstrom."""
    step: float | None = None
    """Displacement for the derivatives, Angstrom; default: 0.001, with calculators other than
    MLSEQM 0.01."""
    isotopes: tuple[str, ...] = ()
    """Masses, u, of single atoms (counted from zero) or elements, such as 0=13.00335,H=D."""

    raman: bool = False
    """Compute Raman activities, too; with MLSEQM only."""

    def __post_init__(self) -> None:
        check_types(self)
        require_positive(self, "fmax", "push", "step")
        require_not_negative(self, "max_steps", "follow")
        if self.follow and not self.relax:
            raise InputError("follow relaxes the structure: leave it out, or let it be relaxed")


@dataclasses.dataclass(frozen=True)
class VibrationsResult(ComputedAtoms):
    """Vibrations of a molecule with A atoms and V modes (3A - 6; linear 3A - 5; an atom none).

    Attributes
    ----------
    atoms : ase.Atoms
        The structure, with the masses that were used and its energy, forces and dipole.
    multiplicity, charge : int
        Of the calculation; with calculators that do not say, those of ``atoms.info`` or the
        lowest possible ones.
    heat_of_formation : float or None
        At 298 K, eV: only with MNDO, AM1 and PM3, whose energies contain zero-point and thermal
        energies.
    frequencies : (V,) array
        Ascending, cm-1; imaginary ones are negative numbers.
    modes : (V, A, 3) array
        Cartesian displacements of length one.
    reduced_masses : (V,) array
        u.
    intensities : (V,) array or None
        km/mol; None where the calculator has no dipoles.
    unprojected : (3A,) array
        Frequencies with translations and rotations left in, cm-1.
    linear : bool
    hessian : (3A, 3A) array
        eV/Angstrom^2.
    dipole_derivatives : (3A, 3) array or None
        e.
    polarizability : (3, 3) array or None
        Polarizability volume, Angstrom^3; this and the next three only where ``config.raman``.
    polarizability_derivatives : (3A, 3, 3) array or None
        Angstrom^2.
    raman_activities : (V,) array or None
        Angstrom^4/u.
    depolarisation_ratios : (V,) array or None
        Of plane-polarised light, 0 to 3/4; NaN without activity.
    messages : list of str
        A sentence for everything that makes the numbers doubtful.
    config : VibrationsConfig
    """

    atoms: Atoms
    charge: int
    multiplicity: int
    heat_of_formation: float | None
    frequencies: np.ndarray
    modes: np.ndarray
    reduced_masses: np.ndarray
    intensities: np.ndarray | None
    unprojected: np.ndarray
    linear: bool
    hessian: np.ndarray
    dipole_derivatives: np.ndarray | None
    polarizability: np.ndarray | None
    polarizability_derivatives: np.ndarray | None
    raman_activities: np.ndarray | None
    depolarisation_ratios: np.ndarray | None
    messages: list[str]
    config: VibrationsConfig

    @property
    def imaginary(self) -> np.ndarray:
        """Imaginary frequencies beyond 20 cm-1, the noise, as negative numbers, cm-1."""
        return self.frequencies[self.frequencies < IMAGINARY]

    @property
    def soft(self) -> np.ndarray:
        """Imaginary frequencies within the noise, as negative numbers, cm-1."""
        return self.frequencies[(self.frequencies >= IMAGINARY) & (self.frequencies < 0)]

    @property
    def zero_point_energy(self) -> float:
        """Half of the sum of the real frequencies, eV."""
        return 0.5 * units.invcm * float(self.frequencies[self.frequencies > 0].sum())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary, of which :meth:`from_dict` makes the result again."""
        results = self.atoms.calc.results
        return {
            "numbers": self.atoms.numbers.tolist(),
            "positions": self.atoms.positions.tolist(),
            "masses": self.atoms.get_masses().tolist(),
            "energy": self.energy,
            "forces": results["forces"].tolist(),
            "max_force": self.max_force,
            "zero_point_energy": self.zero_point_energy,
            "n_imaginary": len(self.imaginary),
            **fields_of(self, "atoms", "config"),
            "config": dataclasses.asdict(self.config),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> VibrationsResult:
        """The result in a dictionary of :meth:`to_dict`."""
        atoms = Atoms(stored["numbers"], stored["positions"], masses=stored["masses"])
        atoms.info |= {name: stored[name] for name in ("charge", "multiplicity")}
        atoms.calc = SinglePointCalculator(
            atoms, energy=stored["energy"], forces=np.array(stored["forces"])
        )
        values = {f.name: stored[f.name] for f in dataclasses.fields(cls)[1:-1]}
        for name, value in values.items():
            if isinstance(value, list) and name != "messages":
                values[name] = np.array(value, dtype=float)  # null is NaN
        values["modes"] = values["modes"].reshape(-1, len(atoms), 3)
        config = stored["config"] | {"isotopes": tuple(stored["config"]["isotopes"])}
        names = [f.name for f in dataclasses.fields(VibrationsConfig)]
        return cls(atoms, **values, config=VibrationsConfig(**{n: config[n] for n in names}))
