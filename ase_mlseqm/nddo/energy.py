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
from .one_center import one_center_coefficients
from .products import FOLD


@dataclasses.dataclass(frozen=True)
class AtomDensities:
    """One-centre densities: packed (off-diagonal products count twice).

    Attributes
    ----------
    spin : (S, n, 10)
        Populations of one spin.
    net : (n, 10)
        Of both, minus the core charge at ss.
    one_center : (n, 7)
        dE / d one-centre parameter (:data:`~.one_center.ENERGY_PARAMETERS`).
    """

    spin: Tensor
    net: Tensor
    one_center: Tensor


def atom_densities(layout: Layout, parts: DensityParts) -> AtomDensities:
    """One-centre parts of a density."""
    index, weight = layout.atom_products
    spin = parts.populations[:, index] * weight
    total = spin.sum(0) * (2.0 / len(spin))  # the restricted density stands for two spins
    one_center = one_center_coefficients(spin, total)
    total[:, 0].sub_(layout.core_charge)
    return AtomDensities(spin, total, one_center)


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


def one_center_energy(constants: Constants, atoms: AtomDensities) -> Tensor:
    """(n,) one-centre energies, eV; differentiable in the parameters."""
    return (constants.one.parameters * atoms.one_center).sum(1)


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
