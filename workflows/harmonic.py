"""Harmonic vibrations where a molecule is, without a relaxation; of many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm.differences import HessianResult
from ase_mlseqm.errors import InputError

from .computed import Computed, computed, not_stationary
from .displacements import Progress
from .hessians import hessians
from .isotopes import check_masses
from .journal import Journal
from .md_config import has_field
from .normal_modes import imaginary_text, infrared_intensities, normal_modes
from .raman import Polarizability, polarizability, raman_activities, require_field
from .several import Failure, attempt, structure, together
from .side_by_side import listed, side_by_side
from .vibrations_config import VibrationsConfig, VibrationsResult

LIBRATIONS = (
    "rotations are projected out, though the electric field turns the molecule: how it swings in "
    "the field is not among the frequencies"
)
ASYMMETRY = 0.05
"""eV/Angstrom^2; noise of the SCF and of differences leaves a hundredth of it."""


def free_molecule(atoms: Any) -> Atoms:
    """The structure of ``atoms``; InputError where it is periodic, or has impossible masses."""
    found = structure(atoms)
    if found.pbc.any():
        raise InputError(
            "vibrations are those of a molecule: switch periodicity off (pbc=False, --no-pbc)"
        )
    check_masses(found)
    return found


def harmonic(
    atoms: Atoms,
    calc: BaseCalculator,
    config: VibrationsConfig | None = None,
    *,
    cache: str | Path | None = None,
) -> VibrationsResult:
    """Vibrations at the geometry and with the masses of ``atoms``; otherwise as ``vibrations``."""
    start = free_molecule(atoms)
    if config is not None and config.raman:
        require_field(calc)  # before anything is computed
    with Journal(cache) as journal:
        (found,) = harmonic_many([start], calc, config or VibrationsConfig(), journal)
    if isinstance(found, Exception):
        raise found
    return found


def harmonic_many(
    structures: Sequence[Atoms],
    calc: BaseCalculator,
    config: VibrationsConfig,
    journal: Journal,
    callback: Progress | None = None,
) -> list[VibrationsResult | Failure]:
    """The same of many molecules, an exception for one that cannot be computed."""

    def derivatives(points: list[Computed]) -> list[Any]:
        geometries, densities = [p.atoms for p in points], [p.density for p in points]
        return hessians(geometries, calc, config.step, journal, densities, callback)

    def polarizabilities(points: list[Computed]) -> list[Any]:
        if not config.raman:
            return [None] * len(points)
        return listed(side_by_side(polarizability, [point.atoms for point in points], calc))

    def result(point: Computed, slopes: HessianResult, alpha: Polarizability | None) -> Any:
        found = _result(point, slopes, alpha, config)
        if len(point.atoms) > 1 and has_field(calc):
            return dataclasses.replace(found, messages=[*found.messages, LIBRATIONS])
        return found

    points = computed(structures, calc)
    return attempt(
        result, points, together(derivatives, points), together(polarizabilities, points)
    )


def _result(
    point: Computed,
    found: HessianResult,
    alpha: Polarizability | None,
    config: VibrationsConfig,
) -> VibrationsResult:
    atoms, slopes = point.atoms, found.dipole_derivatives
    modes = normal_modes(found.hessian, atoms.positions, atoms.get_masses())
    raman, ratios = None, None
    if alpha is not None:
        raman, ratios = raman_activities(modes.modes, modes.reduced_masses, alpha.derivatives)
    result = VibrationsResult(
        atoms=atoms,
        charge=point.charge,
        multiplicity=point.multiplicity,
        heat_of_formation=point.heat_of_formation,
        frequencies=modes.frequencies,
        modes=modes.modes,
        reduced_masses=modes.reduced_masses,
        intensities=None if slopes is None else infrared_intensities(modes, slopes),
        unprojected=modes.unprojected,
        linear=modes.linear,
        hessian=found.hessian,
        dipole_derivatives=slopes,
        polarizability=None if alpha is None else alpha.tensor,
        polarizability_derivatives=None if alpha is None else alpha.derivatives,
        raman_activities=raman,
        depolarisation_ratios=ratios,
        messages=[],
        config=config,
    )
    return dataclasses.replace(result, messages=_doubts(result, found.asymmetry))


def _doubts(result: VibrationsResult, asymmetry: float = 0.0) -> list[str]:
    out = not_stationary(result.max_force, result.config.fmax)
    if asymmetry > ASYMMETRY:
        out.append(
            f"elements of the Hessian that should be equal differ by up to {asymmetry:.2g} "
            "eV/Angstrom^2: forces of displaced structures do not fit together, as where an SCF "
            "ends in another state, or where a learned surface is not smooth (try step=0.01), and "
            "frequencies mean little"
        )
    count = len(result.imaginary)
    if count:
        listed = imaginary_text(result.imaginary[:3])
        more = ", ..." if count > 3 else ""
        out.append(
            f"{count} imaginary mode{'s' if count > 1 else ''} ({listed}{more} cm-1), so no "
            "minimum: relax further (a smaller fmax), or displace along the first and relax "
            "again (follow=1)"
        )
    if len(result.soft):
        out.append(
            f"soft modes ({imaginary_text(result.soft)} cm-1) are within the noise: a smaller fmax "
            "says whether they are imaginary"
        )
    return out
