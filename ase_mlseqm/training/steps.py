"""One optimiser step's loss and gradient over a batch, in threads and processes."""

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
from .densities import DensityCache
from .loss import ErrorSums
from .parallel import Threads, World
from .step import Frames, Pass


@dataclasses.dataclass(frozen=True)
class StepResult:
    """Loss and errors of a batch before the step.

    ``loss`` without the penalties' weight decay; RMSE and MAE in eV, eV/Angstrom and e*Angstrom,
    NaN of what no molecule has, as dipoles without labels, or where none converged;
    ``correction`` the mean square correction; ``unconverged`` counts the molecules left out because
    their SCF did not converge, ``changed`` those that count with their energy alone because the
    response of their density did not.
    """

    loss: float
    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    dipole_rmse: float
    dipole_mae: float
    contact_rmse: float
    contact_mae: float
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
        self.contacts = known_contacts(data, config)
        self.cache = DensityCache(sizes) if config.keep_densities else None

    def __call__(self, batch: np.ndarray) -> tuple[StepResult, list[Tensor]]:
        """Errors of the frames ``batch`` and the gradient of their loss."""
        loss = self.config.loss
        passes = self.threads.map(self._first, self._parts(batch))
        rows = [pass_sums(self.model, item) for item in passes]
        sums = batch_sums(rows, self.world, self.device)
        penalty = loss.correction_weight / sums.corrections.count.clamp(min=1.0)
        gradients = self.threads.map(lambda item: self._second(item, sums, penalty), passes)
        weights = self.model.network.trained()
        total = [
            sum(parts, torch.zeros_like(weight))
            for weight, *parts in zip(weights, *gradients, strict=True)
        ]
        flat = torch.cat([t.flatten() for t in total])
        changed = flat.new_tensor([float(sum(int(p.changed.sum()) for p in passes))])
        flat = self.world.sum(torch.cat((flat, changed)))
        total = [
            piece.view_as(weight)
            for piece, weight in zip(
                flat[:-1].split([w.numel() for w in weights]), weights, strict=True
            )
        ]
        errors = sums.errors()
        result = StepResult(
            loss=loss.of(errors),
            **errors,
            unconverged=sums.unconverged,
            changed=int(flat[-1]),
        )
        return result, total

    def _parts(self, batch: np.ndarray) -> list[np.ndarray]:
        """Frames that this process computes together."""
        workers = self.threads.number * self.world.size
        size = chunk_size(self.config, self.device)
        parts = chunks(batch, self.sizes, size, workers, self.data.unrestricted)
        return [piece for part in self.world.share(parts) for piece in self._apart(part)]

    def _apart(self, part: np.ndarray) -> list[np.ndarray]:
        """Unrestricted frames whose state is yet to be looked for apart from those that follow
        theirs, which is known to this process alone."""
        if self.cache is None or not self.data.unrestricted[part[0]]:
            return [part]
        known = self.cache.knows(part)
        return [piece for piece in (part[~known], part[known]) if len(piece)]

    def _first(self, indices: np.ndarray) -> Pass:
        frames = collate(self.data, indices, self.device, self.contacts)
        item = Pass(self.model, self._with_guess(frames, indices), self.config.gradient)
        item.first()
        if self.cache is not None:
            self.cache.keep(indices, item.density, item.ok)
        return item

    def _second(self, item: Pass, sums: BatchSums, penalty: Tensor) -> list[Tensor]:
        loss = self.config.loss

        def slope(kind: ErrorSums, weight: float, errors: Tensor, use: Tensor) -> Tensor:
            slopes = weight * kind.slope(errors, loss.rmse_share)
            return torch.where(use.view(-1, *[1] * (errors.dim() - 1)), slopes, 0.0)

        dipoles = None
        if loss.dipole_weight:
            dipoles = slope(
                sums.dipoles, loss.dipole_weight, item.dipole_errors(), item.dipole_ok()
            )
        forces = item.slope_of_forces(
            slope(sums.forces, loss.force_weight, item.force_errors(), item.atom_ok()),
            slope(sums.contacts, loss.contact_weight, item.contact_errors(), item.contact_ok()),
        )
        return item.second(
            slope(sums.energies, loss.energy_weight, item.energy_errors(), item.ok),
            forces,
            penalty,
            dipoles,
        )

    def _with_guess(self, frames: Frames, indices: np.ndarray) -> Frames:
        if self.cache is None:
            return frames
        guess = self.cache.find(indices, self.device)
        return dataclasses.replace(frames, guess=guess)


@dataclasses.dataclass(frozen=True)
class BatchSums:
    """Sums of the errors and of the corrections of a batch, over all processes."""

    energies: ErrorSums
    forces: ErrorSums
    dipoles: ErrorSums
    contacts: ErrorSums
    corrections: ErrorSums
    unconverged: int

    @property
    def mean_square(self) -> Tensor:
        """Mean square correction."""
        return self.corrections.squares / self.corrections.count.clamp(min=1.0)

    def errors(self) -> dict[str, float]:
        """RMSE and MAE by the name of the quantity, NaN where nothing is known of it, and the mean
        square correction."""
        kinds = {
            "energy": self.energies,
            "force": self.forces,
            "dipole": self.dipoles,
            "contact": self.contacts,
        }
        out: dict[str, float] = {}
        for name, kind in kinds.items():
            known = float(kind.count) > 0
            out[f"{name}_rmse"] = float(kind.rmse) if known else math.nan
            out[f"{name}_mae"] = float(kind.mae) if known else math.nan
        return {**out, "correction": float(self.mean_square)}


def pass_sums(model: LearnedHamiltonian, item: Pass) -> Tensor:
    """(16,): the sums of :class:`BatchSums` over some molecules, and how many did not converge."""
    corrections = ErrorSums.of(model.head.in_units(item.corrections.detach()))
    corrections.count = model.head.applies(item.layout).sum()
    sums = (
        ErrorSums.of(item.energy_errors()[item.ok]),
        ErrorSums.of(item.force_errors()[item.atom_ok()]),
        ErrorSums.of(item.dipole_errors()[item.dipole_ok()]),
        ErrorSums.of(item.contact_errors()[item.contact_ok()]),
        corrections,
    )
    return torch.cat([s.stack() for s in sums] + [(~item.ok).sum().double().view(1)])


def batch_sums(rows: list[Tensor], world: World, device: torch.device) -> BatchSums:
    """Sums of :func:`pass_sums` over all processes."""
    nothing = torch.zeros(16, dtype=torch.float64, device=device)
    total = world.sum(torch.stack([nothing, *rows]).sum(0))
    kinds = [ErrorSums(*total[k : k + 3]) for k in range(0, 15, 3)]
    return BatchSums(kinds[0], kinds[1], kinds[2], kinds[3], kinds[4], int(total[15]))
