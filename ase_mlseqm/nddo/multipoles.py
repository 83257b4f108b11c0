"""Point-charge multipoles of the one-centre charge distributions.

Dewar, Thiel, Theor. Chim. Acta 46 (1977) 89: separations D1 (sp dipole) and D2 (pp quadrupole)
and additive terms rho_l that give the one-centre limits of the two-centre integrals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from ..units import HARTREE

MIN_H_PP = 0.1  # eV; MOPAC's lower bound of (g_pp - g_p2)/2 where rho_2 is derived (PM3 Cl)


@dataclasses.dataclass(frozen=True)
class Multipoles:
    """Charge separations and additive terms of n atoms, bohr.

    Attributes
    ----------
    D : (n, 2)
        D1 and D2; zero for hydrogen.
    rho : (n, 3)
        rho_0, rho_1, rho_2; the last two are zero for hydrogen.
    """

    D: Tensor
    rho: Tensor


def separations(zeta_s: Tensor, zeta_p: Tensor, shell: Tensor) -> Tensor:
    """D1 and D2, (n, 2) bohr, of atoms with an sp valence shell (eqs. 12 and 13)."""
    n = shell.to(zeta_s.dtype)
    ratio = 4.0 * zeta_s * zeta_p / (zeta_s + zeta_p) ** 2
    D1 = (2 * n + 1) / (3.0**0.5) * ratio ** (n + 0.5) / (zeta_s + zeta_p)
    D2 = torch.sqrt((4 * n**2 + 6 * n + 2) / 20.0) / zeta_p
    return torch.stack((D1, D2), -1)


def _dipole_integral(rho: Tensor, D1: Tensor) -> tuple[Tensor, Tensor]:
    """Self-repulsion of the sp dipole, hartree, and its derivative with rho."""
    far = (D1**2 + rho**2).rsqrt()
    return (1 / rho - far) / 4, (rho * far**3 - 1 / rho**2) / 4


def _quadrupole_integral(rho: Tensor, D2: Tensor) -> tuple[Tensor, Tensor]:
    """Self-repulsion of the square pp quadrupole, hartree, and its derivative with rho."""
    side, diagonal = (D2**2 + rho**2).rsqrt(), (2 * D2**2 + rho**2).rsqrt()
    value = (1 / rho - 2 * side + diagonal) / 8
    return value, rho * (2 * side**3 - diagonal**3) / 8 - 1 / (8 * rho**2)


def additive_term(
    integral: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], D: Tensor, target: Tensor
) -> Tensor:
    """Solve ``integral(rho, D) = target`` for rho (both integrals fall monotonically with rho).

    Bisection in ln(rho) followed by Newton steps, without a graph; one more Newton step with the
    derivative held fixed carries the gradient of the implicit function.
    """
    with torch.no_grad():
        low = torch.full_like(target, -12.0)
        high = torch.full_like(target, 8.0)
        for _ in range(12):
            middle = 0.5 * (low + high)
            above = integral(middle.exp(), D)[0] > target
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        rho = (0.5 * (low + high)).exp()
        for _ in range(5):
            value, slope = integral(rho, D)
            rho = rho - (value - target) / slope
        _, slope = integral(rho, D)
    return rho - (integral(rho, D)[0] - target) / slope


def multipoles(
    zeta_s: Tensor,
    zeta_p: Tensor,
    g_ss: Tensor,
    g_pp: Tensor,
    g_p2: Tensor,
    h_sp: Tensor,
    shell: Tensor,
    heavy: Tensor,
) -> Multipoles:
    """Multipoles of n atoms; parameters in eV and 1/bohr, ``heavy`` (n,) marks sp shells."""
    rho0 = 0.5 * HARTREE / g_ss
    index = heavy.nonzero().squeeze(1)
    D = rho0.new_zeros(len(rho0), 2)
    rho = torch.cat((rho0.unsqueeze(1), torch.zeros_like(D)), 1)
    if len(index):
        D_heavy = separations(zeta_s[index], zeta_p[index], shell[index])
        h_pp = (0.5 * (g_pp[index] - g_p2[index])).clamp(min=MIN_H_PP)
        rho1 = additive_term(_dipole_integral, D_heavy[:, 0], h_sp[index] / HARTREE)
        rho2 = additive_term(_quadrupole_integral, D_heavy[:, 1], h_pp / HARTREE)
        D = D.index_copy(0, index, D_heavy)
        rho = rho.index_copy(0, index, torch.stack((rho0[index], rho1, rho2), 1))
    return Multipoles(D, rho)
