"""HDF5 in the layout of ANI and COMP6: one group a molecule, at any depth.

Groups of ANI-2x hold all molecules of so many atoms: their ``species`` are those of every frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..broken_files import unreadable
from ..errors import InputError
from .blocks import (
    Block,
    Broken,
    Header,
    StateError,
    as_text,
    check_state,
    parse_units,
    smiles_text,
)
from .checks import known_numbers
from .graph import formula

REQUIRED = ("species", "coordinates", "energies", "forces")
EXTRAS = ("dipoles", "charges", "homo", "lumo")
ANI1X = {
    "atomic_numbers": "species",
    "wb97x_dz.energy": "energies",
    "wb97x_dz.forces": "forces",
    "wb97x_dz.dipole": "dipoles",
}
"""Names in the ANI-1x data set (Smith et al., Sci. Data 7 (2020) 134): those of wB97X/6-31G*."""


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path.name}: reading HDF5 needs h5py: pip install 'ase-mlseqm[train]'"
        ) from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise unreadable(path, error) from None


def header(path: Path) -> Header:
    """Level and units from the attributes ``level`` and ``units`` of the file."""
    with _open(path) as file:
        level, units = file.attrs.get("level"), file.attrs.get("units")
    return Header(
        None if level is None else as_text(level),
        None if units is None else parse_units(as_text(units), path.name),
    )


def blocks(path: Path, level: str | None = None) -> Iterator[Block | Broken]:
    """The groups with ``species`` (A,) or (F, A), ``coordinates`` (F, A, 3), ``energies`` and
    ``forces``, or with the names of :data:`ANI1X`."""
    with _open(path) as file:
        try:
            yield from _walk(file, "")
        except (OSError, RuntimeError) as error:  # a damaged index
            yield Broken("what follows", f"cannot be read ({' '.join(str(error).split())})")


def _walk(group: Any, name: str) -> Iterator[Block | Broken]:
    import h5py

    found = {key: value for key, value in group.items() if value is not None}  # dangling links
    inner = {key: value for key, value in found.items() if isinstance(value, h5py.Group)}
    for key, value in inner.items():
        yield from _walk(value, f"{name}/{key}".lstrip("/"))
    found = {ANI1X.get(key, key): value for key, value in found.items()}
    missing = [key for key in REQUIRED if key not in found]
    if missing:
        if len(inner) < len(found) or not found:
            there = ", ".join(sorted(set(group) - set(inner)))
            reason = f"there is no {missing[0]} in it"
            yield Broken(name or "/", reason + (f", but {there}" if there else ""))
        return
    try:
        block = _block(found, group.attrs.get("smiles"), name or "/")
        # what `mlseqm label` writes; other files say nothing
        charge, multiplicity = float(group.attrs.get("charge", 0)), group.attrs.get("multiplicity")
        multiplicity = None if multiplicity is None else int(multiplicity)
        for molecule in _molecules(block):
            yield from _checked(molecule, charge, multiplicity)
    except (RuntimeError, OSError, ValueError, TypeError) as error:  # RuntimeError: of HDF5
        yield Broken(name or "/", f"cannot be read ({' '.join(str(error).split())})")


def _checked(block: Block, charge: float, multiplicity: int | None) -> Iterator[Block | Broken]:
    """The block, or its frames if nothing is learned from such a state."""
    try:
        check_state(charge, multiplicity, block.numbers)
    except StateError as error:
        numbered = [f"{block.name}[{k}]" for k in range(np.size(block.energies))]
        for frame in block.frames or numbered:
            yield Broken(frame, str(error))
    else:
        yield block


def _molecules(block: Block) -> Iterator[Block]:
    """The block, or one for each sequence of atoms where every frame has species of its own."""
    columns, length = (block.positions, block.energies, block.forces), len(block.numbers)
    fits = all(np.shape(column)[:1] == (length,) for column in columns)
    if block.numbers.ndim != 2 or not length or not fits or block.smiles:
        yield block
        return
    rows, inverse = np.unique(block.numbers, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    extras = [item for item in block.extras.items() if np.shape(item[1])[:1] == (length,)]
    used: Counter[str] = Counter()
    for members in np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1]):
        row = rows[inverse.ravel()[members[0]]]
        name = f"{block.name}/{_formula(row)}"
        used[name] += 1
        yield Block(
            name=name if used[name] == 1 else f"{name}_{used[name]}",
            numbers=row,
            positions=block.positions[members],
            energies=block.energies[members],
            forces=block.forces[members],
            frames=[f"{block.name}[{k}]" for k in members],
            extras={key: value[members] for key, value in extras},
        )


def _formula(species: np.ndarray) -> str:
    try:
        return formula(known_numbers(species))
    except ValueError:  # of unknown ones, which are told later
        return "?"


def _block(found: dict[str, Any], smiles: Any, name: str) -> Block:
    if smiles is None and "smiles" in found:
        smiles = np.asarray(found["smiles"][()])
    species = np.asarray(found["species"][()])
    if species.dtype.kind in "SO":
        species = np.array([as_text(v) for v in species.ravel()]).reshape(species.shape)
    return Block(
        name=name,
        numbers=species,
        positions=found["coordinates"][()],
        energies=found["energies"][()],
        forces=found["forces"][()],
        smiles=smiles_text(smiles),
        extras={key: found[key][()] for key in EXTRAS if key in found},
    )
