"""Which files of a data folder belong to which test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ase_mlseqm.configfile import read_mapping
from ase_mlseqm.errors import InputError

from .base import TransferTest

MANIFEST = "transferability.yaml"
READ = (".h5", ".hdf5", ".xyz", ".extxyz")
"""Endings of files that a pattern of a test takes; folders have none."""


def find_files(folder: Path, tests: Iterable[TransferTest]) -> dict[str, list[Path]]:
    """Files and folders of every test.

    Those whose names match the patterns of a test, archives, notes and what is hidden left out;
    where the folder holds a manifest ``transferability.yaml`` (name of a test: list of names or
    patterns), what that says of a test replaces its patterns.

    Raises
    ------
    InputError
        When there is no such folder, the manifest names what does not exist or is no pattern, or
        two files of a test have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give that of the data (--data)")
    tests = list(tests)
    manifest = folder / MANIFEST
    said = read_mapping(manifest) if manifest.exists() else {}
    unknown = set(said) - {test.name for test in tests}
    if unknown:
        names = ", ".join(test.name for test in tests)
        raise InputError(f"{manifest}: unknown test {min(unknown)!r}: choose from {names}")
    found = {}
    for test in tests:
        patterns = said.get(test.name, test.patterns)
        patterns = [patterns] if isinstance(patterns, str) else patterns or []
        if not isinstance(patterns, list | tuple) or not all(map(_is_inside, patterns)):
            raise InputError(
                f"{manifest}: {test.name} is {said[test.name]!r}: give names or patterns of files "
                "in the folder, such as [drugs.h5, more/*.h5]"
            )
        try:
            matches = {str(p): _matching(folder, str(p)) for p in patterns}
        except ValueError as error:  # such as **.h5
            raise InputError(f"{manifest}: {test.name}: {error}") from None
        missing = [pattern for pattern, paths in matches.items() if not paths]
        if test.name in said and missing:
            raise InputError(f"{manifest}: {test.name}: there is no {missing[0]!r} in {folder}")
        paths = dict.fromkeys(path for paths in matches.values() for path in paths)
        found[test.name] = [p for p in paths if test.name in said or _can_be_data(p)]
        _check_names(found[test.name], folder, test.name)
    return found


def _is_inside(pattern: object) -> bool:
    """Whether it is a name or a pattern within the folder."""
    return isinstance(pattern, str) and bool(pattern) and not Path(pattern).is_absolute()


def _matching(folder: Path, pattern: str) -> list[Path]:
    """What has this name, which may contain brackets, or else matches the pattern; endings of files
    may be in capitals."""
    exact = folder / pattern
    if exact.exists():
        return [exact]
    start, ending = os.path.splitext(pattern)
    if ending.lower() not in READ:
        return sorted(folder.glob(pattern))
    found = folder.glob(f"{start}.*")
    return sorted(path for path in found if path.suffix.lower() == ending.lower())


def _can_be_data(path: Path) -> bool:
    """Hidden files and folders are those of other programs."""
    return not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in READ)


def _check_names(paths: Sequence[Path], folder: Path, test: str) -> None:
    """Refuse files whose names, by which cases are known, differ in folder or ending alone."""
    known: dict[str, Path] = {}
    for path in paths:
        # the point in the name of a folder, as in S22.v2, is none of an ending
        other = known.setdefault(path.name if path.is_dir() else path.stem, path)
        if other is not path:
            both = " and ".join(str(p.relative_to(folder)) for p in (other, path))
            raise InputError(
                f"{test}: {both} have the same name: rename one, or say in {MANIFEST} which one to "
                "take"
            )


def _inside(folder: Path) -> list[Path]:
    """All files, also those of folders that are links, as the readers see them."""
    found = os.walk(folder, followlinks=True)
    return sorted(Path(place) / name for place, _, names in found for name in names)


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else _inside(path):
        if file != path:
            digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
