"""Core-core repulsion beyond the interaction of the net charges.

Z_A Z_B (ss|ss) [1 + f_A + f_B] with f = exp(-alpha R), times R for the N or O of an N-H or O-H
pair; AM1 and PM3 add Z_A Z_B / R sum_k K_k exp(-L_k (R - M_k)^2).  R in Angstrom.
The plain Z_A Z_B (ss|ss) is part of the two-centre term of the energy (see ``energy.py``).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..units import BOHR
from .chunks import chunks, in_chunks
from .layout import Layout


@dataclasses.dataclass(frozen=True)
class CoreConstants:
    """Geometry-independent data of P pairs.

    Attributes
    ----------
    zz : (P,)
        Product of the core charges.
    alpha : (P, 2)
        Exponents of both atoms.
    scaled : (P, 2)
        1 where the atom's exponential carries a factor R, else 0.
    atoms : (P, 2)
        Both atoms.
    gaussians : (n, 3, 4), or None
        K, L, M of every atom; None when the method has none.
    """

    zz: Tensor
    alpha: Tensor
    scaled: Tensor
    atoms: Tensor
    gaussians: Tensor | None


def _of_pairs(gaussians: Tensor, atoms: Tensor) -> tuple[Tensor, ...]:
    """K, L, M of both ``atoms`` (P, 2) of pairs, (P, 2, 4) each: not kept, there are many pairs."""
    return gaussians.index_select(0, atoms.view(-1)).unflatten(0, atoms.shape).unbind(2)


def core_constants(layout: Layout, alpha: Tensor, gaussians: Tensor | None) -> CoreConstants:
    """From exponents (P, 2) of the atoms of every pair and Gaussians (n, 3, 4) of the atoms."""
    zz, scaled = layout.once("core", lambda: _fixed(layout))
    return CoreConstants(zz, alpha, scaled, layout.pairs, gaussians)


def _fixed(layout: Layout) -> tuple[Tensor, Tensor]:
    """What the elements alone determine: ``zz`` and ``scaled``."""
    first, second = layout.numbers[layout.first], layout.numbers[layout.second]
    charge = layout.core_charge
    scaled = (((first == 7) | (first == 8)) & (second == 1)).to(charge.dtype)
    scaled = torch.stack((scaled, torch.zeros_like(scaled)), 1)
    return charge[layout.first] * charge[layout.second], scaled


def decays(distance: Tensor, constants: CoreConstants) -> tuple[Tensor, Tensor]:
    """Exponentials of both atoms and their factors, (P, 2) each; the products are f_A and f_B."""
    R = distance.unsqueeze(1)
    return torch.exp(-constants.alpha * R), 1.0 + constants.scaled * (R - 1.0)


def core_slopes(
    distance: Tensor, ssss: Tensor, screening: Tensor, constants: CoreConstants, n_atoms: int
) -> Tensor:
    """Derivatives (n, 13) of the extra repulsion with respect to the exponent and K, L, M of every
    atom; without Gaussians (n, 1).

    Parameters
    ----------
    ssss : (P,)
        (ss|ss) in eV.
    screening : (P, 2)
        f_A and f_B.
    """
    by_alpha = (screening * (-constants.zz * distance * ssss).unsqueeze(1)).unsqueeze(2)
    gaussians = constants.gaussians
    # added up at once: those of all pairs would be the largest array of a large molecule's gradient
    out = distance.new_zeros(n_atoms, 1 if gaussians is None else 13)
    for alpha, R, zz, atoms in chunks(by_alpha, distance, constants.zz, constants.atoms):
        slopes = alpha
        if gaussians is not None:
            K, L, M = _of_pairs(gaussians, atoms)
            displacement = R.view(-1, 1, 1) - M
            stretched = L * displacement
            by_K = torch.exp(-stretched * displacement) * (zz / R).view(-1, 1, 1)
            by_M = 2.0 * K * by_K * stretched
            slopes = torch.cat((alpha, by_K, -K * by_K * displacement**2, by_M), 2)
        out.index_add_(0, atoms.flatten(), slopes.flatten(0, 1))
    return out


def core_repulsion(
    distance: Tensor, ssss: Tensor, constants: CoreConstants, slopes: bool
) -> Tensor:
    """Extra repulsion (1, P), eV; with ``slopes`` (2, P), and its derivative per bohr.

    Parameters
    ----------
    distance : (P,) Angstrom
    ssss : (1 or 2, P)
        (ss|ss) in eV, and its derivative per bohr.
    """
    decay, scale = decays(distance, constants)
    extra = ssss * (decay * scale).sum(1)
    steep = ssss[0] * (decay * (constants.scaled - constants.alpha * scale)).sum(1)
    gaussians = constants.gaussians
    if gaussians is not None:

        def gaussian_part(distance: Tensor, atoms: Tensor) -> Tensor:
            K, L, M = _of_pairs(gaussians, atoms)
            displacement = distance.view(-1, 1, 1) - M
            stretched = L * displacement
            terms = K * torch.exp(-stretched * displacement)
            return torch.stack((terms.sum((1, 2)), 2.0 * (stretched * terms).sum((1, 2))))

        value, steeper = in_chunks(gaussian_part, distance, constants.atoms, axis=1) / distance
        extra[0] += value
        steep = steep - (steeper + value / distance)
    if slopes:
        extra[1].add_(steep, alpha=BOHR)
    return constants.zz * extra
