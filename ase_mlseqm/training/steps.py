"""One optimiser step's loss and gradient over a batch, in threads and processes."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from ..nn.hamiltonian import LearnedHamiltonian
from .batches import chunks, collate
from .config import TrainConfig
from .dataset import Dataset
from .densities import DensityCache
from .loss import ErrorSums
from .parallel import Threads, World
from .step import Frames, Pass


@dataclasses.dataclass(frozen=True)
class StepResult:
    """Loss and errors of a batch before the step.

    ``loss`` without the penalties' weight decay; RMSE and MAE in eV and eV/Angstrom;
    ``correction`` the mean square correction; ``unconverged`` and ``changed`` count the molecules
    left out because their SCF did not converge or changed its state.
    """

    loss: float
    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    correction: float
    unconverged: int
    changed: int


class BatchGradient:
    """Computes the gradient of the loss for batches of a data set."""

    def __init__(
        self,
        model: LearnedHamiltonian,
        data: Dataset,
        sizes: np.ndarray,
        config: TrainConfig,
        threads: Threads,
        world: World,
        device: torch.device,
    ) -> None:
        self.model, self.data, self.sizes, self.config = model, data, sizes, config
        self.threads, self.world, self.device = threads, world, device
        self.cache = DensityCache(sizes) if config.keep_densities else None

    def __call__(self, batch: np.ndarray) -> tuple[StepResult, list[Tensor]]:
        """Errors of the frames ``batch`` and the gradient of their loss."""
        loss = self.config.loss
        parts = self.world.share(chunks(batch, self.sizes, self.config.chunk_size))
        passes = self.threads.map(self._first, parts)
        energies, forces, corrections, unconverged = batch_sums(
            self.model, passes, self.world, self.device
        )
        penalty = loss.correction_weight / corrections.count.clamp(min=1.0)

        def second(item: Pass) -> list[Tensor | None]:
            energy_slope = energies.slope(item.energy_errors(), loss.rmse_share)
            force_slope = forces.slope(item.force_errors(), loss.rmse_share)
            zero = torch.zeros_like(energy_slope)
            return item.second(
                torch.where(item.ok, loss.energy_weight * energy_slope, zero),
                torch.where(
                    item.atom_ok().unsqueeze(1),
                    loss.force_weight * force_slope,
                    torch.zeros_like(force_slope),
                ),
                penalty,
            )

        gradients = self.threads.map(second, passes)
        weights = [w for w in self.model.network.parameters() if w.requires_grad]
        total = []
        for index, weight in enumerate(weights):
            some = (g[index] for g in gradients)
            total.append(sum((g for g in some if g is not None), torch.zeros_like(weight)))
        flat = torch.cat([t.flatten() for t in total])
        changed = flat.new_tensor([float(sum(int(p.changed.sum()) for p in passes))])
        flat = self.world.sum(torch.cat((flat, changed)))
        total = [
            piece.view_as(weight)
            for piece, weight in zip(
                flat[:-1].split([w.numel() for w in weights]), weights, strict=True
            )
        ]
        mean_square = corrections.squares / corrections.count.clamp(min=1.0)
        value = (
            loss.energy_weight * energies.term(loss.rmse_share)
            + loss.force_weight * forces.term(loss.rmse_share)
            + loss.correction_weight * mean_square
        )
        result = StepResult(
            loss=float(value),
            energy_rmse=float(energies.rmse),
            energy_mae=float(energies.mae),
            force_rmse=float(forces.rmse),
            force_mae=float(forces.mae),
            correction=float(mean_square),
            unconverged=unconverged,
            changed=int(flat[-1]),
        )
        return result, total

    def _first(self, indices: np.ndarray) -> Pass:
        frames = collate(self.data, indices, self.device)
        item = Pass(self.model, self._with_guess(frames, indices), self.config.gradient)
        item.first()
        if self.cache is not None:
            self.cache.keep(indices, item.density, item.ok)
        return item

    def _with_guess(self, frames: Frames, indices: np.ndarray) -> Frames:
        if self.cache is None:
            return frames
        guess = self.cache.find(indices, self.device)
        return dataclasses.replace(frames, guess=guess)


def batch_sums(
    model: LearnedHamiltonian, passes: list[Pass], world: World, device: torch.device
) -> tuple[ErrorSums, ErrorSums, ErrorSums, int]:
    """Sums of the energy errors, force errors and corrections of all processes, and the number of
    molecules that did not converge."""
    rows = [torch.zeros(10, dtype=torch.float64, device=device)]
    for item in passes:
        applies = model.head.applies(item.layout).sum()
        corrections = ErrorSums.of(model.head.in_units(item.corrections.detach()))
        corrections.count = applies
        sums = (
            ErrorSums.of(item.energy_errors()[item.ok]),
            ErrorSums.of(item.force_errors()[item.atom_ok()]),
            corrections,
        )
        rows.append(torch.cat([s.stack() for s in sums] + [(~item.ok).sum().double().view(1)]))
    total = world.sum(torch.stack(rows).sum(0))
    energies, forces, corrections = (ErrorSums(*total[k : k + 3]) for k in (0, 3, 6))
    return energies, forces, corrections, int(total[9])
