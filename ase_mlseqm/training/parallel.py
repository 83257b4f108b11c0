"""Threads within a process, and processes started by torchrun."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

In = TypeVar("In")
Out = TypeVar("Out")


@dataclasses.dataclass(frozen=True)
class World:
    """The processes of a training: ``rank`` of ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum of a tensor over all processes, in every process."""
        if self.size > 1:
            values = values.clone()
            torch.distributed.all_reduce(values)
        return values

    def share(self, items: list) -> list:
        """The items that this process works on."""
        return items[self.rank :: self.size]


def find_world() -> World:
    """The world that torchrun has prepared, or a single process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return World(torch.distributed.get_rank(), size)


class Threads:
    """Maps a function over items, one thread for each core: the operations are short."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool = None
        if number > 1:
            self._pool = ThreadPoolExecutor(
                number, initializer=torch.set_num_threads, initargs=(1,)
            )

    def map(self, function: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
        """Results in the order of the items."""
        if self._pool is None:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))
