"""Errors of a Hamiltonian on labelled frames."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from ..nn.hamiltonian import LearnedHamiltonian
from .batches import chunk_size, chunks, collate, known_contacts
from .config import TrainConfig
from .dataset import Dataset
from .loss import LossConfig
from .parallel import Threads, World
from .step import Pass
from .steps import batch_sums, pass_sums


@dataclasses.dataclass(frozen=True)
class Errors:
    """RMSE and MAE of atomization energies (eV), force components (eV/Angstrom), dipole components
    (e*Angstrom) of the frames that have them, and forces on molecules as a whole (eV/Angstrom).

    ``unconverged`` frames are counted, and not in the errors; what no frame has is NaN.
    """

    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    dipole_rmse: float
    dipole_mae: float
    contact_rmse: float
    contact_mae: float
    correction: float
    frames: int
    unconverged: int

    def loss(self, config: LossConfig) -> float:
        """The training loss of these errors, divided by the share of frames that have any: a model
        that loses frames is no better for it."""
        if self.unconverged == self.frames:
            return math.inf
        loss = config.of(dataclasses.asdict(self))
        return loss * self.frames / (self.frames - self.unconverged)


def evaluate_errors(
    model: LearnedHamiltonian,
    data: Dataset,
    indices: np.ndarray,
    sizes: np.ndarray,
    config: TrainConfig,
    threads: Threads,
    world: World,
    device: torch.device,
) -> Errors:
    """Errors on the frames ``indices``."""
    contacts = known_contacts(data, config)
    parts = chunks(indices, sizes, chunk_size(config, device), kinds=data.unrestricted)

    def first(part: np.ndarray) -> Tensor:
        """The sums alone: densities of all frames would not fit into memory."""
        item = Pass(model, collate(data, part, device, contacts), config.gradient)
        item.first(with_graph=False)
        return pass_sums(model, item)

    sums = batch_sums(threads.map(first, world.share(parts)), world, device)
    found = sums.errors()
    if sums.unconverged == len(indices):
        found = dict.fromkeys(found, math.nan)
    return Errors(**found, frames=len(indices), unconverged=sums.unconverged)
