"""Where the Hamiltonian's parameters come from."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from torch import Tensor

from .nddo.layout import Layout
from .nddo.parameters import METHODS, Parameters, supported, symbols, table_parameters

__all__ = ["METHODS", "Model", "PlainModel", "symbols"]


class Model(Protocol):
    """Gives every atom of a batch its parameters."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def learned(self) -> bool:
        """Whether the parameters depend on the surroundings."""
        ...

    def supported(self) -> frozenset[int]:
        """Atomic numbers that can be computed."""
        ...

    def parameters(self, layout: Layout, positions: Tensor) -> Parameters:
        """Parameters of the (n,) atoms of ``layout`` at (n, 3) ``positions`` in Angstrom."""
        ...


@dataclasses.dataclass(frozen=True)
class PlainModel:
    """A published method: the parameters depend on the element alone."""

    name: str
    learned: bool = False

    def supported(self) -> frozenset[int]:
        return supported(self.name)

    def parameters(self, layout: Layout, positions: Tensor) -> Parameters:
        return table_parameters(self.name, layout.numbers)
