"""Model files: safetensors with JSON metadata, read without executing anything."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import textwrap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..nddo.constants import lasting
from ..nddo.parameters import table_parameters
from ..wholefile import write_whole
from .hamiltonian import HamiltonianConfig, LearnedHamiltonian
from .hipnn import HIPNNConfig
from .parameter_head import CORRECTIONS

FORMAT = "ase-mlseqm learned Hamiltonian 1"


def config_to_dict(config: HamiltonianConfig) -> dict[str, Any]:
    """JSON-able dictionary."""
    return dataclasses.asdict(config)


def config_from_dict(values: dict[str, Any]) -> HamiltonianConfig:
    """The inverse of :func:`config_to_dict`."""
    values = dict(values)
    network = {"smoothing": 1e-3, **values.pop("network")}  # of files that do not say so
    return HamiltonianConfig(
        network=HIPNNConfig(**network),
        parameters=tuple(values.pop("parameters")),
        elements=tuple(values.pop("elements")),
        **values,
    )


def foundation(config: HamiltonianConfig) -> str:
    """JSON of what the weights rest on besides the architecture: the entries of the published table
    for the model's elements, and the units and bounds of the corrections."""
    table = table_parameters(config.method, torch.tensor(config.elements))
    rules = {name: dataclasses.asdict(CORRECTIONS[name]) for name in config.parameters}
    values = {name: column.tolist() for name, column in table.items()}
    return json.dumps({"table": values, "corrections": rules}, sort_keys=True)


def _tensors(model: LearnedHamiltonian) -> dict[str, Tensor]:
    state = model.network.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for key in ("name", "config", "foundation", "card"):
        digest.update(f"{key}={metadata.get(key)}\n".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_model(path: Path | str, model: LearnedHamiltonian, card: dict[str, Any]) -> str:
    """Write a model file; returns the SHA-256 of all it says and of its weights.

    Parameters
    ----------
    card : dict
        What a reader should know (training data, level, errors, licence), JSON-able.
    """
    from safetensors.torch import save

    tensors = _tensors(model)
    metadata = {
        "format": FORMAT,
        "name": model.name,
        "config": json.dumps(config_to_dict(model.config), sort_keys=True),
        "foundation": foundation(model.config),
        "card": json.dumps(card, sort_keys=True),
    }
    metadata["sha256"] = _digest(tensors, metadata)
    write_whole(Path(path), save(tensors, metadata))
    return metadata["sha256"]


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A model, its ``card`` and the ``sha256`` of all the file says and of its weights."""

    model: LearnedHamiltonian
    card: dict[str, Any]
    sha256: str


@lasting
def load_model(path: Path | str) -> ModelFile:
    """Read a model file.

    Raises
    ------
    InputError
        When the file is missing, cut off, changed, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"there is no model file {path}: give the path of one (calculators take the names that "
            "`mlseqm models` lists, too)"
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}): copy or train it again"
        ) from None
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is a safetensors file, but not a model of this program: give one written by "
            "`mlseqm train`"
        )
    digest = _digest(tensors, metadata)
    if digest != metadata.get("sha256"):
        raise InputError(
            f"{path} was changed after it was written (its checksum differs): copy it again"
        )
    try:
        config = config_from_dict(json.loads(metadata["config"]))
        if metadata["foundation"] != foundation(config):
            raise ValueError("its table of parameters or the bounds of its corrections differ")
        model = LearnedHamiltonian(config, metadata["name"])
        model.network.load_state_dict(tensors)
        card = json.loads(metadata["card"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} does not fit this version of the program "
            f"({textwrap.shorten(str(error), 120)}): use the version that wrote it"
        ) from None
    model.network.requires_grad_(False)
    model.source = path
    if "states" in card:
        model.states = frozenset((charge, spin) for charge, spin in card["states"])
    return ModelFile(model, card, digest)


def seeded(config: HamiltonianConfig, seed: int, name: str = "learned") -> LearnedHamiltonian:
    """A new Hamiltonian whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):  # those of GPUs are left alone
        torch.default_generator.manual_seed(seed)
        return LearnedHamiltonian(config, name)
