"""Semiempirical quantum chemistry (MNDO, AM1, PM3) for ASE, batched and differentiable."""

from importlib import metadata as _metadata

from .engine import Engine, evaluate
from .errors import InputError
from .results import SinglePoint, Status
from .scf import SCFSettings

try:
    __version__ = _metadata.version("ase-mlseqm")
except _metadata.PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

__all__ = ["Engine", "InputError", "SCFSettings", "SinglePoint", "Status", "evaluate"]
