"""Workflows on any ASE calculator; installed as ``ase_mlseqm.workflows``."""

from .h5md import read_h5md
from .md import dynamics
from .md_config import MDConfig, MDResult
from .relax import Interrupted, RelaxConfig, RelaxResult, relax

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
