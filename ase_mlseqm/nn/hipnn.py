"""HIP-NN, the hierarchically interacting particle neural network.

Lubbers, Smith, Barros, J. Chem. Phys. 148 (2018) 241715; tensor sensitivities: Chigaev et al.,
J. Chem. Phys. 158 (2023) 184108.  Every block lets the features of neighbours interact once and
transforms the features of every atom a few times; a linear read-out of every block adds to the
output.  All in float64: forces are differences of the network's derivatives.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError
from ..nddo.constants import lasting
from ..options import check_types
from .neighbours import Neighbours

SHARED = 16
"""Features from which on it is cheaper to mix them before the moments are taken."""


@dataclasses.dataclass(frozen=True)
class HIPNNConfig:
    """Size of the network; the defaults are those of Zhou et al., PNAS 119 (2022) e2120333119."""

    n_blocks: int = 2
    """Interaction blocks."""
    n_atom_layers: int = 3
    """Atom layers in a block."""
    n_features: int = 80
    """Features of an atom."""
    n_sensitivities: int = 20
    """Sensitivity functions of the distance."""
    min_distance: float = 0.65
    """Smallest centre of a sensitivity at the start, Angstrom."""
    max_distance: float = 4.0
    """Largest centre of a sensitivity at the start, Angstrom."""
    cutoff: float = 6.0
    """Where atoms stop to see each other, Angstrom."""
    tensor_order: int = 0
    """Order of the tensor sensitivities: 0 (none), 1 or 2."""
    smoothing: float = 0.03
    """Added to squared norms of tensor features, which would otherwise have a cusp where they
    vanish by symmetry: the smaller, the more abruptly forces change there."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_types(self)
        for name in ("n_blocks", "n_features", "n_sensitivities"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give 1 or more")
        if self.n_atom_layers < 0:
            raise InputError(f"n_atom_layers is {self.n_atom_layers}: give 0 or more")
        if self.tensor_order not in (0, 1, 2):
            raise InputError(f"tensor_order is {self.tensor_order}: give 0, 1 or 2")
        if not 0.0 < self.smoothing < math.inf:
            raise InputError(f"smoothing is {self.smoothing}: give a positive number")
        if not 0.0 < self.min_distance < self.max_distance <= self.cutoff:
            raise InputError(
                f"distances {self.min_distance}, {self.max_distance}, {self.cutoff} are not in "
                "ascending order: give min_distance < max_distance <= cutoff"
            )


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where the neighbours are.

    Attributes
    ----------
    inverse : (G, P, Q)
        Inverse distances, 1/Angstrom.
    tensors : (G, P, M, Q)
        Irreducible tensors of the directions, times the cutoff function.
    """

    neighbours: Neighbours
    inverse: Tensor
    tensors: Tensor


def surroundings(
    positions: Tensor, neighbours: Neighbours, cutoff: float, order: int
) -> Surroundings:
    """From (n, 3) ``positions``, differentiable; tensors up to ``order``."""
    others, own = (_rows(positions, index) for index in (neighbours.index, neighbours.centre))
    vectors = others.mT.unsqueeze(1) - own.unsqueeze(3)
    # the padding gets a harmless vector: the derivative of the norm at zero is not a number
    real = neighbours.real.unsqueeze(2)
    vectors = torch.where(real, vectors, _harmless(positions.device))
    distance = torch.linalg.vector_norm(vectors, dim=2)
    inverse = distance.reciprocal()
    inside = neighbours.real & (distance < cutoff)
    cut = torch.cos(distance * (0.5 * math.pi / cutoff)) ** 2 * inside
    tensors = _tensors(vectors * inverse.unsqueeze(2), order) * cut.unsqueeze(2)
    return Surroundings(neighbours, inverse, tensors)


@functools.cache
@lasting
def _harmless(device: torch.device) -> Tensor:
    return torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64, device=device)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """``values`` (n, k) at an index (G, Q): (G, Q, k)."""
    return values.index_select(0, index.flatten()).view(*index.shape, -1)


class Sensitivity(nn.Module):
    """Gaussians in the inverse distance (JCP 148, 241715, eq. 5); the cutoff function that belongs
    to them (eq. 6) is in the :class:`Surroundings`."""

    def __init__(self, config: HIPNNConfig) -> None:
        super().__init__()
        low, high = 1.0 / config.max_distance, 1.0 / config.min_distance
        n = config.n_sensitivities
        self.centre = nn.Parameter(torch.linspace(low, high, n, dtype=torch.float64))
        width = (high - low) / max(n - 1, 1)
        self.width = nn.Parameter(torch.full((n,), width, dtype=torch.float64))

    def forward(self, inverse: Tensor) -> Tensor:
        """(G, P, Q, S) from inverse distances (G, P, Q)."""
        offset = inverse.unsqueeze(3) - self.centre
        return torch.exp(offset**2 * (-0.5 / self.width**2))


def _tensors(direction: Tensor, order: int) -> Tensor:
    """Irreducible tensors (G, P, M, Q) of unit vectors (G, P, 3, Q): 1, r, and r r - 1/3.

    Scaled such that the square norm of each order is one.
    """
    parts = [torch.ones_like(direction[:, :, :1])]
    if order >= 1:
        parts.append(direction)
    if order == 2:
        x, y, z = direction.unbind(2)
        root = 3.0**0.5
        second = (x * y * root, y * z * root, z * x * root, 0.5 * root * (x * x - y * y))
        parts.append(torch.stack((*second, 1.5 * z * z - 0.5), 2))
    return torch.cat(parts, 2)


class Interaction(nn.Module):
    """Mix an atom's features with those of its neighbours (JCP 148, 241715, eq. 4).

    With tensor sensitivities the norms of the features' first and second moments are added, with
    the same weights (JCP 158, 184108, eqs. 8 to 12).
    """

    def __init__(self, config: HIPNNConfig, n_in: int) -> None:
        super().__init__()
        n_out = config.n_features
        self.order, self.smoothing = config.tensor_order, config.smoothing
        self.sensitivity = Sensitivity(config)
        self.mix = _linear(n_in * config.n_sensitivities, n_out, bias=False)
        self.own = _linear(n_in, n_out)
        if self.order:
            start = torch.full((self.order, n_out), 0.5, dtype=torch.float64)
            self.moment = nn.Parameter(start)

    def forward(self, features: Tensor, around: Surroundings) -> Tensor:
        """From (n, n_in) to (n, n_out), before the activation."""
        mixed = self._moments(features, around)
        out = mixed[:, 0] + self.own(features)
        for order, (start, stop) in enumerate(((1, 4), (4, 9))[: self.order]):
            norm = torch.sqrt((mixed[:, start:stop] ** 2).sum(1) + self.smoothing)
            out = torch.addcmul(out, self.moment[order], norm - self.smoothing**0.5)
        return out

    def _moments(self, features: Tensor, around: Surroundings) -> Tensor:
        """Moments (n, M, n_out) of the neighbours' features, mixed."""
        near = around.neighbours
        groups, size, n_moments, others = around.tensors.shape
        n_in, n_out = features.shape[1], self.mix.out_features
        seen = features.index_select(0, near.index.flatten()).view(groups, others, n_in)
        if n_in < SHARED:
            sensitivity = self.sensitivity(around.inverse).view(groups * size, others, -1)
            # (G, P, M, n_in, Q)
            weighted = around.tensors.unsqueeze(3) * seen.mT.contiguous()[:, None, None]
            moments = torch.bmm(weighted.view(groups * size, -1, others), sensitivity)
            moments = moments.view(groups * size, n_moments, n_in, -1).mT.flatten(2)
            return self.mix(moments.index_select(0, near.place))
        if size == 1:
            # (G, M, S, Q)
            kernel = around.tensors.squeeze(1).unsqueeze(2) * self.sensitivity(around.inverse).mT
            moments = torch.bmm(kernel.reshape(groups, -1, others), seen)
            return self.mix(moments.view(groups, n_moments, -1).index_select(0, near.place))
        # atoms that look at the same others share what the weights make of these: mixing comes
        # first, once for every neighbour and not for every component of the tensors
        weight = self.mix.weight.view(n_out, -1, n_in).permute(2, 1, 0).reshape(n_in, -1)
        sources = (seen.view(-1, n_in) @ weight).view(groups * others, -1, n_out)
        sensitivity = self.sensitivity(around.inverse.mT.contiguous()).view(
            groups * others, size, -1
        )
        each = torch.bmm(sensitivity, sources).view(groups, others, size, n_out)
        each = each.transpose(1, 2).reshape(groups * size, others, n_out)
        mixed = torch.bmm(around.tensors.view(groups * size, n_moments, others), each)
        return mixed.index_select(0, near.place)


class Block(nn.Module):
    """An interaction layer and atom layers, each with a residual connection."""

    def __init__(self, config: HIPNNConfig, n_in: int) -> None:
        super().__init__()
        n = config.n_features
        self.interaction = Interaction(config, n_in)
        self.after = _linear(n, n)
        self.carry = nn.Identity() if n_in == n else _linear(n_in, n, bias=False)
        self.inner = nn.ModuleList(_linear(n, n) for _ in range(config.n_atom_layers))
        self.outer = nn.ModuleList(_linear(n, n) for _ in range(config.n_atom_layers))

    def forward(self, features: Tensor, around: Surroundings) -> Tensor:
        """From (n, n_in) to (n, n_features)."""
        mixed = functional.softplus(self.interaction(features, around))
        features = self.carry(features) + self.after(mixed)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            features = features + outer(functional.softplus(inner(features)))
        return features


class HIPNN(nn.Module):
    """Network with ``n_outputs`` numbers for every atom of ``n_species`` kinds.

    The read-outs start at zero, so a new network gives zero everywhere.
    """

    one_hot: Tensor

    def __init__(self, config: HIPNNConfig, n_species: int, n_outputs: int) -> None:
        super().__init__()
        self.config = config
        one_hot = torch.eye(n_species, dtype=torch.float64)
        self.register_buffer("one_hot", one_hot, persistent=False)
        sizes = [n_species] + [config.n_features] * (config.n_blocks - 1)
        self.blocks = nn.ModuleList(Block(config, size) for size in sizes)
        self.read_outs = nn.ModuleList(_zero(config.n_features, n_outputs) for _ in sizes)

    def forward(self, species: Tensor, positions: Tensor, neighbours: Neighbours) -> Tensor:
        """Outputs (n, n_outputs).

        Parameters
        ----------
        species : (n,) int64
            Kind of every atom, 0 to n_species - 1.
        positions : (n, 3)
            Angstrom.
        """
        config = self.config
        around = surroundings(positions, neighbours, config.cutoff, config.tensor_order)
        features = self.one_hot.index_select(0, species)
        outputs = []
        for block, read_out in zip(self.blocks, self.read_outs, strict=True):
            features = block(features, around)
            outputs.append(read_out(features))
        return functools.reduce(torch.add, outputs)


def _linear(n_in: int, n_out: int, bias: bool = True) -> nn.Linear:
    return nn.Linear(n_in, n_out, bias=bias, dtype=torch.float64)


def _zero(n_in: int, n_out: int) -> nn.Linear:
    layer = _linear(n_in, n_out, bias=False)
    nn.init.zeros_(layer.weight)
    return layer
