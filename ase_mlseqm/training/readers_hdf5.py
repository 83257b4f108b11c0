"""HDF5 in the layout of ANI and COMP6, or of :mod:`.layouts`: one group a molecule, at any depth.

Groups of ANI-2x hold all molecules of so many atoms: their ``species`` are those of every frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.broken import unreadable
from ..options import truth
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
from .layouts import ANI, REQUIRED, Published, layout_of, stated_units
from .smiles import formal_charge

EXTRAS = ("dipoles", "charges", "homo", "lumo")


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
    """Level and units from the attributes ``level`` and ``units`` of the file, else from those of
    the datasets of its first molecule, or from its layout."""
    with _open(path) as file:
        try:
            level, units = file.attrs.get("level"), file.attrs.get("units")
        except (OSError, RuntimeError) as error:  # they are damaged
            raise unreadable(path, error) from None
        layout, found = _first(file)
    own = stated_units(found, path.name) if units is None else None
    text = layout.units if units is None else as_text(units)
    return Header(
        layout.level if level is None else as_text(level),
        own or (None if text is None else parse_units(text, path.name)),
        layout.gradients,
    )


def _first(file: Any) -> tuple[Published, dict[str, dict[str, Any]]]:
    """The layout of the first whole molecule, and the attributes of its datasets by our names."""
    try:
        for _, _, content in groups(file, "", set()):
            layout = layout_of(content)
            found = layout.renamed(content)
            if set(REQUIRED) <= set(found):
                return layout, {key: dict(value.attrs) for key, value in found.items()}
    except (OSError, RuntimeError):  # a damaged index, which is told where frames are read
        pass
    return ANI, {}


def blocks(path: Path, level: str | None = None) -> Iterator[Block | Broken]:
    """The groups with ``species`` (A,) or (F, A), ``coordinates`` (F, A, 3), ``energies`` and
    ``forces``, or with the names of another layout; what several links lead to is read once."""
    with _open(path) as file:
        first, _ = _first(file)
        try:
            for name, group, content in groups(file, "", set()):
                if group is None:
                    yield Broken(name, "it is damaged")
                    continue
                layout = layout_of(content)
                if (layout.units, layout.gradients) != (first.units, first.gradients):
                    yield Broken(name, "its layout is another than that of the first molecule")
                    continue
                yield from _frames(name, group, layout.renamed(content), sorted(content))
        except (OSError, RuntimeError) as error:  # a damaged index
            yield Broken("what follows", f"cannot be read ({' '.join(str(error).split())})")


def groups(group: Any, name: str, seen: set[Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, group and content of all groups that hold more than groups, the inner ones first; the
    group is None where there is something damaged in its place."""
    import h5py

    place = h5py.h5o.get_info(group.id)
    if (place.fileno, place.addr) in seen:
        return
    seen.add((place.fileno, place.addr))
    content: dict[str, Any] = {}
    inner = False
    for key, value in group.items():
        if isinstance(value, h5py.Group):
            inner = True
            yield from groups(value, f"{name}/{key}".lstrip("/"), seen)
        elif value is not None:
            content[key] = value
        elif isinstance(group.get(key, getlink=True), h5py.HardLink):  # others dangle
            yield f"{name}/{key}".lstrip("/"), None, {}
    if content or not inner:
        yield name or "/", group, content


def _frames(
    name: str, group: Any, found: dict[str, Any], theirs: list[str]
) -> Iterator[Block | Broken]:
    missing = [key for key in REQUIRED if key not in found]
    if missing:
        reason = f"there is no {missing[0]} in it"
        yield Broken(name, reason + (f", but {', '.join(theirs)}" if theirs else ""))
        return
    try:
        block = _block(found, group.attrs.get("smiles"), name)
        # what `mlseqm label` writes; of other files a SMILES may tell
        charge = float(group.attrs.get("charge", formal_charge(block.smiles or "")))
        multiplicity = group.attrs.get("multiplicity")
        multiplicity = None if multiplicity is None else float(multiplicity)
        how = {
            "unrestricted": truth("unrestricted", group.attrs.get("unrestricted", False)),
            "stated": "charge" in group.attrs or block.smiles is not None,
        }
        for molecule in _molecules(block):
            yield from _checked(molecule, charge, multiplicity, how)
    except (RuntimeError, OSError, ValueError, TypeError) as error:  # RuntimeError: of HDF5
        yield Broken(name, f"cannot be read ({' '.join(str(error).split())})")


def _checked(
    block: Block, charge: float, multiplicity: float | None, how: dict[str, bool]
) -> Iterator[Block | Broken]:
    """The block with its state, or its frames if nothing is learned from such a one."""
    try:
        block.state = check_state(charge, multiplicity, block.numbers, **how)
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
            mixed=True,
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
