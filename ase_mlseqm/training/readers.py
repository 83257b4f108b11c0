"""Labelled frames from files: conventions are stated, broken records are left out and listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from ase.data import chemical_symbols

from ..errors import InputError
from . import readers_ase, readers_hdf5, readers_npy
from .assemble import assemble
from .blocks import ODD, PERIODIC, SINGLE, Block, Broken, Header, Units, parse_units
from .checks import Clean, clean, isomers
from .dataset import Dataset, Skipped
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
    elements: Collection[int] | None = None,
) -> Dataset:
    """Read labelled frames.

    - ``.h5``, ``.hdf5``: the layout of ANI and COMP6, groups at any depth with ``species`` (atomic
      numbers or symbols), ``coordinates``, ``energies`` and ``forces``, or that of SPICE or
      Transition1x;
    - ``.xyz``, ``.extxyz``, ``.db``: extended XYZ and ASE databases, in eV, Angstrom and
      eV/Angstrom by ASE's convention;
    - a folder with ``EtEi.npy``, ``Gradient_ev.npy``, ``R.npy`` and ``Z.npy``: the public set of
      Zhou et al. (figshare 19640052), whose units and gradients are part of the format.

    Nothing is guessed: where a file states its level or units (attributes ``level`` and ``units``
    of HDF5, ``units`` of its datasets, or its format does) that holds; the arguments are for files
    that do not.  The sign of
    the forces is checked against PM3's, with boron against MNDO's.  Broken records are listed in
    ``Dataset.skipped``.

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
        taken from frames of single atoms in the file; where files of several levels are read these
        come first.
    gradients : bool
        Whether what the files call forces are gradients.
    progress : callable, optional
        Called with the name of a file and the number of its frames read so far.
    elements : collection of int, optional
        Atomic numbers that are wanted; frames with others are left out, and listed.

    Raises
    ------
    InputError
        When a file cannot be used or does not state what is needed.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise InputError("there are no files to read: give at least one")
    twice = [p for k, p in enumerate(files) if p.resolve() in {f.resolve() for f in files[:k]}]
    if twice:
        raise InputError(f"{twice[0]}: given twice, which would count its frames double: keep one")
    if units is not None and all(_reader(p) is not readers_hdf5 for p in files):
        raise InputError(
            f"units {units!r} are of no use: these formats have eV and Angstrom; leave them out, "
            "or convert what is in other units"
        )
    # looked for only where it decides
    one_level = isolated is None or len({_reader(p).header(p).level or level for p in files}) == 1
    return Dataset.concatenate(
        [
            _read_file(path, level, units, isolated, gradients, progress, elements, one_level)
            for path in files
        ]
    )


FOREIGN = "an element that the model does not have:"
"""How the reason begins why a frame was left out that is in order otherwise."""
BROKEN, OTHER_ELEMENTS, OTHER_STATES = "broken", "of other elements", "of unknown state or periodic"
SINGLE_ATOMS = "single atoms"
"""Kinds of frames that are left out."""


def left_out(data: Dataset) -> str:
    """How many records are not in a data set, by their kinds, in words; empty for none."""
    counts = Counter(kind_of(skipped.reason) for skipped in data.skipped)
    return ", ".join(f"{number} {kind}" for kind, number in counts.items())


def kind_of(reason: str) -> str:
    """What kind of frame was left out for that reason."""
    if reason.startswith(FOREIGN):
        return OTHER_ELEMENTS
    if reason == SINGLE:
        return SINGLE_ATOMS
    return OTHER_STATES if reason in (ODD, PERIODIC) else BROKEN


READERS = {
    ".h5": readers_hdf5,
    ".hdf5": readers_hdf5,
    ".xyz": readers_ase,
    ".extxyz": readers_ase,
    ".db": readers_ase,
}


def _reader(path: Path) -> ModuleType:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        missing = [name for name in readers_npy.FILES if not (path / name).exists()]
        if missing:
            raise InputError(
                f"{path.name}: a folder must hold {', '.join(readers_npy.FILES)}, but "
                f"{missing[0]} is missing"
            )
        return readers_npy
    if path.suffix.lower() not in READERS:
        raise InputError(
            f"{path.name}: unknown type of file; give one of {', '.join(READERS)} or a folder of "
            ".npy files, or write it as extended XYZ in eV and Angstrom with ASE"
        )
    return READERS[path.suffix.lower()]


def _read_file(
    path: Path,
    level: str | None,
    units: str | None,
    isolated: Mapping[str, float] | None,
    gradients: bool,
    progress: Progress | None,
    elements: Collection[int] | None,
    override: bool,
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
    blocks, skipped = _collect(reader.blocks(path, level), path, used, progress, elements)
    turned = gradients or header.gradients
    dataset = assemble(
        path, blocks, skipped, level, isolated, -1 if turned else 1, header.atomization, override
    )
    if header.gradients:
        advice = "this layout has gradients by definition: change their sign"
    elif gradients:
        advice = "leave out gradients=True (--gradients)"
    else:
        advice = "give gradients=True (--gradients)"
    check_signs(dataset, path.name, "gradients" if turned else "forces", advice)
    return dataset


def _collect(
    found: Iterator[Block | Broken],
    path: Path,
    units: Units,
    progress: Progress | None,
    elements: Collection[int] | None,
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
            foreign = set() if elements is None else set(good.numbers.tolist()) - set(elements)
            if foreign:
                reason = f"{FOREIGN} {chemical_symbols[min(foreign)]}"
                skipped += [Skipped(path.name, frame, reason) for frame in good.frames]
                continue
            blocks += isomers(good)
            count += len(good.energies)
            if progress is not None:
                progress(path.name, count)
    return blocks, skipped
