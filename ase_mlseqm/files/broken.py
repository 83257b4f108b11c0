"""Why a file of structures cannot be read, in words for those who made it.

The messages of parsers are those of Python; what is wrong with a file in XYZ is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ase.data import atomic_numbers, chemical_symbols
from ase.io.formats import UnknownFileTypeError

from ..errors import InputError

XYZ = (".xyz", ".extxyz")
KNOWN = "a file such as .xyz, or of another format that ASE knows"
PROPERTIES = "Properties="
SPECIES = "species:S:1:"
"""Begin of the columns where the first is the element."""
HEADER = "xyz header"
"""What ASE's parser of extended XYZ speaks of, whatever the name of the file."""
HEAVY = ("D", "T")
"""Names of isotopes of hydrogen."""
MAGIC = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}
"""How compressed files start."""
SHOWN = 40
"""Characters of a line that a message quotes."""


def why_unreadable(path: str | Path, error: BaseException) -> str:
    """What is wrong with a file that a reader has stopped at, without its name and a full stop."""
    path = Path(path)
    if path.is_dir():
        return "it is a folder: give a file"
    if path.is_file():
        try:
            if path.stat().st_size == 0:
                return "it is empty"
            if isinstance(error, UnknownFileTypeError):
                return f"its type is unknown: give {KNOWN}"
            if path.suffix.lower() in XYZ or HEADER in str(error):
                with path.open(encoding="utf-8") as file:
                    fault = xyz_fault(file)
                if fault is not None:
                    return fault
            start = MAGIC.get(path.suffix, b"")
            with path.open("rb") as packed:
                if packed.read(len(start)) != start:
                    return f"it is not compressed: leave out {path.suffix}"
        except UnicodeDecodeError:
            return "it is not a text file"
        except OSError as denied:
            return denied.strerror or str(denied)
    return plain_reason(error)


def unreadable(path: Path, error: BaseException) -> InputError:
    """The error for a file whose content is not what its name says."""
    return InputError(f"{path.name}: cannot be read ({why_unreadable(path, error)})")


def is_empty(path: Path) -> bool:
    """Whether there is a file with nothing in it, as one that was made to have its name."""
    return path.is_file() and path.stat().st_size == 0


class NotContinued(InputError):
    """A file from which a run was to go on is none of that."""


def not_continued(path: Path, what: str, error: BaseException) -> NotContinued:
    """The error for a file from which a run was to go on, and which is none of that: it is not
    written over, whoever it belongs to."""
    return NotContinued(
        f"{path} cannot be read as {what} ({why_unreadable(path, error)}): remove it to start "
        "anew, or write elsewhere"
    )


def plain_reason(error: BaseException) -> str:
    """The message of a parser in one line, where it has one that means something."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not a text file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(_words(error).split())
    if "StopIteration" in text or isinstance(error, StopIteration | EOFError | IndexError):
        return "it ends too early"
    if isinstance(error, KeyError):
        return f"{text} is unknown"
    return text.removeprefix("ase.io.extxyz: ") or "it is broken, or of another type than its name"


def _words(error: BaseException | tuple) -> str:
    """The message; that of one which holds others is theirs."""
    arguments = error if isinstance(error, tuple) else error.args
    if not any(isinstance(part, tuple | BaseException) for part in arguments):
        return str(error)
    return " ".join(
        _words(part) if isinstance(part, tuple | BaseException) else str(part) for part in arguments
    )


def xyz_fault(lines: Iterable[str]) -> str | None:
    """The first fault of a text in XYZ; None where it has none that shows.

    Columns of extended XYZ that ``Properties=`` names are counted; but for that of the elements
    they are not looked into.
    """
    numbered = enumerate(lines, 1)
    before: tuple[int, int] | None = None  # where the last frame states how many atoms
    for start, line in numbered:
        if not line.strip():
            continue
        if start == 1 and line.startswith("\ufeff"):
            return "it starts with a byte order mark: save it as UTF-8 without one"
        count = _whole(line)
        if count is None:
            if before is not None and _atom_fault(line) is None:
                return f"line {before[0]} says {before[1]} atoms, but more follow"
            return f"line {start} is {_quoted(line)}, where the number of atoms should be"
        _, comment = next(numbered, (0, ""))
        for found in range(count):
            number, atom = next(numbered, (0, None))
            few = f"line {start} says {count} atoms, but {found or 'none'} follow"
            if atom is None:
                return f"it ends in the middle of a frame: {few}"
            if not atom.strip() or (found and _whole(atom) is not None):
                return few
            fault = _columns_fault(atom, comment) if PROPERTIES in comment else _atom_fault(atom)
            if fault is None and (PROPERTIES not in comment or SPECIES in comment):
                fault = _number_fault(atom.split()[0])
            if fault is not None:
                return f"line {number}: {fault}"
        before = (start, count)
    return None


def xyz_frames(lines: Iterable[str]) -> Iterator[tuple[int, list[str], bool]]:
    """The frames of a text in XYZ, one by one, so that a broken one does not hide the others.

    Yields
    ------
    start : int
        Number of the first line, from one.
    lines : list of str
        Of a broken frame all lines up to the next number of atoms.
    whole : bool
        Whether as many atoms follow as the first line says; they are not looked into.
    """
    frame: list[str] = []
    start, count = 0, None  # of the frame; no count where its first line is none

    def whole() -> bool:
        return count is not None and len(frame) == count + 2

    for number, line in enumerate(lines, 1):
        size, blank = _whole(line), not line.strip()
        if count is not None and len(frame) == 1:
            frame.append(line)  # the comment, which may be a number or blank
        elif size is None and count is not None and len(frame) < count + 2:
            frame.append(line)
        elif blank:
            continue
        elif size is None and frame and (count is None or _atom_fault(line) is None):
            frame.append(line)  # more atoms than the first line says
        else:
            if frame:
                yield start, frame, whole()
            frame, start, count = [line], number, size
    if frame:
        yield start, frame, whole()


def _columns_fault(line: str, comment: str) -> str | None:
    """What is wrong with the number of columns, which the second line of a frame implies, or with
    the element where that is the first."""
    words = comment.partition(PROPERTIES)[2].split()
    sizes = words[0].strip("\"'").split(":")[2::3] if words else []
    if not sizes or not all(size.isdigit() for size in sizes):
        return None
    columns, asked = line.split(), sum(map(int, sizes))
    if len(columns) < asked:
        return f"{_quoted(line)} has {len(columns)} columns instead of {asked}"
    return _symbol_fault(columns[0]) if words[0].strip("\"'").startswith(SPECIES) else None


def _atom_fault(line: str) -> str | None:
    """What is wrong with an element and its three coordinates."""
    words = line.split()
    if len(words) < 4:
        return f"{_quoted(line)} is not an element and three coordinates"
    for word in words[1:4]:
        try:
            float(word)
        except ValueError:
            advice = ": write a point, not a comma" if "," in word else ""
            return f"{word!r} is no number{advice}"
    return _symbol_fault(words[0])


def _symbol_fault(symbol: str) -> str | None:
    """What is wrong with the name of an element; its number is another matter."""
    if symbol in HEAVY:
        return f"{symbol!r} is no element: write H, and give vib and thermo --isotopes H={symbol}"
    if symbol.capitalize() not in atomic_numbers and _whole(symbol) is None:
        return f"{symbol!r} is no element"
    return None


def _number_fault(symbol: str) -> str | None:
    """What is wrong with an atomic number in the place of an element."""
    number = _whole(symbol)
    if number is None:
        return None
    known = 0 < number < len(chemical_symbols)
    return f"{symbol!r} is no element" + (f": write {chemical_symbols[number]}" if known else "")


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _quoted(line: str) -> str:
    text = " ".join(line.split())
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
