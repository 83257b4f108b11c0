"""Extended XYZ and ASE databases: eV, Angstrom and eV/Angstrom by ASE's convention.

Frames with the same SMILES (``info["smiles"]``, or the key ``smiles`` of a database), or without
SMILES the same atoms in the same order with the same bonds, are frames of one molecule.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..atoms import charge_and_multiplicity, lowest_multiplicity, opposite_moments
from ..errors import InputError
from ..files.broken import plain_reason, unreadable, xyz_frames
from ..files.charges import computed_moment, state_computed
from ..files.structures import charge_pairs
from ..options import truth
from .blocks import PERIODIC, Block, Broken, Header, StateError, Units, check_state, smiles_text
from .graph import GroupNames, bonds
from .smiles import formal_charge, lacks_brackets


def header(path: Path) -> Header:
    """ASE's units; the level of theory where the first frame states it (``info["level"]``)."""
    found = (atoms for _, atoms in _records(path) if not isinstance(atoms, Exception))
    first = next(found, None)
    return Header(None if first is None else _level(first), Units(dipole=1.0, charge=1.0))


def blocks(path: Path, level: str | None = None) -> Iterator[Block | Broken]:
    """The frames of a file one by one; those that state another ``level`` are none of it."""
    names = GroupNames()
    for record, atoms in _records(path):
        if isinstance(atoms, Exception):
            yield Broken(record, f"cannot be read ({plain_reason(atoms)})")
            continue
        own = _level(atoms)
        level = own if level is None else level
        if own is not None and own != level:
            yield Broken(record, f"its level of theory is {own}, that of the others {level}")
            continue
        try:
            yield _block(record, atoms, names)
        except ValueError as error:  # InputError among them
            yield Broken(record, str(error))


def _level(atoms: Any) -> str | None:
    """The level of theory as the frame states it, which a parser may have taken for a number."""
    level = atoms.info.get("level")
    return None if level is None else str(level)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Record and ``ase.Atoms`` (or an exception) of everything in the file."""
    return _rows(path) if path.suffix.lower() == ".db" else _frames(path)


def _frames(path: Path) -> Iterator[tuple[str, Any]]:
    """Record and ``ase.Atoms`` (or an exception); a bad frame does not end the file."""
    from ase.io import iread

    try:
        opened = path.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise unreadable(path, error) from None
    with opened as file:
        for index, (start, lines, whole) in enumerate(xyz_frames(file)):
            record = f"frame {index}"
            if not whole:
                reason = f"line {start} should say how many atoms follow"
                yield record, InputError(reason)
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    (atoms,) = iread(io.StringIO("".join(lines)), index=":", format="extxyz")
            except Exception as error:  # whatever a broken line makes of the parser
                yield record, error
            else:
                yield record, atoms


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Record and ``ase.Atoms`` (or an exception) of every row of a database."""
    from ase.db import connect

    try:
        for row in connect(path).select():
            try:
                atoms = row.toatoms()
                atoms.info |= row.key_value_pairs | charge_pairs(row)
            except Exception as error:
                yield f"row {row.id}", error
            else:
                yield f"row {row.id}", atoms
    except Exception as error:  # of sqlite, when it is no database
        raise unreadable(path, error) from None


def _block(record: str, atoms: Any, names: GroupNames) -> Block:
    """One frame; raises ValueError where it is none to learn from."""
    results = atoms.calc.results if atoms.calc is not None else {}
    energy = results.get("energy", atoms.info.get("energy"))
    forces = results.get("forces", atoms.arrays.get("forces"))
    for value, what in ((energy, "energy"), (forces, "forces")):
        if value is None:
            there = sorted({*results, *atoms.info, *atoms.arrays} - {"numbers", "positions"})
            raise ValueError(
                f"there is no {what} in it" + (f", but {', '.join(there)}" if there else "")
            )
    if np.any(atoms.pbc):
        raise StateError(PERIODIC)
    state_computed(atoms)
    charge, multiplicity = charge_and_multiplicity(atoms)
    if multiplicity is None and (moment := computed_moment(results)) is not None:
        multiplicity = 1 + round(abs(moment))
    smiles = smiles_text(atoms.info.get("smiles"))
    if smiles is not None and lacks_brackets(smiles):
        raise ValueError(
            f"{smiles} is no SMILES: put what has brackets in quotation marks, as in "
            'smiles="[NH4+]"'
        )
    if not charge and "charge" not in atoms.info:
        charge = formal_charge(smiles or "")
    state = check_state(
        charge,
        multiplicity,
        atoms.numbers,
        unrestricted=truth("unrestricted", atoms.info.get("unrestricted", opposite_moments(atoms))),
        stated="charge" in atoms.info or smiles is not None,
    )
    if smiles is None:
        if not np.isfinite(atoms.positions).all():
            raise ValueError("a position is not a number")
        name = names.name(atoms.numbers, bonds(atoms.numbers, atoms.positions[None])[0])
        name += f" {state.charge:+d}" if state.charge else ""
        lowest = lowest_multiplicity(atoms, state.charge)
        name += f" ({multiplicity})" if (multiplicity or lowest) > lowest else ""
    else:
        name = smiles
    extras = {
        key: np.asarray(results[ours])[None]
        for key, ours in (("dipoles", "dipole"), ("charges", "charges"))
        if ours in results
    }
    return Block(
        name=name,
        numbers=atoms.numbers,
        positions=atoms.positions[None],
        energies=np.atleast_1d(energy),
        forces=np.asarray(forces)[None],
        smiles=smiles,
        frames=[record],
        extras=extras,
        state=state,
    )
