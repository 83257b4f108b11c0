"""Training of a learned Hamiltonian; it goes on where it was stopped, at any moment."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..files.broken import plain_reason
from ..nn.hamiltonian import LearnedHamiltonian
from .batches import epoch_batches, n_orbitals
from .checkpoint import Log, load_state, save_state, unreadable
from .config import TrainConfig
from .dataset import Dataset
from .evaluate import Errors, evaluate_errors
from .optimizer import Optimizer, learning_rate
from .parallel import Threads, World
from .steps import BatchGradient, StepResult

STEP_COLUMNS = [
    "step",
    "epoch",
    *(f.name for f in dataclasses.fields(StepResult)),
    "gradient_norm",
    "learning_rate",
    "conformers_per_s",
]
MOST_LOST = 20
"""Steps in a row without a finite gradient, after which a training has failed."""
EPOCH_COLUMNS = ["step", "epoch", "loss", *(f.name for f in dataclasses.fields(Errors))]


@dataclasses.dataclass
class Progress:
    """Where a training is."""

    step: int = 0
    epoch: int = 0
    in_epoch: int = 0
    best: float = math.inf
    best_epoch: int = -1


class Trainer:
    """Trains ``model`` on the frames ``training`` of ``data``.

    Parameters
    ----------
    training, validation : arrays of int
        Indices of frames.
    out : Path
        Folder for the checkpoint and the logs; what is there is continued.
    keep : callable
        Called with (model, errors, progress) when the validation loss is the best so far; the
        weights of ``model`` are then the moving average.
    report : callable
        Called with every row of the log of steps, and of epochs.
    """

    def __init__(
        self,
        model: LearnedHamiltonian,
        data: Dataset,
        training: np.ndarray,
        validation: np.ndarray,
        config: TrainConfig,
        out: Path,
        *,
        threads: int = 1,
        world: World | None = None,
        device: torch.device | None = None,
        keep: Callable[[LearnedHamiltonian, Errors, Progress], None] | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.model, self.config, self.out = model.on(self.device), config, out
        self.data, self.training = data, training
        random = np.random.default_rng(config.split_seed)
        if len(validation) > config.max_validation:
            validation = random.permutation(validation)[: config.max_validation]
        self.validation = validation
        self.sizes = n_orbitals(data)
        self.world, self.threads = world or World(), Threads(threads)
        self.weights = self.model.network.trained()
        self.average = [w.detach().clone() for w in self.weights]
        self.optimizer = Optimizer(self.model.network, config.optimizer)
        self.gradient = BatchGradient(
            self.model, data, self.sizes, config, self.threads, self.world, self.device
        )
        self.progress = Progress()
        self._between_steps, self._lost = True, 0
        self.keep, self.report = keep or (lambda *_: None), report or (lambda _: None)
        self.checkpoint = out / "checkpoint.pt"
        if self.checkpoint.exists():
            self._restore()

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """Indices of the frames of every step of an epoch; all epochs have as many steps."""
        sizes, config = self.sizes[self.training], self.config
        batches = epoch_batches(sizes, config.batch_size, config.seed, epoch)
        return [self.training[batch] for batch in batches]

    def run(self, max_steps: int | None = None, deadline: float | None = None) -> bool:
        """Train to the end; returns whether it ended.

        Parameters
        ----------
        max_steps : int, optional
            Stop before this step.
        deadline : float, optional
            Stop at this time (of ``time.monotonic``).
        """
        progress, chief = self.progress, self.world.chief
        steps = epochs = None
        if chief:
            self.out.mkdir(parents=True, exist_ok=True)
            steps = Log(self.out / "steps.csv", STEP_COLUMNS, "step", progress.step)
            epochs = Log(self.out / "epochs.csv", EPOCH_COLUMNS, "epoch", progress.epoch - 1)
        total = len(self._batches(0)) * self.config.epochs
        saved = time.monotonic()
        try:
            while progress.epoch < self.config.epochs:
                if progress.epoch - progress.best_epoch > self.config.patience:
                    return True
                for batch in self._batches(progress.epoch)[progress.in_epoch :]:
                    if max_steps is not None and progress.step >= max_steps:
                        return False
                    row = self._step(batch, total)
                    if steps is not None:
                        steps.write(row)
                    self._between_steps = True
                    if chief:
                        self.report(row)
                    late = deadline is not None and self._anybody(time.monotonic() > deadline)
                    if late or time.monotonic() - saved > self.config.checkpoint_seconds:
                        self._save()
                        saved = time.monotonic()
                    if late:
                        return False
                self._end_epoch(epochs)
                self._save()
                saved = time.monotonic()
            return True
        finally:
            if self._between_steps:
                self._save()
            if steps is not None and epochs is not None:
                steps.close()
                epochs.close()

    def _anybody(self, late: bool) -> bool:
        """Whether any process says so: all must stop after the same step."""
        return bool(self.world.sum(torch.tensor([float(late)], device=self.device)) > 0)

    def _step(self, batch: np.ndarray, total: int) -> dict[str, Any]:
        start, progress, options = time.perf_counter(), self.progress, self.config.optimizer
        result, gradient = self.gradient(batch)
        norm = math.sqrt(float(sum((g**2).sum() for g in gradient)))
        rate = learning_rate(options, progress.step, total)
        self._between_steps = False  # an interrupt from here on must not be saved
        self._lost = 0 if math.isfinite(norm) else self._lost + 1
        if not self._lost:
            self.optimizer.step(gradient, norm, rate)
            # short at first, so that the start is forgotten
            decay = min(options.average, (1.0 + progress.step) / (10.0 + progress.step))
            with torch.no_grad():
                for mean, weight in zip(self.average, self.weights, strict=True):
                    mean.lerp_(weight, 1.0 - decay)
        elif self._lost == MOST_LOST:
            raise InputError(
                f"the gradients of {MOST_LOST} batches in a row are not finite: start again with a "
                "lower learning rate, and look for absurd labels"
            )
        progress.step += 1
        progress.in_epoch += 1
        return {
            "step": progress.step,
            "epoch": progress.epoch,
            **dataclasses.asdict(result),
            "gradient_norm": norm,
            "learning_rate": rate,
            "conformers_per_s": len(batch) / (time.perf_counter() - start),
        }

    def _end_epoch(self, log: Log | None) -> None:
        progress = self.progress
        current = [w.detach().clone() for w in self.weights]
        self.load_average()
        try:
            errors = evaluate_errors(
                self.model,
                self.data,
                self.validation,
                self.sizes,
                self.config,
                self.threads,
                self.world,
                self.device,
            )
            loss = errors.loss(self.config.loss)
            if loss < progress.best:
                if self.world.chief:
                    self.keep(self.model, errors, progress)
                progress.best, progress.best_epoch = loss, progress.epoch
        finally:
            self._load(current)
        row = {
            "step": progress.step,
            "epoch": progress.epoch,
            "loss": loss,
            **dataclasses.asdict(errors),
        }
        if log is not None:
            log.write(row)
        progress.epoch, progress.in_epoch = progress.epoch + 1, 0
        if log is not None:
            self.report(row)

    def load_average(self) -> None:
        """Give the model the moving average of its weights, which is what a training is for."""
        self._load(self.average)

    def _load(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for weight, value in zip(self.weights, values, strict=True):
                weight.copy_(value)

    def _save(self) -> None:
        if not self.world.chief:
            return
        state = {
            "weights": [w.detach() for w in self.weights],
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": dataclasses.asdict(self.progress),
        }
        save_state(self.checkpoint, state)

    def _restore(self) -> None:
        state = load_state(self.checkpoint)
        try:
            shapes = [weight.shape for weight in self.weights]
            for name in ("weights", "average"):
                if [tensor.shape for tensor in state[name]] != shapes:
                    raise ValueError(f"its {name} are those of another network")
            self._load(state["weights"])
            self.average = [t.to(self.device) for t in state["average"]]
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.checkpoint, plain_reason(error)) from None
