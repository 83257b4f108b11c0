"""Energy and its derivatives at fixed density.

With p the packed populations of an atom, q = p - Z its net ones and d the spin densities,

    E = sum_A [U . p + p J p / 2 - sum_s p_s K p_s / 2]
      + sum_AB [W : Gamma + 2 h . d + core] + field,
    Gamma = q_A (x) q_B - exchange,

so every integral enters linearly.  The SCF energy is stationary in the density, hence
dE = sum (dE/dW) dW + (dE/dh) dh + ... with the coefficients below and no response of the density.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .integrals import Constants, Integrals
from .layout import Layout
from .products import FOLD, WEIGHT


@dataclasses.dataclass(frozen=True)
class AtomDensities:
    """One-centre densities: packed (off-diagonal products count twice).

    ``heavy`` (S, n_heavy, 10), ``hydrogen`` (S, n_hydrogen), both of one spin; ``net`` (n, 10)
    total populations of all atoms minus the core charge at ss.
    """

    heavy: Tensor
    hydrogen: Tensor
    net: Tensor


def atom_densities(layout: Layout, density: Tensor) -> AtomDensities:
    """One-centre parts of spin densities (S, B, N, N)."""
    n_spin = density.shape[0]
    flat = density.reshape(n_spin, -1)
    block_x, block_h = layout.product_block()
    heavy = flat[:, block_x] * WEIGHT.to(flat.device)
    hydrogen = flat[:, block_h]
    net = flat.new_zeros(len(layout.numbers), WEIGHT.numel())
    net[layout.heavy] = heavy.sum(0) * (2 / n_spin)
    net[layout.hydrogen, 0] = hydrogen.sum(0) * (2 / n_spin)
    net[:, 0] -= layout.core_charge
    return AtomDensities(heavy, hydrogen, net)


def pair_coefficients(layout: Layout, density: Tensor, atoms: AtomDensities) -> Integrals:
    """dE / d(integral) for every two-centre integral, in the shapes of :class:`Integrals`."""
    n_spin = density.shape[0]
    both = 2.0 / n_spin  # the restricted density stands for two spins
    flat = density.reshape(n_spin, -1)
    i, j, net = layout.first, layout.second, atoms.net
    xx, xh, hh = layout.xx, layout.xh, layout.hh
    d_xx = flat[:, layout.block(i[xx], j[xx], 4, 4)]
    d_xh = flat[:, layout.block(i[xh], j[xh], 4, 1).squeeze(2)]
    d_hh = flat[:, layout.block(i[hh], j[hh], 1, 1).flatten()]
    fold = FOLD.to(flat.device)

    outer = torch.einsum("spac,spbd->pabcd", d_xx, d_xx).reshape(-1, 16, 16)
    exchange_xx = both * (fold.T @ outer @ fold)
    exchange_xh = both * (torch.einsum("spa,spb->pab", d_xh, d_xh).flatten(1) @ fold)
    return Integrals(
        w_xx=net[i[xx]].unsqueeze(2) * net[j[xx]].unsqueeze(1) - exchange_xx,
        w_xh=net[i[xh]] * net[j[xh], :1] - exchange_xh,
        w_hh=net[i[hh], 0] * net[j[hh], 0] - both * (d_hh**2).sum(0),
        h_xx=2 * both * d_xx.sum(0),
        h_xh=2 * both * d_xh.sum(0),
        h_hh=2 * both * d_hh.sum(0),
        core=torch.ones_like(net[i, 0]),
    )


def one_center_energy(layout: Layout, constants: Constants, atoms: AtomDensities) -> Tensor:
    """(n,) one-centre energies, eV; differentiable in the parameters."""
    p, x, h = constants.parameters, layout.heavy, layout.hydrogen
    both = 2.0 / atoms.heavy.shape[0]
    total = atoms.heavy.sum(0) * both
    pops = torch.stack((total[:, 0], total[:, 4] + total[:, 7] + total[:, 9]), 1)
    spin = atoms.heavy.transpose(0, 1)
    heavy = (
        p.U_ss[x] * pops[:, 0]
        + p.U_pp[x] * pops[:, 1]
        + 0.5 * (total * (constants.coulomb @ total.unsqueeze(2)).squeeze(2)).sum(1)
        - 0.5 * both * (spin * (spin @ constants.exchange)).sum((1, 2))
    )
    t = atoms.hydrogen.sum(0) * both
    hydrogen = p.U_ss[h] * t + 0.5 * p.g_ss[h] * (t**2 - both * (atoms.hydrogen**2).sum(0))
    out = heavy.new_zeros(len(layout.numbers))
    return out.index_copy(0, x, heavy).index_copy(0, h, hydrogen)


def pair_energy(integrals: Integrals, coefficients: Integrals) -> Tensor:
    """(P,) two-centre energies, eV."""
    w, c = integrals, coefficients
    return c.core * w.core + torch.cat(
        (
            (w.w_xx * c.w_xx).sum((1, 2)) + (w.h_xx * c.h_xx).sum((1, 2)),
            (w.w_xh * c.w_xh).sum(1) + (w.h_xh * c.h_xh).sum(1),
            w.w_hh * c.w_hh + w.h_hh * c.h_hh,
        )
    )
