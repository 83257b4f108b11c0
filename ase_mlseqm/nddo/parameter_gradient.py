"""Derivatives of the energy with respect to the parameters at fixed density and positions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .energy import AtomDensities, one_center_energy, pair_energy
from .integrals import Constants, Geometry, Integrals, integrals_and_slopes, prepare
from .layout import Layout
from .parameters import Parameters


def traced_constants(
    layout: Layout, values: Tensor, assemble: Callable[[Tensor], Parameters]
) -> tuple[Tensor, Constants]:
    """A copy of ``values`` (n, k) that a graph starts from, and the constants made from it.

    Parameters
    ----------
    assemble : callable
        From ``values`` to all parameters.
    """
    with torch.enable_grad():
        leaf = values.detach().requires_grad_()
        return leaf, prepare(layout, assemble(leaf))


def parameter_gradient(
    layout: Layout,
    leaf: Tensor,
    constants: Constants,
    shape: Geometry,
    coefficients: Integrals,
    atoms: AtomDensities,
    more: Callable[[Constants], Tensor] | None = None,
) -> Tensor:
    """d (E - sum of E_iso) / d ``leaf``, eV, in the shape of ``leaf``.

    The SCF energy is stationary in the density, so the density is constant here; the energies of
    the isolated atoms depend on the parameters explicitly.

    Parameters
    ----------
    leaf, constants
        From :func:`traced_constants`.
    coefficients : Integrals
        dE / d integral.
    more : callable, optional
        Further terms of the energy that depend on the parameters (the electric field).
    """
    with torch.enable_grad():
        pairs, _ = integrals_and_slopes(layout, constants, shape, slopes=False)
        own = one_center_energy(layout, constants, atoms) - constants.one.isolated
        energy = own.sum() + pair_energy(pairs, coefficients).sum()
        if more is not None:
            energy = energy + more(constants).sum()
        (gradient,) = torch.autograd.grad(energy, leaf)
    return gradient
