"""All structures of a file, also where ASE's readers stop after the first one."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.db import connect
from ase.io import iread, read
from ase.io.formats import filetype, open_with_compression

from ..atoms import KEYS, other_names
from ..errors import InputError

PACKED = (".gz", ".bz2", ".xz")
DATABASES = ("db", "json")
"""ASE's names of these formats."""


def file_kind(path: Path) -> str:
    """The ending that names the format, without that of a compression."""
    return Path(path.stem if path.suffix in PACKED else path.name).suffix.lower()


def file_text(path: Path) -> str:
    """The text of a file, which may be compressed."""
    with open_with_compression(str(path), "rb") as file:
        return file.read().decode(errors="replace")


def sdf_blocks(text: str) -> list[str]:
    """The molecules of an SDF file, or the one of a MOL file."""
    blocks = re.split(r"^\$\$\$\$[^\n]*\n?", text, flags=re.MULTILINE)
    return [block for block in blocks if block.strip()]


def structures(path: Path) -> Iterator[Atoms]:
    """The structures, one by one; raises what the reader raises where one cannot be read.

    Of an SDF file ASE reads the first molecule only, of a PDB file whose models end with ENDMDL
    one without atoms behind the last, and of a database no key-value pairs, in which charge and
    multiplicity may be: these are in ``info``.
    """
    if path.is_fifo():
        raise InputError("it is a pipe: write it to a file first")
    if file_kind(path) in (".sdf", ".mol"):
        for block in sdf_blocks(file_text(path)):
            if "V3000" in block.partition("M  END")[0]:
                raise InputError("its format is V3000: convert it to V2000, or to xyz")
            atoms = read(io.StringIO(block), format="sdf")
            assert isinstance(atoms, Atoms)
            yield atoms
        return
    name = str(path)
    if filetype(name) in DATABASES:
        packed = path.suffix in PACKED  # which JSON may be
        with connect(open_with_compression(name) if packed else name, serial=True) as rows:
            for row in rows.select():
                atoms = row.toatoms()
                atoms.info |= charge_pairs(row)
                yield atoms
        return
    for atoms in iread(name, index=":", do_not_split_by_at_sign=True):
        if len(atoms) or file_kind(path) != ".pdb":
            yield atoms


def charge_pairs(row: Any) -> dict[str, Any]:
    """The key-value pairs of a row of a database that mean charge or multiplicity."""
    # the property "charge" of a row is the sum of initial charges, and hides the pair of that name
    pairs = {name: vars(row).get(name, value) for name, value in row.key_value_pairs.items()}
    names = {*KEYS, *other_names(pairs)}
    return {name: value for name, value in pairs.items() if name in names}
