"""pymatgen's molecules in and out; it is imported only to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from .errors import InputError
from .units import ISOTOPES

if TYPE_CHECKING:
    from pymatgen.core import Molecule


def as_atoms(system: Any) -> Atoms:
    """``ase.Atoms`` from whatever describes a molecule.

    Parameters
    ----------
    system : ase.Atoms, pymatgen Molecule or Structure
        Atoms are returned as they are, but for those that pymatgen's ``to_ase_atoms`` made: their
        charge and multiplicity are attributes, which ``Atoms.copy`` loses.

    Returns
    -------
    ase.Atoms
        Charge and multiplicity (2S + 1) of a molecule in ``info``, where they differ from
        pymatgen's defaults, zero and the lowest possible: it does not say whether those were given.

    Raises
    ------
    InputError
        For a site that is no single atom, a charge that is no whole number, and anything that is
        no structure.
    """
    if type(system) is Atoms:
        return system
    if isinstance(system, Atoms):
        if "charge" not in vars(system) and "spin_multiplicity" not in vars(system):
            return system
        atoms = system.copy()
        charge, multiplicity = vars(system).get("charge"), vars(system).get("spin_multiplicity")
    elif any(cls.__module__.startswith("pymatgen.") for cls in type(system).__mro__):
        atoms = _from_sites(system)
        # of a Structure only a charge that was set: its property adds up oxidation states
        charge = getattr(system, "_charge", 0)
        multiplicity = getattr(system, "spin_multiplicity", None)
    else:
        raise InputError(
            f"{type(system).__name__} is no structure: give ase.Atoms or a pymatgen Molecule"
        )
    charge = charge or 0
    if charge != round(charge):
        raise InputError(f"the molecule's charge is {charge}: give a whole number")
    if charge:
        atoms.info["charge"] = round(charge)
    lowest = 1 + (int(atoms.numbers.sum()) - round(charge)) % 2
    if multiplicity is not None and multiplicity != lowest:
        atoms.info["multiplicity"] = int(multiplicity)
    return atoms


def _from_sites(system: Any) -> Atoms:
    """Elements, positions and cell of a pymatgen object."""
    symbols = []
    for site in getattr(system, "sites", ()):
        species = list(site.species)
        if len(species) != 1 or site.species.num_atoms != 1 or not _is_element(species[0]):
            raise InputError(f"{site.species} is no single atom: give one element a site")
        # its symbol is H for deuterium, too
        symbols.append(getattr(species[0], "element", species[0]).name)
    if not symbols:
        raise InputError(f"{type(system).__name__} has no atoms: give a pymatgen Molecule")
    atoms = Atoms(["H" if s in ISOTOPES else s for s in symbols], system.cart_coords)
    if not ISOTOPES.keys().isdisjoint(symbols):
        masses = zip(symbols, atoms.get_masses(), strict=True)
        atoms.set_masses([ISOTOPES.get(symbol, (1, mass))[1] for symbol, mass in masses])
    lattice = getattr(system, "lattice", None)
    if lattice is not None:
        atoms.set_cell(lattice.matrix)
        atoms.pbc = lattice.pbc
    return atoms


def _is_element(species: Any) -> bool:
    return type(species).__name__ in ("Element", "Species")


def to_molecule(system: Any) -> Molecule:
    """pymatgen's Molecule of ``ase.Atoms``, or of the result of a workflow.

    Parameters
    ----------
    system : ase.Atoms, or a result with ``atoms``
        Charge and multiplicity are read as the calculator does.

    Returns
    -------
    pymatgen.core.Molecule
        ``properties`` has the energy (eV) and dipole (e Angstrom), ``site_properties`` the forces
        (eV/Angstrom) and charges (e) that ``atoms`` carry for this geometry.

    Raises
    ------
    InputError
        When pymatgen is not installed, the structure is periodic, or its charge and multiplicity
        do not fit.
    """
    try:
        from pymatgen.core import Molecule
    except ImportError:
        raise InputError(
            "a pymatgen Molecule needs pymatgen: pip install 'ase-mlseqm[thermo]'"
        ) from None
    from .atoms import charge_and_multiplicity

    atoms = as_atoms(getattr(system, "atoms", system))
    if atoms.pbc.any():
        raise InputError("a Molecule has no cell: switch periodicity off (pbc=False)")
    charge, multiplicity = charge_and_multiplicity(atoms)
    found = _results(atoms)
    try:
        return Molecule(
            [_symbol(z, mass) for z, mass in zip(atoms.numbers, atoms.get_masses(), strict=True)],
            atoms.positions,
            charge=charge,
            spin_multiplicity=multiplicity,
            properties={k: found[k] for k in ("energy", "dipole") if k in found},
            site_properties={k: found[k] for k in ("forces", "charges") if k in found},
        )
    except ValueError as error:
        raise InputError(str(error)) from None


def _symbol(number: int, mass: float) -> str:
    for name, (z, known) in ISOTOPES.items():
        if z == number and abs(mass - known) < 0.01:
            return name
    return chemical_symbols[number]


def _results(atoms: Atoms) -> dict[str, Any]:
    """What the calculator of ``atoms`` has for them, as plain numbers and lists."""
    if atoms.calc is None or atoms.calc.check_state(atoms):
        return {}
    return {name: np.asarray(value).tolist() for name, value in atoms.calc.results.items()}
