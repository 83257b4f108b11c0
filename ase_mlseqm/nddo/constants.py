"""Tensors that are made once and used for good."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Without the inference mode and the default device of the caller, which are for his own
    networks: gradients are needed here, and devices are named."""
    gradients = torch.is_grad_enabled()
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(gradients),  # which leaving inference mode would switch on
        torch.device("cpu") if elsewhere else contextlib.nullcontext(),
    ):
        yield


def lasting(function: Callable[P, T]) -> Callable[P, T]:
    """Let what ``function`` makes outlive inference mode, and a default device.

    Energies are computed in inference mode, whose tensors may not enter a graph later; a cached
    table must not depend on who asked for it first.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with undisturbed():
            return function(*args, **kwargs)

    return wrapper
