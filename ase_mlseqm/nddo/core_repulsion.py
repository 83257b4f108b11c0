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

    def depends_on_parameters(self) -> bool:
        """Whether a graph leads to the exponents or the Gaussians."""
        gaussians = self.gaussians or ()
        return self.alpha.requires_grad or any(g.requires_grad for g in gaussians)


def core_constants(layout: Layout, parameters: Parameters) -> CoreConstants:
    """Gather what the pairs need."""
    i, j = layout.first, layout.second
    numbers = layout.numbers
    is_n_or_o = (numbers[i] == 7) | (numbers[i] == 8)
    gaussians = None
    if bool((parameters.K != 0).any()) or parameters.K.requires_grad:
        K, L, M = (
            torch.cat((value[i], value[j]), 1)
            for value in (parameters.K, parameters.L, parameters.M)
        )
        gaussians = (K, L, M)
    return CoreConstants(
        layout.core_charge[i] * layout.core_charge[j],
        torch.stack((parameters.alpha[i], parameters.alpha[j])),
        (is_n_or_o & (numbers[j] == 1)).to(torch.float64),
        gaussians,
    )


def screening(distance: Tensor, constants: CoreConstants) -> Tensor:
    """Factor (P,) of (ss|ss) in the core repulsion: Z_A Z_B (f_A + f_B)."""
    decay = torch.exp(-constants.alpha * distance)
    scale = 1.0 + constants.scaled * (distance - 1.0)
    return constants.zz * (scale * decay[0] + decay[1])


def core_slopes(
    distance: Tensor, ssss: Tensor, constants: CoreConstants
) -> list[tuple[Tensor, Tensor]]:
    """Exponents and Gaussians, and the derivatives of the extra repulsion with respect to them.

    Parameters
    ----------
    ssss : (P,)
        (ss|ss) in eV.
    """
    decay = torch.exp(-constants.alpha * distance)
    scale = 1.0 + constants.scaled * (distance - 1.0)
    outer = -constants.zz * distance * ssss
    slopes = [(constants.alpha, outer * torch.stack((scale * decay[0], decay[1])))]
    if constants.gaussians is not None:
        K, L, M = constants.gaussians
        displacement = distance.unsqueeze(1) - M
        shape = torch.exp(-L * displacement**2) * (constants.zz / distance).unsqueeze(1)
        slopes.append((K, shape))
        slopes.append((L, -K * displacement**2 * shape))
        slopes.append((M, 2.0 * K * L * displacement * shape))
    return slopes


def core_repulsion(
    distance: Tensor, ssss: Tensor, constants: CoreConstants, slopes: bool
) -> Tensor:
    """Extra repulsion (1, P), eV; with ``slopes`` (2, P), and its derivative per Angstrom.

    Parameters
    ----------
    distance : (P,) Angstrom
    ssss : (1 or 2, P)
        (ss|ss) in eV, and its derivative per Angstrom.
    """
    decay = torch.exp(-constants.alpha * distance)
    scale = 1.0 + constants.scaled * (distance - 1.0)
    factor = scale * decay[0] + decay[1]
    rows = [ssss[0] * factor]
    if slopes:
        steep = (constants.scaled - constants.alpha[0] * scale) * decay[0]
        steep = steep - constants.alpha[1] * decay[1]
        rows.append(ssss[1] * factor + ssss[0] * steep)
    if constants.gaussians is not None:
        K, L, M = constants.gaussians
        displacement = distance.unsqueeze(1) - M
        terms = K * torch.exp(-L * displacement**2)
        value = terms.sum(1) / distance
        rows[0] = rows[0] + value
        if slopes:
            steep = (L * displacement * terms).sum(1)
            rows[1] = rows[1] - (2.0 * steep + value) / distance
    return constants.zz * torch.stack(rows)
