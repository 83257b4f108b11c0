"""HDF5 in the layout of ANI and COMP6: one group a molecule, at any depth."""

from __future__ import annotations

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
    """The groups with ``species`` (A,), ``coordinates`` (F, A, 3), ``energies`` and ``forces``, or
    with the names of :data:`ANI1X`."""
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
        multiplicity = group.attrs.get("multiplicity")
        check_state(
            float(group.attrs.get("charge", 0)),
            None if multiplicity is None else int(multiplicity),
            block.numbers,
        )
        yield block
    except RuntimeError as error:  # of HDF5, where the file is damaged
        yield Broken(name or "/", f"cannot be read ({' '.join(str(error).split())})")
    except StateError as error:
        for k in range(np.size(block.energies)):
            yield Broken(f"{name or '/'}[{k}]", str(error))
    except (OSError, ValueError, TypeError) as error:
        yield Broken(name or "/", f"cannot be read ({' '.join(str(error).split())})")


def _block(found: dict[str, Any], smiles: Any, name: str) -> Block:
    if smiles is None and "smiles" in found:
        smiles = np.asarray(found["smiles"][()])
    species = np.asarray(found["species"][()])
    if species.dtype.kind in "SO":
        species = np.array([as_text(v) for v in species])
    return Block(
        name=name,
        numbers=species,
        positions=found["coordinates"][()],
        energies=found["energies"][()],
        forces=found["forces"][()],
        smiles=smiles_text(smiles),
        extras={key: found[key][()] for key in EXTRAS if key in found},
    )
