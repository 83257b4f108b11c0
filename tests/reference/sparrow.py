"""Run SCINE Sparrow (the second, independent implementation) on single geometries."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from ase.data import chemical_symbols

# Sparrow's own constants: its parameters were turned into atomic units with them.
HARTREE_IN_EV = 1 / 0.03674932248
BOHR_IN_ANGSTROM = 0.52917721067
EV_IN_KCAL_MOL = 23.060547830619
BOHR_IN_DEBYE = 4.803204712570263 * BOHR_IN_ANGSTROM  # e*bohr
# Sparrow's default mixer, plain DIIS, ends some UHF calculations (S2, O2, C2H) away from a
# stationary point and reports convergence; this one does not.
SETTINGS = {
    "scf_mixer": "ediis_diis",
    "self_consistence_criterion": 1e-9,  # hartree
    "density_rmsd_criterion": 1e-9,
    "max_scf_iterations": 1000,
}


def sparrow_available() -> bool:
    """Whether `scine_sparrow` can be imported."""
    return sparrow_version() is not None


def sparrow_version() -> str | None:
    try:
        return version("scine-sparrow")
    except PackageNotFoundError:
        return None


def sparrow_settings(charge: int, multiplicity: int, uhf: bool) -> dict:
    """The settings that differ from Sparrow's defaults."""
    return SETTINGS | {
        "molecular_charge": int(charge),
        "spin_multiplicity": int(multiplicity),
        "spin_mode": "unrestricted" if uhf or multiplicity > 1 else "restricted",
    }


def run_sparrow(
    numbers: Sequence[int],
    positions: np.ndarray,
    method: str,
    charge: int = 0,
    multiplicity: int = 1,
    uhf: bool = False,
    *,
    matrices: bool = False,
) -> dict:
    """Energy and gradients of one molecule, SCF from Sparrow's own guess.

    Parameters
    ----------
    positions
        (A, 3) in Angstrom.
    method
        "MNDO", "AM1" or "PM3".

    Returns
    -------
    dict
        Always: `converged`, `settings`, `version`, `message`. If converged: `energy_eV` (electronic
        energy plus core repulsion), `gradients_kcal_mol_A` (A, 3), `dipole_vector_debye`,
        `charges` (A,), `orbital_energies_eV` (a list; UHF: {"alpha": list, "beta": list}); with
        `matrices` also `overlap`.
    """
    import scine_sparrow  # noqa: F401  (registers the methods)
    import scine_utilities as scine

    settings = sparrow_settings(charge, multiplicity, uhf)
    result = {
        "converged": False,
        "settings": settings,
        "version": sparrow_version(),
        "message": "",
    }
    calculator = scine.core.ModuleManager.get_instance().get("calculator", method)
    calculator.log = scine.core.Log.silent()
    for name, value in settings.items():
        calculator.settings[name] = value
    elements = [scine.ElementInfo.element_from_symbol(chemical_symbols[z]) for z in numbers]
    try:
        calculator.structure = scine.AtomCollection(
            elements, np.asarray(positions) / BOHR_IN_ANGSTROM
        )
        wanted = ["Energy", "Gradients", "AtomicCharges", "OrbitalEnergies", "Dipole"]
        wanted += ["SuccessfulCalculation", *(["OverlapMatrix"] if matrices else [])]
        calculator.set_required_properties([getattr(scine.Property, name) for name in wanted])
        raw = calculator.calculate()
    except RuntimeError as error:
        return result | {"message": " ".join(str(error).split())}
    if not raw.successful_calculation:
        return result | {"message": "Sparrow reports an unsuccessful calculation"}
    gradient_unit = HARTREE_IN_EV * EV_IN_KCAL_MOL / BOHR_IN_ANGSTROM
    result |= {
        "converged": True,
        "energy_eV": raw.energy * HARTREE_IN_EV,
        "gradients_kcal_mol_A": np.array(raw.gradients) * gradient_unit,
        "dipole_vector_debye": np.array(raw.dipole) * BOHR_IN_DEBYE,
        "charges": np.array(raw.atomic_charges),
        "orbital_energies_eV": _orbital_energies(raw.orbital_energies),
    }
    if matrices:
        lower = np.tril(raw.overlap_matrix)
        result["overlap"] = lower + np.tril(lower, -1).T
    return result


def _orbital_energies(energies) -> list[float] | dict[str, list[float]]:
    if energies.is_restricted:
        return [e * HARTREE_IN_EV for e in energies.restricted_energies]
    return {
        spin: [e * HARTREE_IN_EV for e in getattr(energies, spin)] for spin in ("alpha", "beta")
    }
