"""Memory that a process may have, and what was freed of it back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

LARGE = 1200
"""Orbitals of a molecule from which on memory is spared at the expense of time: what its gradient
alone needs is made after the SCF, for which integrals are computed twice, and what was freed is
returned."""

KINDS = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
"""Folder and file of the limit by the controller that /proc names: control groups of version 2,
and of version 1."""


def physical() -> float | None:
    """Bytes that there are for this process: of the machine, or of its share, as jobs on a cluster
    and containers have one.  None if the system does not tell, as Windows."""
    try:
        there = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError):
        return None
    return min(there, share())


@functools.cache
def share(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that the control groups of this process may have; infinite where none has a limit.

    Linux ends a process that takes more, with all its results.
    """
    found = float("inf")
    with contextlib.suppress(OSError, ValueError):
        for line in groups.read_text().splitlines():
            _, kinds, group = line.split(":", 2)
            for kind in KINDS.keys() & kinds.split(","):
                folder, name = KINDS[kind]
                place = root / folder / group.strip("/")
                # a limit of any group above holds, too; in a container some are not to be seen
                for above in (place, *place.parents):
                    if above.is_relative_to(root):
                        found = min(found, _limit(above / name))
    return found


def _limit(file: Path) -> float:
    """Bytes in a file; infinite where it has none, or is not there."""
    with contextlib.suppress(OSError, ValueError):
        return float(file.read_text())  # or the word max
    return float("inf")


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """The function of the GNU C library; None where there is another one."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def give_back() -> None:
    """Return what was freed to the system.

    The GNU C library keeps freed blocks below 32 MiB for later ones, which seldom fit where
    matrices of other sizes were: hundreds of MiB after a molecule of a thousand orbitals.  It takes
    milliseconds, and does nothing with other libraries.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
