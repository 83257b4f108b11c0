"""Core-core repulsion beyond the interaction of the net charges.

Z_A Z_B (ss|ss) [1 + f_A + f_B] with f = exp(-alpha R), times R for the N or O of an N-H or O-H
pair; AM1 and PM3 add Z_A Z_B / R sum_k K_k exp(-L_k (R - M_k)^2).  R in Angstrom.
The plain Z_A Z_B (ss|ss) is part of the two-centre term of the energy (see ``energy.py``).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .layout import Layout
from .parameters import Parameters


@dataclasses.dataclass(frozen=True)
class CoreConstants:
    """Geometry-independent data of P pairs.

    Attributes
    ----------
    zz : (P,)
        Product of the core charges.
    alpha : (2, P)
        Exponents of both atoms.
    scaled : (P,)
        1 where the first atom's exponential carries a factor R, else 0.
    gaussians : tuple of three (P, 8), or None
        K, L, M of both atoms; None when the method has none.
    """

    zz: Tensor
    alpha: Tensor
    scaled: Tensor
    gaussians: tuple[Tensor, Tensor, Tensor] | None


def core_constants(layout: Layout, parameters: Parameters) -> CoreConstants:
    """Gather what the pairs need."""
    i, j = layout.first, layout.second
    numbers = layout.numbers
    is_n_or_o = (numbers[i] == 7) | (numbers[i] == 8)
    gaussians = None
    if bool((parameters.K != 0).any()) or parameters.K.requires_grad:
        gaussians = tuple(
            torch.cat((value[i], value[j]), 1) for value in (parameters.K, parameters.L, parameters.M)
        )
    return CoreConstants(
        layout.core_charge[i] * layout.core_charge[j],
        torch.stack((parameters.alpha[i], parameters.alpha[j])),
        (is_n_or_o & (numbers[j] == 1)).to(torch.float64),
        gaussians,
    )


def core_repulsion(distance: Tensor, ssss: Tensor, constants: CoreConstants) -> Tensor:
    """Extra repulsion (P,), eV, of pairs ``distance`` Angstrom apart with (ss|ss) in eV."""
    decay = torch.exp(-constants.alpha * distance)
    scale = 1.0 + constants.scaled * (distance - 1.0)
    energy = ssss * (scale * decay[0] + decay[1])
    if constants.gaussians is not None:
        K, L, M = constants.gaussians
        displacement = distance.unsqueeze(1) - M
        energy = energy + (K * torch.exp(-L * displacement**2)).sum(1) / distance
    return constants.zz * energy
