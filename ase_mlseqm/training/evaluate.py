"""Errors of a Hamiltonian on labelled frames."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from ..nn.hamiltonian import LearnedHamiltonian
from .batches import chunk_size, chunks, collate, known_contacts
from .config import TrainConfig
from .dataset import Dataset
from .loss import LossConfig
from .parallel import Threads, World
from .step import Pass
from .steps import PassSums, batch_sums, pass_sums, relative_errors


@dataclasses.dataclass(frozen=True)
class Errors:
    """RMSE and MAE of atomization energies (eV), the same relative to the mean over the molecule's
    frames that are validated, of force components (eV/Angstrom), dipole components
    (e*Angstrom) of the frames that have them, and forces on molecules as a whole (eV/Angstrom).

    ``unconverged`` frames are counted, and not in the errors.
    """

    energy_rmse: float
    energy_mae: float
    relative_rmse: float
    relative_mae: float
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
        share = config.rmse_share
        loss = config.correction_weight * self.correction
        for kind in ("energy", "relative", "force", "dipole", "contact"):
            rmse, mae = getattr(self, f"{kind}_rmse"), getattr(self, f"{kind}_mae")
            weight = getattr(config, f"{kind}_weight")
            loss += weight * 2.0 * (share * rmse + (1 - share) * mae)
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
    parts = chunks(indices, sizes, chunk_size(config, device))

    def first(part: np.ndarray) -> PassSums:
        """The sums alone: densities of all frames would not fit into memory."""
        item = Pass(model, collate(data, part, device, contacts), config.gradient)
        item.first(with_graph=False)
        return pass_sums(model, item)

    rows = threads.map(first, world.share(parts))
    relative = relative_errors(data, parts, rows, world, device)
    sums = batch_sums(rows, relative, world, device)
    found = sums.errors()
    if sums.unconverged == len(indices):
        found = dict.fromkeys(found, math.nan)
    return Errors(**found, frames=len(indices), unconverged=sums.unconverged)
