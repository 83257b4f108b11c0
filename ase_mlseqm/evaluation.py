"""Many molecules in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .batch import Molecule
from .engines import shared_engine
from .errors import InputError
from .models import find_model
from .options import truth, whole
from .results import Callback, SinglePoint
from .scf import SCFSettings


def evaluate(
    systems: Sequence[Any],
    method: str | None = None,
    properties: Sequence[str] = ("energy", "forces"),
    device: str = "cpu",
    *,
    model: str | None = None,
    charges: Sequence[int] | None = None,
    multiplicities: Sequence[int | None] | None = None,
    unrestricted: bool | None = None,
    field: Sequence[float] | None = None,
    guesses: Sequence[np.ndarray | None] | None = None,
    scf: SCFSettings | None = None,
    max_memory: float | None = None,
    dispersion: str | None = None,
    callback: Callback | None = None,
) -> list[SinglePoint]:
    """Evaluate many molecules of any sizes in one call.

    Parameters
    ----------
    systems : sequence of ase.Atoms, Molecule or pymatgen Molecule
        Charge and multiplicity of ``Atoms`` are read as the calculator does (``info``, initial
        charges and magnetic moments), unless the two arguments below are given.
    method : str, optional
        MNDO, AM1 or PM3.
    properties : sequence of str
        Any of energy, forces, charges, mulliken_charges, dipole, mo_energies, density,
        bond_orders, magmoms, parameters, stability; of a model with a committee also uncertainty.
    device : str
        ``"cpu"`` or ``"cuda"``.
    model : str, optional
        Name or file of a learned model; default, where no method is given: the one that comes
        with the package.
    charges, multiplicities : sequences, optional
        Of every molecule; a multiplicity of None is the lowest possible one.
    unrestricted : bool, optional
        Default: unrestricted where the multiplicity is above one.
    field : three floats, optional
        Uniform electric field, V/Angstrom.
    guesses : sequence of (S, N, N) arrays, optional
        Starting densities (``SinglePoint.density`` of a similar geometry).
    scf : SCFSettings, optional
        Accuracy and limits of the SCF.
    max_memory : float, optional
        Bound of the memory of the batches computed at one time, bytes; a molecule alone may take
        more.
    dispersion : str, optional
        Dispersion correction to add: a functional and d3bj, d3zero or d4, as in 'wb97x-d3bj'.
    callback : callable, optional
        Called with (index, result) as soon as a molecule is done, from any thread.

    Returns
    -------
    list of SinglePoint
        In the order of ``systems``.  Molecules whose SCF failed have ``converged`` False, NaN for
        every number and a ``status`` that says why.

    Raises
    ------
    InputError
        Before anything is computed, when a molecule cannot be (the message names it).
    """
    chosen = find_model(method, model)
    if isinstance(systems, Molecule) or hasattr(systems, "get_positions"):
        raise InputError("this is a single molecule: give a list of molecules")
    if not isinstance(systems, Iterable):
        raise InputError(f"systems is {systems!r}: give a list of molecules")
    if scf is not None and not isinstance(scf, SCFSettings):
        raise InputError(f"scf is {scf!r}: give SCFSettings(...)")
    if dispersion is not None and not isinstance(dispersion, str):
        raise InputError(f"dispersion is {dispersion!r}: give a name such as 'wb97x-d3bj'")
    if callback is not None and not callable(callback):
        raise InputError(f"callback is {callback!r}: give a function of an index and a result")
    if unrestricted is not None:
        unrestricted = truth("unrestricted", unrestricted)
    systems = list(systems)
    _check_counts(len(systems), charges=charges, multiplicities=multiplicities, guesses=guesses)
    molecules = []
    for index, system in enumerate(systems):
        try:
            given: dict[str, Any] = {}
            if charges is not None:
                given["charge"] = whole("charge", charges[index])
            if multiplicities is not None:
                spin = multiplicities[index]
                given["multiplicity"] = None if spin is None else whole("multiplicity", spin)
            molecule = system if isinstance(system, Molecule) else _from_atoms(system, given)
            molecules.append(dataclasses.replace(molecule, **given))
        except InputError as error:
            raise InputError(f"molecule {index}: {error}") from None
    engine = shared_engine(chosen, str(device), scf or SCFSettings(), max_memory, dispersion)
    return engine.run(
        molecules,
        properties,
        unrestricted=unrestricted,
        field=field,
        guesses=guesses,
        callback=callback,
    )


def _check_counts(n_molecules: int, **arguments: Sequence[Any] | None) -> None:
    """Raise :class:`InputError` where one of these does not have one entry a molecule."""
    for name, values in arguments.items():
        if values is None:
            continue
        if not hasattr(values, "__len__"):
            raise InputError(f"{name} is {values!r}: give a list, one for each molecule")
        if len(values) != n_molecules:
            raise InputError(f"there are {n_molecules} molecules, but {len(values)} {name}")


def _from_atoms(atoms: Any, given: dict[str, Any]) -> Molecule:
    from .atoms import molecule_from_atoms  # the only place of the engine that knows ase

    return molecule_from_atoms(atoms, **given, overrule=True)
