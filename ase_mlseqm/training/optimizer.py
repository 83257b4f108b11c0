"""Steps of the weights: AdamW, or Muon for the matrices inside the network."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.hamiltonian import CorrectionNetwork
from .config import OptimizerConfig


class Optimizer:
    """Changes the weights of a network along a gradient.

    With ``kind`` 'muon' the matrices inside the blocks take orthogonalised steps of the size that
    AdamW's would have (Jordan et al., kellerjordan.github.io/posts/muon, 2024; Liu et al.,
    arXiv:2502.16982, eq. 4); read-outs, table, biases and sensitivities take AdamW's.
    """

    def __init__(self, network: CorrectionNetwork, options: OptimizerConfig) -> None:
        self.options = options
        self.weights = network.trained()
        inside: set[Tensor] = set()
        if options.kind == "muon":
            layers = network.network.blocks.modules()
            inside = {layer.weight for layer in layers if isinstance(layer, nn.Linear)}
        matrices = [w for w in self.weights if w in inside]
        others = [w for w in self.weights if w not in inside]
        rate, decay = options.learning_rate, options.weight_decay
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(
                torch.optim.Muon(
                    matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
                )
            )
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=rate, weight_decay=decay))

    def step(self, gradient: list[Tensor], norm: float, rate: float) -> None:
        """One step against ``gradient``, of the given norm, with learning rate ``rate``."""
        scale = min(1.0, self.options.clip / max(norm, 1e-300))
        for weight, slope in zip(self.weights, gradient, strict=True):
            weight.grad = slope * scale
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What has to be kept to go on."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        for part, saved in zip(self.parts, state, strict=True):
            part.load_state_dict(saved)


def learning_rate(options: OptimizerConfig, step: int, total: int) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    if step < options.warm_up:
        return options.learning_rate * (step + 1) / options.warm_up
    span = max(1, total - options.warm_up)
    fraction = min(1.0, (step - options.warm_up) / span)
    fall = 0.5 * (1.0 + math.cos(math.pi * fraction))
    return options.final_learning_rate + fall * (
        options.learning_rate - options.final_learning_rate
    )
