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

from .fock import DensityParts
from .integrals import Constants, Integrals
from .layout import Layout
from .products import FOLD, N_PRODUCTS


@dataclasses.dataclass(frozen=True)
class AtomDensities:
    """One-centre densities: packed (off-diagonal products count twice).

    ``heavy`` (S, n_heavy, 10), ``hydrogen`` (S, n_hydrogen), both of one spin; ``net`` (n, 10)
    total populations of all atoms minus the core charge at ss.
    """

    heavy: Tensor
    hydrogen: Tensor
    net: Tensor


def atom_densities(layout: Layout, parts: DensityParts) -> AtomDensities:
    """One-centre parts of a density."""
    product_x, product_h = layout.product_index
    products = parts.products()
    total = products.sum(0) * (2.0 / len(products))
    net = total.new_zeros(len(layout.numbers), N_PRODUCTS)
    net[layout.heavy] = total[product_x]
    net[layout.hydrogen, 0] = total[product_h]
    net[:, 0] -= layout.core_charge
    return AtomDensities(products[:, product_x], products[:, product_h], net)


def pair_coefficients(layout: Layout, parts: DensityParts) -> Integrals:
    """dE / d(integral) for every two-centre integral, in the shapes of :class:`Integrals`."""
    n_spin = len(parts.xx)
    both = 2.0 / n_spin  # the restricted density stands for two spins
    net = parts.products().sum(0) * both - layout.core_products
    q_xx, r_xx, q_xh, r_xh, q_hh, r_hh = (net[index] for index in layout.pair_products)
    fold = FOLD.to(net.device)
    d_xx = parts.xx.unflatten(2, (4, 4))
    if n_spin == 1:
        # (mu nu, k m) of the outer product, mu and nu on the first atom
        outer = d_xx[0, :, :, None, :, None] * d_xx[0, :, None, :, None, :]
        outer_xh = parts.xh[0, :, :, None] * parts.xh[0, :, None, :]
    else:
        outer = torch.einsum("spac,spbd->pabcd", d_xx, d_xx)
        outer_xh = torch.einsum("spa,spb->pab", parts.xh, parts.xh)
    exchange_xx = fold.T @ (both * outer).reshape(-1, 16, 16) @ fold
    exchange_xh = (both * outer_xh).flatten(1) @ fold
    return Integrals(
        w_xx=q_xx.unsqueeze(2) * r_xx.unsqueeze(1) - exchange_xx,
        w_xh=q_xh * r_xh - exchange_xh,
        w_hh=q_hh * r_hh - both * (parts.hh**2).sum(0),
        h_xx=2 * both * d_xx.sum(0),
        h_xh=2 * both * parts.xh.sum(0),
        h_hh=2 * both * parts.hh.sum(0),
        core=torch.ones(layout.n_pairs, dtype=net.dtype, device=net.device),
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
        + 0.5 * (total * (constants.one.coulomb @ total.unsqueeze(2)).squeeze(2)).sum(1)
        - 0.5 * both * (spin * (spin @ constants.one.exchange)).sum((1, 2))
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
