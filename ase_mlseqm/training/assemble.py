"""From the sound blocks of a file to its data set."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from .blocks import SINGLE
from .checks import Clean, absurd, leave_out
from .dataset import Dataset, Skipped
from .isolated import isolated_energies


def assemble(
    path: Path,
    blocks: list[Clean],
    skipped: list[Skipped],
    level: str,
    isolated: Mapping[str, float] | None = None,
    sign: int = 1,
    relative: bool = False,
    override: bool = True,
) -> Dataset:
    """The data set of one file from its sound blocks.

    Parameters
    ----------
    skipped : list of Skipped
        What was left out so far; frames with absurd energies and single atoms are added.
    isolated : dict, optional
        Energies of the isolated atoms, Hartree.
    sign : int
        -1 where the blocks hold gradients.
    relative : bool
        Whether the energies of the blocks are relative to the isolated atoms.
    override : bool
        Whether ``isolated`` comes before what level and frames tell.

    Raises
    ------
    InputError
        When the energy of an isolated atom is missing, or no frame is left.
    """
    name = path.name
    elements = {int(z) for b in blocks for z in np.unique(b.numbers)}
    atoms = {} if relative else _single_atoms(blocks)
    needed = () if relative else elements
    table = isolated_energies(needed, level, isolated, atoms, name, override)
    if relative and np.isnan(table[list(elements)]).any():
        table = np.zeros_like(table)  # atomization energies are known without
    kept: list[tuple[Clean, np.ndarray]] = []
    for block in blocks:
        if len(block.numbers) == 1:
            skipped += [Skipped(name, frame, SINGLE) for frame in block.frames]
            continue
        if relative:
            block = dataclasses.replace(block, energies=block.energies + table[block.numbers].sum())
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
    groups = {block.name: block.smiles for block in good_blocks}
    index = {group: k for k, group in enumerate(groups)}
    return Dataset(
        numbers=[b.numbers for b in good_blocks for _ in b.energies],
        positions=[v for b in good_blocks for v in b.positions],
        energies=np.concatenate([b.energies for b in good_blocks]),
        atomization=np.concatenate([atomization for _, atomization in kept]),
        forces=[v for b in good_blocks for v in sign * b.forces],
        charge=np.repeat([b.state.charge for b in good_blocks], counts).astype(np.int64),
        multiplicity=np.repeat([b.multiplicity for b in good_blocks], counts),
        unrestricted=np.repeat([b.unrestricted for b in good_blocks], counts),
        molecule=np.repeat([index[b.name] for b in good_blocks], counts),
        names=[f"{path.stem}/{group}" for group in groups],
        smiles=list(groups.values()),
        level=[level],
        source=np.zeros(sum(counts), dtype=np.int64),
        dipoles=_stacked(_extra(good_blocks, "dipoles")),
        charges=None if charges is None else [v for block in charges for v in block],
        homo=_stacked(_extra(good_blocks, "homo")),
        lumo=_stacked(_extra(good_blocks, "lumo")),
        skipped=skipped,
        checksums=_checksums(path),
    )


def _single_atoms(blocks: list[Clean]) -> dict[int, float]:
    """The lowest energy of every element that has frames of a single atom, eV."""
    out: dict[int, float] = {}
    for block in blocks:
        if len(block.numbers) == 1:
            number = int(block.numbers[0])
            out[number] = min(out.get(number, np.inf), float(block.energies.min()))
    return out


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
