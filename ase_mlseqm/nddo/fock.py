"""Fock matrices of a batch.

The basis is orthogonal.  Densities are those of one spin, (S, B, N, N): S = 1 when both spins
share it, S = 2 for alpha and beta.  With q the packed populations minus the core charges,

    F = h + W q - K,

where W holds the repulsion of all orbital products of a molecule and K is the exchange of pairs
(``two_electron.py``).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .integrals import Constants, Integrals
from .layout import Layout, select
from .products import PACK, WEIGHT
from .two_electron import Chosen, Matrices, Pairs, repulsion_map

VIRTUAL_LEVEL = 1000.0
"""Orbital energy (eV) of padding: above everything, never occupied."""
LARGE = 2000
"""Products of orbitals of a molecule from which on a CPU keeps no matrices of their repulsion."""


@dataclasses.dataclass(frozen=True)
class Maps:
    """Indices between matrices (B, N, N), packed products (B, M) and their elements.

    Attributes
    ----------
    gather : (G,)
        Elements of a density that enter the Fock matrix: packed products, then the pair blocks.
    scatter : (B * N * N,)
        Which computed element (or, last, zero) a Fock matrix element is.
    w : (B, M, M) or None
        The same for the repulsion matrix W; None where there is none.
    weight : (B * M,)
        1 or 2 for the products, 0 for padding.
    padding : (B, N)
        Level of the padding, eV, and zero where there is an orbital.
    zero : (1,)
        The element that padding is made of.
    sizes : list of int
        How many elements of ``gather`` are products, and in pair blocks of the three kinds.
    """

    gather: Tensor
    scatter: Tensor
    w: Tensor | None
    weight: Tensor
    padding: Tensor
    zero: Tensor
    sizes: list[int]


@dataclasses.dataclass(frozen=True)
class DensityParts:
    """What of a density the Fock matrix and the energy need.

    ``populations`` (S, B * M) elements within the atoms and their ``weight`` (B * M,) in the full
    sum; pair blocks ``xx`` (S, P, 16), ``xh`` (S, P, 4), ``hh`` (S, P).
    """

    populations: Tensor
    weight: Tensor
    xx: Tensor
    xh: Tensor
    hh: Tensor

    def products(self) -> Tensor:
        """(S, B * M) packed populations, off-diagonal ones counted twice."""
        return self.populations * self.weight


def split(layout: Layout, maps: Maps, density: Tensor) -> DensityParts:
    """Parts of spin densities (S, B, N, N)."""
    n_spin = density.shape[0]
    elements = density.reshape(n_spin, -1).index_select(1, maps.gather)
    n_xx, n_xh = layout.n_xx, layout.n_xh
    populations, xx, xh, hh = elements.split_with_sizes(maps.sizes, 1)
    return DensityParts(
        populations, maps.weight, xx.view(n_spin, n_xx, 16), xh.view(n_spin, n_xh, 4), hh
    )


def build_maps(layout: Layout) -> Maps:
    """Index maps of a layout."""
    device = layout.first.device
    n_b, n, m = layout.n_molecules, layout.N, layout.M
    x, h = layout.heavy, layout.hydrogen
    product_x, product_h = layout.product_index
    block_x, block_h = layout.block(x, x, 4, 4), layout.block(h, h, 1, 1).flatten()
    i, j = layout.first, layout.second
    pairs = [
        (layout.block(i[s], j[s], n1, n2), layout.block(j[s], i[s], n2, n1).mT)
        for s, n1, n2 in ((layout.xx, 4, 4), (layout.xh, 4, 1), (layout.hh, 1, 1))
    ]

    mu, nu = torch.triu_indices(4, 4, device=device)  # the packed order
    # what fills a molecule up is read from that molecule: zero times a neighbour's NaN is NaN
    products = torch.arange(n_b * m, device=device) // m * (n * n)
    products[product_x], products[product_h] = block_x[:, mu, nu], block_h
    weight = torch.zeros(n_b * m, dtype=torch.float64, device=device)
    weight[product_x], weight[product_h] = WEIGHT.to(device).expand(len(x), -1), 1.0
    gather = torch.cat([products] + [block.flatten() for block, _ in pairs])

    scatter = torch.full((n_b * n * n,), len(gather), device=device)
    scatter[block_x] = product_x[:, PACK.to(device)]
    scatter[block_h] = product_h
    place = torch.arange(n_b * m, len(gather), device=device)
    for block, transposed in pairs:
        here, place = place[: block.numel()].view(block.shape), place[block.numel() :]
        scatter[block], scatter[transposed] = here, here

    level = torch.arange(n, device=device)
    real = level < layout.n_orbitals.unsqueeze(1)
    padding = VIRTUAL_LEVEL * (~real).to(torch.float64)
    w = None if m >= LARGE and device.type == "cpu" else repulsion_map(layout)
    sizes = [len(weight), *(block.numel() for block, _ in pairs)]
    # no map is longer than twice W; half the memory where 32 bits can count that far
    kind = torch.int32 if 2 * n_b * max(n, m) ** 2 < 2**31 else torch.int64
    gather, scatter, w = gather.to(kind), scatter.to(kind), None if w is None else w.to(kind)
    return Maps(gather, scatter, w, weight, padding, weight.new_zeros(1), sizes)


@dataclasses.dataclass(frozen=True)
class FockBuilder:
    """Everything constant during the SCF of a batch (no graph).

    Attributes
    ----------
    hcore : (B, N, N)
        One-electron part without the attraction to other cores, which is in W; its one-centre
        blocks are shifted so that W acts on p - Z on the atom itself, too.
    two : Matrices or Pairs
        W and the exchange of pairs.
    minus_core : (B * M,)
        Minus the core charges, at the ss product of every atom.
    exchange_hh : (P,)
        Exchange of pairs of hydrogens.
    spin_exchange : (n_heavy, 10, 10), spin_hydrogen : (n_hydrogen,)
        Half of the one-centre exchange, for the spin density of unrestricted calculations.
    """

    layout: Layout
    maps: Maps
    hcore: Tensor
    two: Matrices | Pairs
    minus_core: Tensor
    exchange_hh: Tensor
    spin_exchange: Tensor
    spin_hydrogen: Tensor

    def __call__(self, density: Tensor) -> Tensor:
        """Fock matrices (S, B, N, N), eV, of spin densities (S, B, N, N)."""
        if density.shape[0] == 1:
            return self._restricted(density)
        n_spin, n_b, n, _ = density.shape
        parts = split(self.layout, self.maps, density)
        products = parts.products()
        charges = products.sum(0) + self.minus_core
        coulomb = self.two.coulomb(charges) + self._spin_part(products)
        values = torch.cat(
            (
                coulomb,
                _rows(self.two.exchange_xx(parts.xx.permute(1, 2, 0))),
                _rows(self.two.exchange_xh(parts.xh.permute(1, 2, 0))),
                parts.hh * self.exchange_hh,
                self.maps.zero.expand(n_spin, 1),
            ),
            1,
        )
        return values.index_select(1, self.maps.scatter).view(n_spin, n_b, n, n).add_(self.hcore)

    def _restricted(self, density: Tensor) -> Tensor:
        """The same for S = 1, with as few operations as possible: most molecules are restricted."""
        maps = self.maps
        elements = density.reshape(-1).index_select(0, maps.gather)
        populations, xx, xh, hh = elements.split_with_sizes(maps.sizes)
        charges = torch.addcmul(self.minus_core, populations, maps.weight, value=2)
        values = torch.cat(
            (
                self.two.coulomb(charges),
                self.two.exchange_xx(xx.view(-1, 16, 1)).view(-1),
                self.two.exchange_xh(xh.view(-1, 4, 1)).view(-1),
                hh * self.exchange_hh,
                maps.zero,
            )
        )
        return values.index_select(0, maps.scatter).view(density.shape).add_(self.hcore)

    def select(self, keep: Tensor) -> FockBuilder:
        """The same for the molecules ``keep`` (sorted indices)."""
        old = self.layout
        if len(keep) == old.n_molecules:
            return self
        layout, atoms, pairs = select(old, keep)
        xx, xh, hh = pairs.split_with_sizes(
            [layout.n_xx, layout.n_xh, layout.n_pairs - layout.n_xx - layout.n_xh]
        )
        chosen = Chosen(
            molecules=keep,
            xx=xx,
            xh=xh - old.xh.start,
            hh=hh - old.hh.start,
            heavy=torch.isin(old.heavy, atoms),
            hydrogen=torch.isin(old.hydrogen, atoms),
        )
        return FockBuilder(
            layout=layout,
            maps=build_maps(layout),
            hcore=self.hcore[keep],
            two=self.two.select(layout, chosen),
            minus_core=self.minus_core.view(old.n_molecules, -1)[keep].flatten(),
            exchange_hh=self.exchange_hh[chosen.hh],
            spin_exchange=self.spin_exchange[chosen.heavy],
            spin_hydrogen=self.spin_hydrogen[chosen.hydrogen],
        )

    def energy(self, density: Tensor, fock: Tensor) -> Tensor:
        """Electronic energy (B,), eV, up to a constant of the molecule, from F(density)."""
        linear = self(torch.zeros_like(density))
        return (density * (fock + linear)).sum((0, 2, 3)) / density.shape[0]

    def _spin_part(self, products: Tensor) -> Tensor:
        """One-centre exchange of the spin density, (2, B * M)."""
        spin = products[0] - products[1]
        x, h = self.layout.product_index
        out = torch.zeros_like(spin)
        out[x] = torch.bmm(self.spin_exchange, spin[x].unsqueeze(2)).squeeze(2)
        out[h] = self.spin_hydrogen * spin[h]
        return torch.stack((-out, out))


def _rows(values: Tensor) -> Tensor:
    """(S, P k) of (P, k, S)."""
    return values.permute(2, 0, 1).flatten(1)


def fock_builder(
    layout: Layout,
    maps: Maps,
    constants: Constants,
    integrals: Integrals,
    field_potential: Tensor | None = None,
) -> FockBuilder:
    """Assemble the constant parts.

    ``field_potential`` (n, 4), eV, is what a uniform field adds to the diagonal (column 0) and
    to the three sp elements of every atom.
    """
    one, n_b, n = constants.one, layout.n_molecules, layout.N
    hcore = one.hcore
    if field_potential is not None:
        hcore = hcore + _field_products(layout, field_potential)
    pairs = (integrals.h_xx.flatten(), integrals.h_xh.flatten(), integrals.h_hh)
    values = torch.cat((hcore, *pairs, hcore.new_zeros(1)))
    matrices = values.index_select(0, maps.scatter).view(n_b, n, n)
    matrices.diagonal(dim1=1, dim2=2).add_(maps.padding)
    return FockBuilder(
        layout=layout,
        maps=maps,
        hcore=matrices,
        two=(
            Pairs.of(layout, integrals, one)
            if maps.w is None
            else Matrices.of(maps.w, integrals, one)
        ),
        minus_core=-layout.core_products,
        exchange_hh=integrals.w_hh.neg(),
        spin_exchange=one.half_exchange,
        spin_hydrogen=one.repulsion_hydrogen,
    )


def _field_products(layout: Layout, potential: Tensor) -> Tensor:
    """The field's (n, 4) potential at the packed products, (B * M,)."""
    product_x, product_h = layout.product_index
    out = potential.new_zeros(layout.n_molecules * layout.M)
    at = potential[layout.heavy]
    for diagonal in (0, 4, 7, 9):
        out[product_x[:, diagonal]] = at[:, 0]
    out[product_x[:, 1:4]] = at[:, 1:]
    out[product_h] = potential[layout.hydrogen, 0]
    return out
