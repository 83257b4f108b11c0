"""Point-charge multipoles of the one-centre charge distributions.

Dewar, Thiel, Theor. Chim. Acta 46 (1977) 89: separations D1 (sp dipole) and D2 (pp quadrupole)
and additive terms rho_l that give the one-centre limits of the two-centre integrals.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from ..units import HARTREE
from .constants import lasting

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


# Self-repulsions of the sp dipole and of the square pp quadrupole in units of their separation D:
# (1/s - a / sqrt(1 + s^2) + b / sqrt(2 + s^2)) / (c D), hartree, with s = rho / D.
_A, _B, _C = (1.0, 2.0), (0.0, 1.0), (4.0, 8.0)
_GRID = (-24.0, 24.0, 9601)  # of ln y, where y = c D times the integral


def _reduced(s: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """y(s) and its derivative; y falls monotonically."""
    inverse, side, diagonal = s.reciprocal(), (s * s + 1.0).rsqrt(), (s * s + 2.0).rsqrt()
    slope = s * (a * side**3 - b * diagonal**3) - inverse**2
    return inverse - a * side + b * diagonal, slope


@functools.cache
@lasting
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a, b, c as columns (2, 1), and ln s (2, G) on the grid of ln y, by bisection."""
    a, b, c = (torch.tensor(v, dtype=torch.float64).unsqueeze(1) for v in (_A, _B, _C))
    y = torch.linspace(*_GRID, dtype=torch.float64).exp().expand(2, -1)
    low, high = torch.full_like(y, -30.0), torch.full_like(y, 9.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = _reduced(middle.exp(), a, b)[0] > y
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    table = 0.5 * (low + high)
    return a.to(device), b.to(device), c.to(device), table.to(device)


def additive_terms(D: Tensor, targets: Tensor) -> Tensor:
    """rho (2, n) whose dipole and quadrupole repulsions equal ``targets``.

    A Newton step in logarithms from a table, without a graph; one more step with the derivative
    held fixed carries the gradient of the implicit function.

    Parameters
    ----------
    D : (2, n)
        D1 and D2, bohr.
    targets : (2, n)
        h_sp and h_pp, hartree.
    """
    a, b, c, table = _constants(D.device)
    y = c * D * targets
    with torch.no_grad():
        start, stop, size = _GRID
        place = (y.log() - start) * ((size - 1) / (stop - start))
        cell = place.clamp(0, size - 2).long()
        left = table.gather(1, cell)
        s = (left + (place - cell) * (table.gather(1, cell + 1) - left)).exp()
        value, slope = _reduced(s, a, b)
        s = s * torch.exp((y / value).log() * value / (s * slope))
        value, slope = _reduced(s, a, b)
    return D * (s - (value - y) / slope)


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
        targets = torch.stack((h_sp[index], h_pp)) / HARTREE
        rho1, rho2 = additive_terms(D_heavy.T, targets).unbind(0)
        D = D.index_copy(0, index, D_heavy)
        rho = rho.index_copy(0, index, torch.stack((rho0[index], rho1, rho2), 1))
    return Multipoles(D, rho)
