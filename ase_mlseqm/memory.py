"""Memory that was freed, back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

LARGE = 1200
"""Orbitals of a molecule from which on memory is spared at the expense of time: what its gradient
alone needs is made after the SCF, for which integrals are computed twice, and what was freed is
returned."""


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
