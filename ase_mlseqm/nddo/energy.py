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
import functools

import torch
from torch import Tensor

from .chunks import in_chunks
from .constants import lasting
from .fock import DensityParts
from .integrals import Constants, Integrals
from .layout import Layout
from .one_center import one_center_coefficients
from .products import N_PRODUCTS, PRODUCTS, WEIGHT


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


@dataclasses.dataclass(frozen=True)
class _ExchangeMaps:
    """Where the factors of packed exchange products (mu nu, k m) are found in a pair's density.

    ``xx`` (4 * 100,): d_mu,k d_nu,m + d_nu,k d_mu,m in (4, 4); ``xh`` (2 * 10,): d_mu d_nu in (4,).
    The weights count how often a packed product occurs.
    """

    xx: Tensor
    xx_weight: Tensor
    xh: Tensor
    xh_weight: Tensor


@functools.cache
@lasting
def _exchange_maps(device: torch.device) -> _ExchangeMaps:
    mu, nu = torch.tensor(PRODUCTS).T
    first, second = mu.unsqueeze(1), nu.unsqueeze(1)
    xx = torch.stack(
        [4 * row + column for row, column in ((first, mu), (second, nu), (second, mu), (first, nu))]
    )
    both = 0.5 * WEIGHT.unsqueeze(1) * WEIGHT
    tensors = xx.flatten(), both.flatten(), torch.cat((mu, nu)), WEIGHT
    return _ExchangeMaps(*(tensor.to(device) for tensor in tensors))


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
    maps = _exchange_maps(net.device)

    def exchange(d: Tensor) -> Tensor:
        d_xx = d.index_select(2, maps.xx).unflatten(2, (4, -1)).unbind(2)
        products = torch.addcmul(d_xx[0] * d_xx[1], d_xx[2], d_xx[3]).sum(1)
        return products * (both * maps.xx_weight)

    exchange_xx = in_chunks(exchange, parts.xx.transpose(0, 1))
    w_xx = exchange_xx.view(-1, N_PRODUCTS, N_PRODUCTS).neg_()
    d_xh = parts.xh.index_select(2, maps.xh).view(n_spin, -1, 2, N_PRODUCTS).unbind(2)
    exchange_xh = (d_xh[0] * d_xh[1]).sum(0) * (both * maps.xh_weight)
    return Integrals(
        w_xx=w_xx.addcmul_(q_xx.unsqueeze(2), r_xx.unsqueeze(1)),
        w_xh=q_xh * r_xh - exchange_xh,
        w_hh=q_hh * r_hh - both * (parts.hh**2).sum(0),
        h_xx=2 * both * parts.xx.sum(0).view(-1, 4, 4),
        h_xh=2 * both * parts.xh.sum(0),
        h_hh=2 * both * parts.hh.sum(0),
        core=torch.ones(layout.n_pairs, dtype=net.dtype, device=net.device),
    )


def one_center_energy(constants: Constants, atoms: AtomDensities) -> Tensor:
    """(n,) one-centre energies, eV; differentiable in the parameters."""
    return (constants.one.parameters * atoms.one_center).sum(1)


def pair_energy(integrals: Integrals, coefficients: Integrals) -> Tensor:
    """(..., P) two-centre energies, eV; derivatives along the bonds from those of integrals."""
    w, c = integrals, coefficients
    return c.core * w.core + torch.cat(
        (
            (w.w_xx * c.w_xx).sum((-2, -1)) + (w.h_xx * c.h_xx).sum((-2, -1)),
            (w.w_xh * c.w_xh).sum(-1) + (w.h_xh * c.h_xh).sum(-1),
            w.w_hh * c.w_hh + w.h_hh * c.h_hh,
        ),
        -1,
    )
