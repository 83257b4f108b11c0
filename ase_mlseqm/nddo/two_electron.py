"""Coulomb and exchange parts of Fock matrices from the two-electron integrals.

Small molecules have them as matrices, which takes the fewest operations.  Of large ones these would
be most of the memory, and the products with them little of the time: they keep the integrals alone.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from .chunks import chunks, in_chunks
from .constants import lasting
from .integrals import Integrals
from .layout import Layout
from .one_center import OneCenter
from .products import N_PRODUCTS, PACK


@functools.cache
@lasting
def _exchange_map(device: torch.device) -> Tensor:
    """(256,) where (mu k, nu m) of the exchange matrix is found in packed (mu nu, k m)."""
    mu, k, nu, m = torch.meshgrid(*[torch.arange(4)] * 4, indexing="ij")
    return (PACK[mu, nu] * N_PRODUCTS + PACK[k, m]).flatten().to(device)


def _exchange_xx(w_xx: Tensor) -> Tensor:
    """Exchange matrices (P, 16, 16) from integrals (P, 10, 10)."""
    elements = w_xx.flatten(1).index_select(1, _exchange_map(w_xx.device))
    return elements.view(-1, 16, 16).neg_()


def _exchange_xh(w_xh: Tensor) -> Tensor:
    """Exchange matrices (P, 4, 4) from integrals (P, 10)."""
    return w_xh[:, PACK.to(w_xh.device)].neg_()


def repulsion_map(layout: Layout) -> Tensor:
    """(B, M, M) indices into the concatenation made by :meth:`Matrices.of`."""
    i, j, m = layout.first, layout.second, layout.M
    device, start = i.device, layout.product
    ladder = torch.arange(N_PRODUCTS, device=device)
    n_hh = layout.n_pairs - layout.n_xx - layout.n_xh
    sizes = [layout.n_xx * 100, layout.n_xh * 10, n_hh]
    sizes += [len(layout.heavy) * 100, len(layout.hydrogen)]
    w = torch.full((layout.n_molecules * m * m,), sum(sizes), device=device)

    def fill(first: Tensor, second: Tensor, n1: int, n2: int, offset: int) -> None:
        row = (start[first].unsqueeze(1) + ladder[:n1]).unsqueeze(2)
        column = (start[second].unsqueeze(1) + ladder[:n2]).unsqueeze(1)
        base = layout.molecule[first].view(-1, 1, 1) * m
        values = torch.arange(row.shape[0] * n1 * n2, device=device).view(-1, n1, n2) + offset
        w[(base + row) * m + column] = values
        w[(base + column) * m + row] = values

    offset = 0
    for s, n1, n2, size in zip(
        (layout.xx, layout.xh, layout.hh), (10, 10, 1), (10, 1, 1), sizes[:3], strict=True
    ):
        fill(i[s], j[s], n1, n2, offset)
        offset += size
    fill(layout.heavy, layout.heavy, 10, 10, offset)
    fill(layout.hydrogen, layout.hydrogen, 1, 1, offset + sizes[3])
    return w.view(-1, m, m)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Indices of some molecules of a batch, of their pairs of the three kinds, and of their heavy
    atoms and hydrogens."""

    molecules: Tensor
    xx: Tensor
    xh: Tensor
    hh: Tensor
    heavy: Tensor
    hydrogen: Tensor


@dataclasses.dataclass(frozen=True)
class Matrices:
    """The repulsion of all orbital products of a molecule as one symmetric matrix, so that the
    Coulomb part of all molecules is one batched product, and exchange matrices of the pairs.

    Attributes
    ----------
    repulsion : (B, M, M)
        W; its one-centre blocks already contain half of the one-centre exchange.
    xx, xh
        Exchange matrices (P, 16, 16) and (P, 4, 4).
    """

    repulsion: Tensor
    xx: Tensor
    xh: Tensor

    @classmethod
    def of(cls, map_: Tensor, w: Integrals, one: OneCenter) -> Matrices:
        """From the integrals of pairs and atoms, and the map of :func:`repulsion_map`."""
        values = torch.cat(
            (
                w.w_xx.flatten(),
                w.w_xh.flatten(),
                w.w_hh,
                one.repulsion_heavy.flatten(),
                one.repulsion_hydrogen,
                w.w_hh.new_zeros(1),
            )
        )
        repulsion = values.index_select(0, map_.view(-1)).view(map_.shape)
        return cls(repulsion, _exchange_xx(w.w_xx), _exchange_xh(w.w_xh))

    def coulomb(self, charges: Tensor) -> Tensor:
        """(B * M,) from packed net populations (B * M,)."""
        return torch.bmm(self.repulsion, charges.view(len(self.repulsion), -1, 1)).view(-1)

    def exchange_xx(self, blocks: Tensor) -> Tensor:
        """(P, 16, S) from blocks of the density of the same shape."""
        return torch.bmm(self.xx, blocks)

    def exchange_xh(self, blocks: Tensor) -> Tensor:
        """(P, 4, S), likewise."""
        return torch.bmm(self.xh, blocks)

    def select(self, layout: Layout, chosen: Chosen) -> Matrices:
        """Of some of the molecules, which have this ``layout``."""
        return Matrices(self.repulsion[chosen.molecules], self.xx[chosen.xx], self.xh[chosen.xh])


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The integrals of pairs (P, 10, 10), (P, 10) and (P,) as they are, and the repulsion within
    heavy atoms (n, 10, 10) and hydrogens (n,)."""

    layout: Layout
    xx: Tensor
    xh: Tensor
    hh: Tensor
    heavy: Tensor
    hydrogen: Tensor

    @classmethod
    def of(cls, layout: Layout, w: Integrals, one: OneCenter) -> Pairs:
        """From the integrals of pairs and atoms."""
        return cls(layout, w.w_xx, w.w_xh, w.w_hh, one.repulsion_heavy, one.repulsion_hydrogen)

    def coulomb(self, charges: Tensor) -> Tensor:
        """(B * M,) from packed net populations (B * M,)."""
        x, h = self.layout.product_index
        out = torch.empty_like(charges).zero_()
        out[x] = torch.bmm(self.heavy, charges[x].unsqueeze(2)).squeeze(2)
        out[h] = self.hydrogen * charges[h]
        one_xx, other_xx, one_xh, other_xh, one_hh, other_hh = self.layout.pair_products
        for w, one, other in chunks(self.xx, one_xx, other_xx):
            on_one = torch.bmm(w, charges[other].unsqueeze(2))
            on_other = torch.bmm(w.mT, charges[one].unsqueeze(2))
            out.index_add_(0, one.flatten(), on_one.flatten())
            out.index_add_(0, other.flatten(), on_other.flatten())
        out.index_add_(0, one_xh.flatten(), (self.xh * charges[other_xh]).flatten())
        out.index_add_(0, other_xh.flatten(), (self.xh * charges[one_xh]).sum(1))
        out.index_add_(0, one_hh, self.hh * charges[other_hh])
        return out.index_add_(0, other_hh, self.hh * charges[one_hh])

    def exchange_xx(self, blocks: Tensor) -> Tensor:
        """(P, 16, S) from blocks of the density of the same shape."""
        return in_chunks(lambda w, d: torch.bmm(_exchange_xx(w), d), self.xx, blocks)

    def exchange_xh(self, blocks: Tensor) -> Tensor:
        """(P, 4, S), likewise."""
        return in_chunks(lambda w, d: torch.bmm(_exchange_xh(w), d), self.xh, blocks)

    def select(self, layout: Layout, chosen: Chosen) -> Pairs:
        """Of some of the molecules, which have this ``layout``."""
        return Pairs(
            *(layout, self.xx[chosen.xx], self.xh[chosen.xh], self.hh[chosen.hh]),
            *(self.heavy[chosen.heavy], self.hydrogen[chosen.hydrogen]),
        )
