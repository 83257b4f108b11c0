"""Tensors that are made once and used for good."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def lasting(function: Callable[P, T]) -> Callable[P, T]:
    """Let what ``function`` makes outlive inference mode.

    Energies are computed in inference mode, whose tensors may not enter a graph later; a cached
    table must not depend on who asked for it first.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch.inference_mode(False):
            return function(*args, **kwargs)

    return wrapper
