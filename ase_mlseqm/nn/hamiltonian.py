"""The learned Hamiltonian: a published table, corrected by a network."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..nddo.constants import lasting
from ..nddo.layout import Layout
from ..nddo.parameters import Parameters, supported, symbols
from ..options import check_types
from .hipnn import HIPNN, HIPNNConfig
from .neighbours import neighbours
from .parameter_head import PAPER, ParameterHead


@dataclasses.dataclass(frozen=True)
class HamiltonianConfig:
    """What determines the form of a learned Hamiltonian."""

    network: HIPNNConfig = HIPNNConfig()
    """Size of the network."""
    parameters: tuple[str, ...] = PAPER
    """Parameters that are learned."""
    method: str = "PM3"
    """The table that is corrected."""
    elements: tuple[int, ...] = (1, 6, 7, 8)
    """Atomic numbers that it can do."""
    learn_table: bool = True
    """Also learn a correction for every element that does not depend on the surroundings."""

    def __post_init__(self) -> None:
        """Refuse elements that the table lacks."""
        check_types(self)
        if not self.elements:
            raise InputError("elements is empty: give atomic numbers, such as [1, 6, 7, 8]")
        twice = [z for k, z in enumerate(self.elements) if z in self.elements[:k]]
        if twice:
            raise InputError(f"elements holds {twice[0]} twice: give it once")
        missing = set(self.elements) - supported(self.method)
        if missing:
            names = ", ".join(symbols().get(z, f"Z={z}") for z in sorted(missing))
            raise InputError(f"{self.method} has no parameters for {names}")


class CorrectionNetwork(nn.Module):
    """HIP-NN and a table of the elements: the weights of a learned Hamiltonian."""

    kind: Tensor

    def __init__(self, config: HamiltonianConfig, n_outputs: int) -> None:
        super().__init__()
        n_species = len(config.elements)
        self.cutoff = config.network.cutoff
        self.network = HIPNN(config.network, n_species, n_outputs)
        table = torch.zeros(n_species, n_outputs, dtype=torch.float64)
        self.table = nn.Parameter(table, requires_grad=config.learn_table)
        kind = torch.full((max(config.elements) + 1,), -1)
        kind[list(config.elements)] = torch.arange(n_species)
        self.register_buffer("kind", kind, persistent=False)

    def trained(self) -> list[nn.Parameter]:
        """The weights that a training changes."""
        return [weight for weight in self.parameters() if weight.requires_grad]

    def forward(self, layout: Layout, positions: Tensor) -> Tensor:
        """Outputs (n, n_outputs) of the atoms of ``layout`` at (n, 3) ``positions``, Angstrom."""
        species = self.kind[layout.numbers]
        near = neighbours(layout, positions, self.cutoff)
        return self.network(species, positions, near) + self.table[species]


class LearnedHamiltonian:
    """Parameters of every atom from its surroundings (PNAS 119 (2022) e2120333119)."""

    learned = True
    source: Path | None = None
    states: frozenset[tuple[int, int]] = frozenset({(0, 1)})
    """Charges and multiplicities of the molecules that it was trained on."""

    def __init__(self, config: HamiltonianConfig, name: str = "learned") -> None:
        self.config, self.name = config, name
        self.head = ParameterHead(config.parameters, config.method)
        self.network = CorrectionNetwork(config, self.head.n_outputs)

    @lasting
    def on(self, device: torch.device) -> LearnedHamiltonian:
        """The same on another device."""
        if self.network.table.device == device:
            return self
        other = copy.copy(self)
        other.network = copy.deepcopy(self.network).to(device)
        return other

    def supported(self) -> frozenset[int]:
        """Atomic numbers that can be computed."""
        return frozenset(self.config.elements)

    def knows(self, charge: int, multiplicity: int) -> bool:
        """Whether it was trained on molecules of such a state."""
        return (charge, multiplicity) in self.states

    @property
    def method(self) -> str:
        """The table that is corrected."""
        return self.config.method

    def parameters(self, layout: Layout, positions: Tensor) -> Parameters:
        """All parameters of the atoms of ``layout`` at (n, 3) ``positions``, Angstrom."""
        return self.assemble(layout, self.values(layout, positions))

    def values(self, layout: Layout, positions: Tensor) -> Tensor:
        """Learned parameters (n, k) of the atoms of ``layout`` at (n, 3) ``positions``."""
        return self.head.values(layout, self.corrections(layout, positions))

    def corrections(self, layout: Layout, positions: Tensor) -> Tensor:
        """Corrections (n, k) of the learned parameters."""
        return self.head.corrections(layout, self.network(layout, positions))

    def assemble(self, layout: Layout, values: Tensor) -> Parameters:
        """All parameters, of which ``values`` (n, k) are the learned ones."""
        return self.head.assemble(layout, values)

    def collect(self, slopes: Parameters) -> Tensor:
        """Derivatives (n, k) with respect to the values, from ``slopes`` with respect to all
        parameters: the transpose of :meth:`assemble`."""
        return self.head.collect(slopes)
