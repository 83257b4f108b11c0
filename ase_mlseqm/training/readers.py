"""Labelled frames from files: conventions are stated, broken records are left out and listed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from ..errors import InputError
from . import readers_hdf5
from .blocks import Block, Broken, Header, Units, parse_units
from .checks import Clean, absurd, clean, leave_out
from .dataset import Dataset, Skipped
from .isolated import isolated_energies
from .signs import check_signs

Progress = Callable[[str, int], None]
"""Called with the name of a file and the number of frames read from it so far."""


def read(
    paths: str | Path | Sequence[str | Path],
    level: str | None = None,
    units: str | None = None,
    isolated: Mapping[str, float] | None = None,
    gradients: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Read labelled frames.

    ======================  ==========================================================
    ``.h5``, ``.hdf5``      the layout of ANI and COMP6: groups with ``species``,
                            ``coordinates``, ``energies`` and ``forces``
    ======================  ==========================================================

    Nothing is guessed: where a file states its level or units (attributes ``level`` and ``units``
    of HDF5) that holds; the arguments are for files that do not.

    Parameters
    ----------
    paths : path or sequence of paths
    level : str, optional
        Level of theory of the files that do not state it.
    units : str, optional
        Units of the files that do not state them: 'hartree' or 'ev' (lengths in Angstrom, forces
        in energy per length), or all three as in 'hartree, bohr, hartree/bohr'.
    isolated : dict, optional
        Energy of the isolated atom by element, Hartree.  Default: known for wB97X/6-31G*, else
        taken from frames of single atoms in the file.
    gradients : bool
        Whether what the files call forces are gradients.
    progress : callable, optional
        Called with the name of a file and the number of its frames read so far.

    Raises
    ------
    InputError
        When a file cannot be used or does not state what is needed.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise InputError("there are no files to read: give at least one")
    return Dataset.concatenate(
        [_read_file(path, level, units, isolated, gradients, progress) for path in files]
    )


def _reader(path: Path) -> ModuleType:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() in (".h5", ".hdf5", ".hdf"):
        return readers_hdf5
    raise InputError(f"{path.name}: unknown type of file; give .h5 or .hdf5")


def _read_file(
    path: Path,
    level: str | None,
    units: str | None,
    isolated: Mapping[str, float] | None,
    gradients: bool,
    progress: Progress | None,
) -> Dataset:
    reader = _reader(path)
    header: Header = reader.header(path)
    level = header.level or level
    if not level:
        raise InputError(
            f"{path.name}: the file does not state its level of theory: give it, as in "
            "level='wB97X/6-31G*' (--level)"
        )
    if header.units is None and units is None:
        raise InputError(
            f"{path.name}: the file does not state its units: give them, as in units='hartree' "
            "or 'ev' (--units)"
        )
    used = header.units or parse_units(units or "", "units")
    blocks, skipped = _collect(reader.blocks(path), path, used, progress)
    sign = -1 if gradients or header.gradients else 1
    dataset = _assemble(path, blocks, skipped, level, isolated, sign, header)
    check_signs(dataset, path.name, gradients or header.gradients)
    return dataset


def _collect(
    found: Iterator[Block | Broken], path: Path, units: Units, progress: Progress | None
) -> tuple[list[Clean], list[Skipped]]:
    """Blocks in eV and Angstrom whose every frame is sound, and what was left out."""
    blocks: list[Clean] = []
    skipped: list[Skipped] = []
    count = 0
    for block in found:
        if isinstance(block, Broken):
            skipped.append(Skipped(path.name, block.record, block.reason))
            continue
        good, bad = clean(block, units)
        skipped += [Skipped(path.name, b.record, b.reason) for b in bad]
        if good is not None:
            blocks.append(good)
            count += len(good.energies)
            if progress is not None:
                progress(path.name, count)
    return blocks, skipped


def _assemble(
    path: Path,
    blocks: list[Clean],
    skipped: list[Skipped],
    level: str,
    isolated: Mapping[str, float] | None,
    sign: int,
    header: Header,
) -> Dataset:
    """The data set of one file from its sound blocks."""
    name = path.name
    atoms = {int(b.numbers[0]): float(b.energies.min()) for b in blocks if len(b.numbers) == 1}
    elements = {int(z) for b in blocks for z in np.unique(b.numbers)}
    table = isolated_energies(elements, level, isolated, atoms, name)
    kept: list[tuple[Clean, np.ndarray]] = []
    for block in blocks:
        if len(block.numbers) == 1:
            reason = "a single atom: nothing to learn from but its energy"
            skipped += [Skipped(name, frame, reason) for frame in block.frames]
            continue
        if header.atomization:
            block.energies += table[block.numbers].sum()
        good, bad = leave_out(block, absurd(block, table))
        skipped += [Skipped(name, b.record, b.reason) for b in bad]
        if good is not None:
            kept.append((good, good.energies - table[good.numbers].sum()))
    if not kept:
        most = Counter(s.reason for s in skipped).most_common(1)
        why = f" (most often: {most[0][0]})" if most else ""
        raise InputError(f"{name}: none of its {len(skipped)} records can be used{why}")
    good_blocks = [block for block, _ in kept]
    counts = [len(block.energies) for block in good_blocks]
    charges = _extra(good_blocks, "charges")
    return Dataset(
        numbers=[b.numbers for b in good_blocks for _ in b.energies],
        positions=[v for b in good_blocks for v in b.positions],
        energies=np.concatenate([b.energies for b in good_blocks]),
        atomization=np.concatenate([atomization for _, atomization in kept]),
        forces=[v for b in good_blocks for v in sign * b.forces],
        molecule=np.repeat(np.arange(len(counts)), counts),
        names=[f"{path.stem}/{b.name}" for b in good_blocks],
        smiles=[b.smiles for b in good_blocks],
        level=[level],
        source=np.zeros(sum(counts), dtype=np.int64),
        dipoles=_stacked(_extra(good_blocks, "dipoles")),
        charges=None if charges is None else [v for block in charges for v in block],
        homo=_stacked(_extra(good_blocks, "homo")),
        lumo=_stacked(_extra(good_blocks, "lumo")),
        skipped=skipped,
        checksums=_checksums(path),
    )


def _extra(blocks: list[Clean], name: str) -> list[np.ndarray] | None:
    """An extra of each block, NaN where it has none; None where no block has it."""
    if not any(name in block.extras for block in blocks):
        return None
    out = []
    for block in blocks:
        shape = {"dipoles": (3,), "charges": (len(block.numbers),)}.get(name, ())
        missing = np.full((len(block.energies), *shape), np.nan)
        out.append(block.extras.get(name, missing))
    return out


def _stacked(parts: list[np.ndarray] | None) -> np.ndarray | None:
    return None if parts is None else np.concatenate(parts)


def _checksums(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file of a folder."""
    files = [path] if path.is_file() else sorted(path.glob("*.npy"))
    out = {}
    for file in files:
        with file.open("rb") as handle:
            name = file.name if file == path else f"{path.name}/{file.name}"
            out[name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return out
