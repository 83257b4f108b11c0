"""Workflows on any ASE calculator; installed as ``ase_mlseqm.workflows``."""

from .relax import Interrupted, RelaxConfig, RelaxResult, relax

__all__ = ["Interrupted", "RelaxConfig", "RelaxResult", "relax"]
