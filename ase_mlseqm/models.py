"""Which model a name stands for: a published method, an installed model, or a file."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:  # torch is imported with the first model
    from .committee import Committee
    from .model import Model
    from .nn.weights import ModelFile

DEFAULT = "hipnn-pm3"
"""The model that is used when neither a method nor a model is named."""
SUFFIX = ".safetensors"


def installed() -> dict[str, Path]:
    """Files of the models that come with the package, by name.

    A name with a point, as in hipnn-pm3.1, is that of a member of a committee and not listed.
    """
    folder = Path(str(resources.files("ase_mlseqm"))) / "data"
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    return {path.stem: path for path in paths if "." not in path.stem}


def model_file(name: str | Path) -> ModelFile:
    """The model with this name, or in this file."""
    path = installed().get(str(name), Path(name))
    if not path.is_file() and path.suffix != SUFFIX:
        known = ", ".join(installed()) or "none"
        raise InputError(
            f"unknown model {str(name)!r}: give a file written by `mlseqm train`, or one of those "
            f"installed ({known})"
        )
    from .committee_file import committee_path

    path = path.resolve()
    # a committee is found once for each model
    files = (path, committee_path(path))
    stamp = tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)
    _in_use[path] = _load(path, stamp)
    return _in_use[path]


_in_use: dict[Path, ModelFile] = {}
"""What the files had in them when a model was last chosen."""


@functools.lru_cache(maxsize=8)
def _load(path: Path, stamp: tuple[int, ...]) -> ModelFile:
    """Read a file once for every change of it or of its committee."""
    from .nn.weights import load_model

    return load_model(path)


@functools.lru_cache(maxsize=8)
def find_committee(model: Model) -> Committee:
    """The networks whose disagreement is the uncertainty of a model.

    Raises
    ------
    InputError
        When it has none.
    """
    from .committee_file import read_committee

    if model.source is None:
        raise InputError(
            f"the uncertainty of {model.name} is not known: only a learned model has networks that "
            "can disagree"
        )
    return read_committee(model.source)


def has_committee(model: Model) -> bool:
    """Whether there is a committee beside a model's file."""
    from .committee_file import committee_path

    return model.source is not None and committee_path(model.source).is_file()


def chosen_model(method: str | None, model: str | Path | None) -> Model:
    """The same as :func:`find_model` gave when the model was chosen.

    Calculations go on with it when its file is written anew, as by a training, or removed.
    """
    if method is None:
        name = DEFAULT if model is None else str(model)
        known = _in_use.get(installed().get(name, Path(name)).resolve())
        if known is not None:
            return known.model
    return find_model(method, model)


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
    from .model import PlainModel
    from .nddo.parameters import METHODS

    name = str(method).upper()
    if name not in METHODS:
        hint = f"; for a learned Hamiltonian give model={method!r}" if method in installed() else ""
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}{hint}")
    return PlainModel(name)
