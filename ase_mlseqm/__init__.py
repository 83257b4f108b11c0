"""Quantum chemistry for ASE with a learned Hamiltonian (HIP-NN on PM3), or MNDO, AM1 and PM3."""

import importlib as _importlib
from importlib import metadata as _metadata
from typing import TYPE_CHECKING

from .ase_plugin import register as _register
from .errors import InputError

if TYPE_CHECKING:
    from .calculator import MLSEQM
    from .engine import Engine
    from .evaluation import evaluate
    from .results import SinglePoint, Status
    from .scf import SCFSettings

try:
    __version__ = _metadata.version("ase-mlseqm")
except _metadata.PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

__all__ = ["Engine", "InputError", "MLSEQM", "SCFSettings", "SinglePoint", "Status", "evaluate"]

_WHERE = {
    "MLSEQM": "calculator",
    "Engine": "engine",
    "evaluate": "evaluation",
    "SinglePoint": "results",
    "Status": "results",
    "SCFSettings": "scf",
}

_register()


def __getattr__(name: str) -> object:
    # torch takes seconds to import: ``ase info`` and ``mlseqm --help`` do without
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
