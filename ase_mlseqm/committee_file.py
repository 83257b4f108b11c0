"""The committee of a model: a JSON file beside the model's, and the members' files."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .committee import Committee
from .errors import InputError
from .nn.hamiltonian import HamiltonianConfig, LearnedHamiltonian
from .nn.weights import ModelFile, load_model
from .wholefile import write_whole

FORMAT = "ase-mlseqm committee 2"


def committee_path(model: Path) -> Path:
    """Where the committee of the model in a file is described."""
    return model.with_suffix(".committee.json")


def member_files(model: Path, contents: Sequence[bytes]) -> list[Path]:
    """Where the files of members go: beside the model, with numbers whose files do not exist, are
    the same, or were put there for an earlier committee of the model."""
    try:
        earlier = dict(json.loads(committee_path(model).read_text("utf-8"))["members"])
    except (OSError, ValueError, KeyError, TypeError):
        earlier = {}
    numbered = (model.with_suffix(f".{k}.safetensors") for k in itertools.count(1))
    return [
        next(path for path in numbered if _may_hold(path, content, earlier.get(path.name)))
        for content in contents
    ]


def _may_hold(path: Path, content: bytes, earlier: str | None) -> bool:
    """Whether a file can get this content without the loss of another network; ``earlier`` is the
    checksum of the member that was there."""
    if not os.path.lexists(path):
        return True
    try:
        return path.read_bytes() == content or load_model(path).sha256 == earlier
    except (OSError, InputError):
        return False


def write_committee(
    model: Path,
    members: Sequence[Path],
    scale: float,
    limit: float,
    calibration: dict[str, Any],
) -> Path:
    """Describe a committee beside a model; the members' files must be in the same folder.

    Parameters
    ----------
    calibration : dict
        What ``scale`` and ``limit`` rest on, JSON-able.
    """
    record = {
        "format": FORMAT,
        "model": load_model(model).sha256,
        "members": {member.name: load_model(member).sha256 for member in members},
        "scale": scale,
        "limit": limit,
        "calibration": calibration,
    }
    path = committee_path(model)
    write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


def read_committee(model: str | Path) -> Committee:
    """The committee of the model in a file.

    Raises
    ------
    InputError
        When it has none, or when its files are missing, changed, or of another model.
    """
    model = Path(model)
    path = committee_path(model)
    again = "write it again with `mlseqm committee`"
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"the model {model.name} has no committee, so that its uncertainty is not known: train "
            "it with other seeds, and run `mlseqm committee`"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {again}") from None
    try:
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}")
        found = load_model(model)
        if record["model"] != found.sha256:
            raise InputError(f"it belongs to another version of {model.name}")
        members = {name: _member(path.with_name(name)) for name in record["members"]}
        for name, member in members.items():
            if member.sha256 != record["members"][name]:
                raise InputError(f"it belongs to another version of {name}")
        check_members(found, members)
        models = tuple(member.model for member in members.values())
        scale, limit = float(record["scale"]), float(record["limit"])
        if not (0.0 < scale < math.inf and limit > 0.0):
            raise ValueError(f"its scale is {scale:g}, and its limit {limit:g}")
        return Committee(models, scale, limit)
    except InputError as error:
        raise InputError(f"{path} is of no use: {error}; {again}, or remove it") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is not the description of a committee ({error}): {again}"
        ) from None


def _member(path: Path) -> ModelFile:
    """The model of a file that has to be beside the description."""
    if not path.is_file():
        raise InputError(f"there is no model file {path.name} beside it")
    return load_model(path)


def check_members(model: ModelFile, members: dict[str, ModelFile]) -> None:
    """Refuse members, by name, with which nothing can be compared.

    Raises
    ------
    InputError
        When there is none, when two networks are the same, or when one has another form.
    """
    if not members:
        raise InputError("a committee needs a member besides the model: give files of models")
    seen = {"the model": model.model}
    for name, member in members.items():
        same = [other for other, known in seen.items() if _same_weights(known, member.model)]
        if same:
            raise InputError(
                f"{name} is the same network as {same[0]}: leave it out, or train it with another "
                "seed"
            )
        seen[name] = member.model
        if _form(member.model) != _form(model.model):
            raise InputError(
                f"{name} has another form than the model (network, parameters, elements or table): "
                "train it with the same settings and another seed"
            )


def _form(model: LearnedHamiltonian) -> HamiltonianConfig:
    """The form of a model, whether its table was trained or not."""
    return dataclasses.replace(model.config, learn_table=True)


def _same_weights(one: LearnedHamiltonian, other: LearnedHamiltonian) -> bool:
    """Whether two networks are the same, whatever their files say of them."""
    import torch

    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return _form(one) == _form(other) and all(torch.equal(ours[k], theirs[k]) for k in ours)
