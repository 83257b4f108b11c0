"""Which model a name stands for: a published method, an installed model, or a file."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:  # torch is imported with the first model
    from .model import Model
    from .nn.weights import ModelFile

DEFAULT = "hipnn-pm3"
"""The model that is used when neither a method nor a model is named."""
SUFFIX = ".safetensors"


def installed() -> dict[str, Path]:
    """Files of the models that come with the package, by name."""
    folder = Path(str(resources.files("ase_mlseqm"))) / "data"
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def model_file(name: str | Path) -> ModelFile:
    """The model with this name, or in this file."""
    path = installed().get(str(name), Path(name))
    if not path.is_file() and path.suffix != SUFFIX:
        known = ", ".join(installed()) or "none"
        raise InputError(
            f"unknown model {str(name)!r}: give a file written by `mlseqm train`, or one of those "
            f"installed ({known})"
        )
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _load(path.resolve(), stamp)


@functools.lru_cache(maxsize=8)
def _load(path: Path, stamp: int) -> ModelFile:
    """Read a file once for every change of it."""
    from .nn.weights import load_model

    return load_model(path)


def find_model(method: str | None = None, model: str | Path | None = None) -> Model:
    """The model of a method's name (upper or lower case), or of a model's name or file.

    With neither, the learned model that comes with the package.
    """
    if method is not None and model is not None:
        raise InputError(
            f"method={method!r} and model={str(model)!r} exclude each other: give one of them"
        )
    if method is None:
        return model_file(DEFAULT if model is None else model).model
    from .model import METHODS, PlainModel

    name = method.upper()
    if name not in METHODS:
        hint = f"; for a learned Hamiltonian give model={method!r}" if method in installed() else ""
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}{hint}")
    return PlainModel(name)
