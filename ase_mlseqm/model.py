"""Where the Hamiltonian's parameters come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .nddo.layout import Layout
from .nddo.parameters import Parameters, supported, table_parameters


class Model(Protocol):
    """Gives every atom of a batch its parameters; hashable, as a key of caches."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def method(self) -> str:
        """The published table: itself, or what is corrected."""
        ...

    @property
    def learned(self) -> bool:
        """Whether the parameters depend on the surroundings; then it is a LearnedModel."""
        ...

    @property
    def source(self) -> Path | None:
        """The file that it was read from."""
        ...

    def knows(self, charge: int, multiplicity: int) -> bool:
        """Whether it was made for molecules of such a state."""
        ...

    def on(self, device: torch.device) -> Model:
        """The same on a device."""
        ...

    def supported(self) -> frozenset[int]:
        """Atomic numbers that can be computed."""
        ...

    def parameters(self, layout: Layout, positions: Tensor) -> Parameters:
        """Parameters of the (n,) atoms of ``layout`` at (n, 3) ``positions`` in Angstrom."""
        ...


class LearnedModel(Model, Protocol):
    """A model some of whose parameters depend, differentiably, on the positions."""

    def on(self, device: torch.device) -> LearnedModel: ...

    def values(self, layout: Layout, positions: Tensor) -> Tensor:
        """Learned parameters (n, k)."""
        ...

    def assemble(self, layout: Layout, values: Tensor) -> Parameters:
        """All parameters, of which ``values`` (n, k) are the learned ones."""
        ...

    def collect(self, slopes: Parameters) -> Tensor:
        """Derivatives (n, k) with respect to the values, from ``slopes`` with respect to all
        parameters: the transpose of :meth:`assemble`."""
        ...


@dataclasses.dataclass(frozen=True)
class PlainModel:
    """A published method: the parameters depend on the element alone."""

    name: str
    learned: bool = False
    source: Path | None = None

    @property
    def method(self) -> str:
        """Its own name."""
        return self.name

    def knows(self, charge: int, multiplicity: int) -> bool:
        """Of any."""
        return True

    def on(self, device: torch.device) -> PlainModel:
        """Itself: the tables are on every device."""
        return self

    def supported(self) -> frozenset[int]:
        """Atomic numbers in the table."""
        return supported(self.name)

    def parameters(self, layout: Layout, positions: Tensor) -> Parameters:
        """The table's entries."""
        return table_parameters(self.name, layout.numbers)
