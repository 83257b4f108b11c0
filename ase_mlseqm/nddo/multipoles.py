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
    """D1 and D2, (2, n) bohr, of atoms with an sp valence shell (eqs. 12 and 13)."""
    n = shell.to(zeta_s.dtype)
    inverse = (zeta_s + zeta_p).reciprocal()
    D1 = (2 * n + 1) / (3.0**0.5) * (4.0 * zeta_s * zeta_p * inverse**2) ** (n + 0.5) * inverse
    D2 = torch.sqrt((4 * n**2 + 6 * n + 2) / 20.0) / zeta_p
    return torch.stack((D1, D2))


# Self-repulsions of the sp dipole and of the square pp quadrupole in units of their separation D:
# sum_k q_k / sqrt(s^2 + k) / (c D), hartree, with s = rho / D and k = 0, 1, 2.
_Q, _C = ((1.0, -1.0, 0.0), (1.0, -2.0, 1.0)), (4.0, 8.0)
_GRID = (-24.0, 24.0, 9601)  # of ln y, where y = c D times the integral


def _reduced(s: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """y(s) and its derivative, (2, n); y falls monotonically."""
    inverse = torch.rsqrt(s * s + k)
    parts = q * inverse
    return parts.sum(0), (parts * inverse * inverse).sum(0) * -s


@functools.cache
@lasting
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q (3, 2, 1), k (3, 1, 1), c (2, 1), and ln s (2, G) on the grid of ln y, by bisection."""
    q = torch.tensor(_Q, dtype=torch.float64).T.unsqueeze(2)
    k = torch.arange(3, dtype=torch.float64).view(3, 1, 1)
    c = torch.tensor(_C, dtype=torch.float64).unsqueeze(1)
    y = torch.linspace(*_GRID, dtype=torch.float64).exp().expand(2, -1)
    low, high = torch.full_like(y, -30.0), torch.full_like(y, 9.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = _reduced(middle.exp(), q, k)[0] > y
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    table = 0.5 * (low + high)
    return q.to(device), k.to(device), c.to(device), table.to(device)


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
    q, k, c, table = _constants(D.device)
    y = c * D * targets
    with torch.no_grad():
        start, stop, size = _GRID
        log = y.log()
        place = (log - start) * ((size - 1) / (stop - start))
        cell = place.nan_to_num(0.0).clamp(0, size - 2).long()
        left, right = table.gather(1, cell), table.gather(1, cell + 1)
        s = torch.lerp(left, right, place - cell).exp()
        value, slope = _reduced(s, q, k)
        s = s * torch.exp((log - value.log()) * value / (s * slope))
        value, slope = _reduced(s, q, k)
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
    """Multipoles of n atoms; parameters in eV and 1/bohr, ``heavy`` (n_heavy,) are those with sp
    shells."""
    rho0 = (0.5 * HARTREE) / g_ss
    given = torch.stack((zeta_s, zeta_p, g_pp, g_p2, h_sp)).index_select(1, heavy)
    z_s, z_p, pp, p2, sp = given.unbind(0)
    D = separations(z_s, z_p, shell[heavy])
    h_pp = (0.5 * (pp - p2)).clamp(min=MIN_H_PP)
    rho = additive_terms(D, torch.stack((sp, h_pp)) * (1.0 / HARTREE))
    empty = rho0.new_zeros(len(rho0), 4)
    rest = empty.index_copy(0, heavy, torch.cat((D, rho)).T)
    return Multipoles(rest[:, :2], torch.cat((rho0.unsqueeze(1), rest[:, 2:]), 1))


def multipole_slopes(
    zeta_s: Tensor,
    zeta_p: Tensor,
    g_pp: Tensor,
    g_p2: Tensor,
    shell: Tensor,
    heavy: Tensor,
    atoms: Multipoles,
    by_atoms: Multipoles,
) -> tuple[Tensor, Tensor]:
    """Derivatives (n_heavy, 2) and (n_heavy, 3) with respect to zeta_s and zeta_p, and to g_pp,
    g_p2 and h_sp of the heavy atoms, of a sum whose derivatives with respect to ``atoms`` are
    ``by_atoms``.

    D1 and D2 are power laws of the exponents; in y(rho / D) = c D h both sides change.
    """
    q, k, c, _ = _constants(shell.device)
    given = torch.stack((zeta_s, zeta_p, g_pp, g_p2), 1)
    columns = (given, atoms.D, atoms.rho[:, 1:], by_atoms.D, by_atoms.rho[:, 1:])
    of_heavy = torch.cat(columns, 1).index_select(0, heavy).T
    zeta, pp, p2 = of_heavy[:2], of_heavy[2], of_heavy[3]
    D, rho, by_D, by_rho = of_heavy[4:].chunk(4)
    s = rho / D
    value, slope = _reduced(s, q, k)
    per_slope = by_rho / slope
    by_target = per_slope * D * D * (c / HARTREE)
    by_D = torch.addcmul(by_D + by_rho * s, per_slope, value) * D
    n = shell[heavy]
    by_zeta = by_D[0] * ((n + 0.5) / zeta - (2 * n + 2) / zeta.sum(0))
    by_zeta[1] -= by_D[1] / zeta[1]
    by_pp = by_target[1] * (0.5 * (0.5 * (pp - p2) >= MIN_H_PP))
    return by_zeta.T, torch.stack((by_pp, -by_pp, by_target[0]), 1)
