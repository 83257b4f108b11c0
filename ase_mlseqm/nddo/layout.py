"""Where the atoms, orbitals, orbital products and atom pairs of a batch are.

Everything here follows from the atomic numbers alone and is reused for every geometry.  Atoms are
"heavy" (s, p_x, p_y, p_z) or hydrogen (s); pairs are heavy-heavy (``xx``), heavy-hydrogen (``xh``)
and hydrogen-hydrogen (``hh``), in this order.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

from . import overlap
from .constants import lasting
from .parameters import elements
from .products import N_PRODUCTS, WEIGHT

T = TypeVar("T")

# orbital pairs that overlap in the local frame, in the order of their values (integrals.py)
_XX_KINDS = (overlap.SS, overlap.SZ, overlap.ZS, overlap.ZZ, overlap.XX)
_XH_KINDS = (overlap.SS, overlap.ZS)


@dataclasses.dataclass(frozen=True)
class Overlapping:
    """The Q = 5 P_xx + 2 P_xh + P_hh pairs of orbitals that overlap.

    Attributes
    ----------
    pair : (Q,)
        Their pairs of atoms.
    orbitals : (2, Q)
        Twice the atom of either orbital, plus one for p orbitals.
    tables : PairTables
    """

    pair: Tensor
    orbitals: Tensor
    tables: overlap.PairTables


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of B molecules with n atoms in all, at most N orbitals and M products a molecule.

    Attributes
    ----------
    numbers, core_charge, molecule : (n,)
        Atomic number, core charge and molecule of every atom.
    slot : (n,)
        Position of the atom in the padded (B * A) array.
    heavy, hydrogen : (n_heavy,), (n_hydrogen,)
        Atoms of either kind.
    orbital, product : (n,)
        First orbital and first product of the atom within its molecule.
    n_orbitals : (B,)
        Orbitals of every molecule.
    first, second : (P,)
        Atoms of every pair; the first one has the higher shell.
    n_xx, n_xh : int
        Number of pairs of these kinds; the rest are ``hh``.
    """

    n_molecules: int
    width: int
    N: int
    M: int
    numbers: Tensor
    core_charge: Tensor
    molecule: Tensor
    slot: Tensor
    heavy: Tensor
    hydrogen: Tensor
    orbital: Tensor
    product: Tensor
    n_orbitals: Tensor
    first: Tensor
    second: Tensor
    n_xx: int
    n_xh: int

    @property
    def n_pairs(self) -> int:
        """Number of pairs of all kinds."""
        return len(self.first)

    @property
    def xx(self) -> slice:
        """Heavy-heavy pairs."""
        return slice(0, self.n_xx)

    @property
    def xh(self) -> slice:
        """Heavy-hydrogen pairs."""
        return slice(self.n_xx, self.n_xx + self.n_xh)

    @property
    def hh(self) -> slice:
        """Hydrogen-hydrogen pairs."""
        return slice(self.n_xx + self.n_xh, self.n_pairs)

    @functools.cached_property
    @lasting
    def n_atoms(self) -> Tensor:
        """(B,) atoms of every molecule."""
        return torch.bincount(self.molecule, minlength=self.n_molecules)

    @functools.cached_property
    @lasting
    def shell(self) -> Tensor:
        """(n,) principal quantum number of the valence shell."""
        return elements(self.numbers.device).shell[self.numbers]

    @functools.cached_property
    @lasting
    def pairs(self) -> Tensor:
        """(P, 2) atoms of every pair."""
        return torch.stack((self.first, self.second), 1)

    @functools.cached_property
    @lasting
    def atom_products(self) -> tuple[Tensor, Tensor]:
        """Products of every atom in (B * M), and how often they occur in the full sum, (n, 10);
        nine of hydrogen's are any and do not occur."""
        ladder = torch.arange(N_PRODUCTS, device=self.product.device)
        absent = (self.numbers == 1).unsqueeze(1) & (ladder > 0)
        start = (self.molecule * self.M + self.product).unsqueeze(1)
        index = start + ladder.masked_fill(absent, 0)
        return index, WEIGHT.to(index.device).masked_fill(absent, 0.0)

    @functools.cached_property
    @lasting
    def product_index(self) -> tuple[Tensor, Tensor]:
        """Products of the heavy (n_heavy, 10) and hydrogen (n_hydrogen,) atoms in (B * M)."""
        start = self.molecule * self.M + self.product
        ladder = torch.arange(N_PRODUCTS, device=start.device)
        return start[self.heavy].unsqueeze(1) + ladder, start[self.hydrogen]

    @functools.cached_property
    @lasting
    def pair_products(self) -> tuple[Tensor, ...]:
        """Products in (B * M) of both atoms of the xx, xh and hh pairs: (P, 10) or (P,)."""
        start = self.molecule * self.M + self.product
        ten = torch.arange(N_PRODUCTS, device=start.device)
        first, second = start[self.first], start[self.second]
        return (
            first[self.xx].unsqueeze(1) + ten,
            second[self.xx].unsqueeze(1) + ten,
            first[self.xh].unsqueeze(1) + ten,
            second[self.xh].unsqueeze(1),
            first[self.hh],
            second[self.hh],
        )

    @functools.cached_property
    @lasting
    def core_products(self) -> Tensor:
        """(B * M,) core charges at the ss product of every atom."""
        start = self.molecule * self.M + self.product
        empty = self.core_charge.new_zeros(self.n_molecules * self.M)
        return empty.index_copy(0, start, self.core_charge)

    @functools.cached_property
    @lasting
    def owner(self) -> Tensor:
        """(B, N, A) float64, 1 where an orbital belongs to an atom."""
        shape = (self.n_molecules, self.N, self.width)
        owner = torch.zeros(shape, dtype=torch.float64, device=self.slot.device)
        column = self.slot % self.width
        owner[self.molecule, self.orbital, column] = 1.0
        x = self.heavy
        for k in range(1, 4):
            owner[self.molecule[x], self.orbital[x] + k, column[x]] = 1.0
        return owner

    @functools.cached_property
    def _notes(self) -> dict:
        return {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, computed once: for what follows from the layout and ``key``."""
        if key not in self._notes:
            self._notes[key] = lasting(make)()
        return self._notes[key]

    @functools.cached_property
    @lasting
    def overlapping(self) -> Overlapping:
        """Pairs of orbitals that overlap."""
        device = self.first.device
        every = torch.arange(self.n_pairs, device=device)
        xx, xh, hh = every[self.xx], every[self.xh], every[self.hh]
        pair = torch.cat((xx.repeat(len(_XX_KINDS)), xh.repeat(len(_XH_KINDS)), hh))
        counts = [len(xx)] * len(_XX_KINDS) + [len(xh)] * len(_XH_KINDS) + [len(hh)]
        kinds = torch.tensor([*_XX_KINDS, *_XH_KINDS, overlap.SS], device=device)
        kind = kinds.repeat_interleave(torch.tensor(counts, device=device))
        i, j = self.first[pair], self.second[pair]
        p_on_i = (kind == overlap.ZS) | (kind == overlap.ZZ) | (kind == overlap.XX)
        p_on_j = (kind == overlap.SZ) | (kind == overlap.ZZ) | (kind == overlap.XX)
        tables = overlap.pair_tables(self.shell[i], self.shell[j], kind)
        return Overlapping(pair, torch.stack((2 * i + p_on_i, 2 * j + p_on_j)), tables)

    def block(self, first: Tensor, second: Tensor, n1: int, n2: int) -> Tensor:
        """Indices (P, n1, n2) of the atoms' blocks in flattened (B, N, N) matrices."""
        device = first.device
        row = (self.orbital[first].unsqueeze(1) + torch.arange(n1, device=device)).unsqueeze(2)
        column = (self.orbital[second].unsqueeze(1) + torch.arange(n2, device=device)).unsqueeze(1)
        return (self.molecule[first].view(-1, 1, 1) * self.N + row) * self.N + column

    @functools.cached_property
    @lasting
    def pair_molecule(self) -> Tensor:
        """(P,) molecule of every pair."""
        return self.molecule[self.first]

    def molecule_sum(self, values: Tensor, molecule: Tensor | None = None) -> Tensor:
        """Sum (n, ...) atomic (or, with ``molecule``, pair) values to (B, ...)."""
        index = self.molecule if molecule is None else molecule
        out = values.new_zeros(self.n_molecules, *values.shape[1:])
        return out.index_add(0, index, values)


def _exclusive_cumsum(counts: Tensor) -> Tensor:
    return counts.cumsum(1) - counts


def build_layout(numbers: Tensor) -> Layout:
    """Layout of padded (B, A) atomic numbers (0 is padding)."""
    n_molecules, width = numbers.shape
    device = numbers.device
    table = elements(device)
    present = numbers > 0
    is_heavy = numbers > 1
    n_orbitals = present.long() + 3 * is_heavy.long()
    n_products = present.long() + (N_PRODUCTS - 1) * is_heavy.long()
    slot = present.flatten().nonzero().squeeze(1)
    flat = numbers.flatten()[slot]
    orbitals = n_orbitals.sum(1)
    shape = torch.stack((orbitals.max(), n_products.sum(1).max())).tolist()

    atom_of_slot = torch.cumsum(present.flatten().long(), 0).view(n_molecules, width) - 1
    i, j = torch.triu_indices(width, width, offset=1, device=device)
    both = (present[:, i] & present[:, j]).nonzero()
    first = atom_of_slot[both[:, 0], i[both[:, 1]]]
    second = atom_of_slot[both[:, 0], j[both[:, 1]]]
    shell = table.shell[flat]
    swap = shell[first] < shell[second]
    first, second = torch.where(swap, second, first), torch.where(swap, first, second)
    n_heavy = (flat[first] > 1).long() + (flat[second] > 1).long()
    order = torch.argsort(2 - n_heavy, stable=True)
    by_kind = torch.bincount(2 - n_heavy, minlength=3).tolist()
    return Layout(
        n_molecules=n_molecules,
        width=width,
        N=shape[0],
        M=shape[1],
        numbers=flat,
        core_charge=table.core_charge[flat].to(torch.float64),
        molecule=slot // width,
        slot=slot,
        heavy=(flat > 1).nonzero().squeeze(1),
        hydrogen=(flat == 1).nonzero().squeeze(1),
        orbital=_exclusive_cumsum(n_orbitals).flatten()[slot],
        product=_exclusive_cumsum(n_products).flatten()[slot],
        n_orbitals=orbitals,
        first=first[order],
        second=second[order],
        n_xx=by_kind[0],
        n_xh=by_kind[1],
    )


def select(layout: Layout, keep: Tensor) -> tuple[Layout, Tensor, Tensor]:
    """Layout of the molecules ``keep`` (sorted indices), and the atoms and pairs that are kept."""
    new = torch.full((layout.n_molecules,), -1, device=keep.device)
    new[keep] = torch.arange(len(keep), device=keep.device)
    atoms = (new[layout.molecule] >= 0).nonzero().squeeze(1)
    new_atom = torch.full_like(layout.molecule, -1)
    new_atom[atoms] = torch.arange(len(atoms), device=keep.device)
    pairs = (new_atom[layout.first] >= 0).nonzero().squeeze(1)
    molecule = new[layout.molecule[atoms]]
    numbers = layout.numbers[atoms]
    kept = dataclasses.replace(
        layout,
        n_molecules=len(keep),
        numbers=numbers,
        core_charge=layout.core_charge[atoms],
        molecule=molecule,
        slot=molecule * layout.width + layout.slot[atoms] % layout.width,
        heavy=(numbers > 1).nonzero().squeeze(1),
        hydrogen=(numbers == 1).nonzero().squeeze(1),
        orbital=layout.orbital[atoms],
        product=layout.product[atoms],
        n_orbitals=layout.n_orbitals[keep],
        first=new_atom[layout.first[pairs]],
        second=new_atom[layout.second[pairs]],
        n_xx=int((pairs < layout.xx.stop).sum()),
        n_xh=int(((pairs >= layout.xh.start) & (pairs < layout.xh.stop)).sum()),
    )
    return kept, atoms, pairs
