"""Workflows on any ASE calculator; installed as ``ase_mlseqm.workflows``.

Each is a function in a module of its own, mostly of the same name: ``neb`` of this package is the
module, ``ase_mlseqm.workflows.neb.neb`` the function.
"""

from .h5md import read_h5md
from .interrupted import Interrupted
from .md import dynamics
from .md_config import MDConfig, MDResult
from .relax import RelaxConfig, RelaxResult, relax

__all__ = [
    "Interrupted",
    "MDConfig",
    "MDResult",
    "RelaxConfig",
    "RelaxResult",
    "dynamics",
    "read_h5md",
    "relax",
]
