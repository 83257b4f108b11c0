"""One-centre terms: Coulomb and exchange within an atom, and the energy of isolated atoms."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from .constants import lasting
from .layout import Layout
from .parameters import Parameters
from .products import N_PRODUCTS, PRODUCTS, WEIGHT


def _integral(mu: int, nu: int, k: int, m: int) -> dict[int, float]:
    """(mu nu|k m) as coefficients of g_ss, g_sp, g_pp, g_p2, h_sp."""
    g_ss, g_sp, g_pp, g_p2, h_sp = range(5)
    first, second = sorted((mu, nu)), sorted((k, m))
    if first[0] == first[1] and second[0] == second[1]:
        n_s = [first[0], second[0]].count(0)
        if n_s:
            return {g_ss if n_s == 2 else g_sp: 1.0}
        return {g_pp if first == second else g_p2: 1.0}
    if first == second:
        # (p p'|p p') = (g_pp - g_p2) / 2 by rotational invariance
        return {h_sp: 1.0} if first[0] == 0 else {g_pp: 0.5, g_p2: -0.5}
    return {}


@functools.cache
@lasting
def _maps(device: torch.device) -> tuple[Tensor, Tensor]:
    """(5, 100) coefficients of the Coulomb and of the exchange matrix over packed products.

    Both act on packed densities in which an off-diagonal product counts twice.  Of the exchange it
    is one half.
    """
    coulomb = torch.zeros(5, N_PRODUCTS, N_PRODUCTS, dtype=torch.float64)
    exchange = torch.zeros_like(coulomb)
    for row, (mu, nu) in enumerate(PRODUCTS):
        for column, (k, m) in enumerate(PRODUCTS):
            for g, c in _integral(mu, nu, k, m).items():
                coulomb[g, row, column] += c
            for one, two in {(k, m), (m, k)}:
                for g, c in _integral(mu, one, nu, two).items():
                    exchange[g, row, column] += 0.5 * c / float(WEIGHT[column])
    return coulomb.flatten(1).to(device), exchange.flatten(1).to(device)


@dataclasses.dataclass(frozen=True)
class OneCenter:
    """One-centre terms of a batch.

    Attributes
    ----------
    parameters : (n, 7)
        :data:`ENERGY_PARAMETERS`; zero where hydrogen has none.
    coulomb, half_exchange : (n_heavy, 10, 10)
        Matrices over packed products of the heavy atoms, eV.
    repulsion_heavy : (n_heavy, 10, 10), repulsion_hydrogen : (n_hydrogen,)
        Coulomb minus half of the exchange: what a restricted density feels.
    hcore : (B * M,)
        U_ss and U_pp at the products, shifted by the repulsion of the atom's own core charge, so
        that the repulsion acts on populations minus core charges on the atom itself, too.
    isolated : (n,)
        Energies of the isolated atoms.
    """

    parameters: Tensor
    coulomb: Tensor
    half_exchange: Tensor
    repulsion_heavy: Tensor
    repulsion_hydrogen: Tensor
    hcore: Tensor
    isolated: Tensor


ENERGY_PARAMETERS = ("U_ss", "U_pp", "g_ss", "g_sp", "g_pp", "g_p2", "h_sp")
"""What one-centre energies depend on, linearly."""
HYDROGEN = ("U_ss", "g_ss")
"""Those that hydrogen has; its others may be not a number."""


@functools.cache
@lasting
def _u_map(device: torch.device) -> Tensor:
    """(2, 10): U_ss and U_pp at the packed products."""
    out = torch.zeros(2, N_PRODUCTS, dtype=torch.float64, device=device)
    for column, (mu, nu) in enumerate(PRODUCTS):
        if mu == nu:
            out[min(nu, 1), column] = 1.0
    return out


def one_center(parameters: Parameters, layout: Layout) -> OneCenter:
    """One-centre terms of all atoms (differentiable in the parameters)."""
    x, h = layout.heavy, layout.hydrogen
    missing, charge = layout.once("one centre", lambda: _fixed(layout))
    every = _energy_parameters(parameters).masked_fill(missing, 0.0)
    values, of_hydrogen = every[x], every[h]
    coulomb, half_exchange = (
        (values[:, 2:] @ table).view(-1, N_PRODUCTS, N_PRODUCTS) for table in _maps(x.device)
    )
    heavy, hydrogen = coulomb - half_exchange, 0.5 * of_hydrogen[:, 2]
    shifted = torch.addcmul(values[:, :2] @ _u_map(x.device), charge, heavy[:, :, 0])
    product_x, product_h = layout.product_index
    hcore = shifted.new_zeros(layout.n_molecules * layout.M)
    hcore = hcore.index_copy(0, product_x.flatten(), shifted.flatten())
    hcore = hcore.index_copy(0, product_h, of_hydrogen[:, 0] + hydrogen)
    isolated = (isolated_atoms(layout) * every).sum(1)
    return OneCenter(every, coulomb, half_exchange, heavy, hydrogen, hcore, isolated)


def _fixed(layout: Layout) -> tuple[Tensor, Tensor]:
    """Which of :data:`ENERGY_PARAMETERS` an atom lacks, (n, 7), and core charges (n_heavy, 1)."""
    of_hydrogen = torch.tensor([name in HYDROGEN for name in ENERGY_PARAMETERS])
    missing = (layout.numbers == 1).unsqueeze(1) & ~of_hydrogen.to(layout.numbers.device)
    return missing, layout.core_charge[layout.heavy].unsqueeze(1)


def isolated_atoms(layout: Layout) -> Tensor:
    """:func:`isolated_atom_coefficients` of the atoms of a layout."""
    return layout.once("isolated", lambda: isolated_atom_coefficients(layout.core_charge))


def isolated_atom_coefficients(core_charge: Tensor) -> Tensor:
    """dE_iso / d :data:`ENERGY_PARAMETERS`, (n, 7), of the neutral high-spin atoms' determinants
    s^2 p^k (hydrogen: s^1)."""
    s = core_charge.clamp(max=2.0)
    k = (core_charge - 2.0).clamp(min=0.0)
    alpha, beta = k.clamp(max=3.0), (k - 3.0).clamp(min=0.0)
    same_spin = 0.5 * (alpha * (alpha - 1) + beta * (beta - 1))
    other_spin = alpha * beta - beta
    # a pair of equal spin has g_p2 - (g_pp - g_p2) / 2
    g_pp = beta - 0.5 * same_spin
    g_p2 = 1.5 * same_spin + other_spin
    return torch.stack((s, k, s - 1.0, 2.0 * k, g_pp, g_p2, -k), 1)


def isolated_atom_energy(parameters: Parameters, core_charge: Tensor) -> Tensor:
    """Energy (n,), eV, of the neutral high-spin atoms; hydrogen's other parameters do not enter."""
    coefficients, values = isolated_atom_coefficients(core_charge), _energy_parameters(parameters)
    return torch.where(coefficients != 0, coefficients * values, 0.0).sum(1)


def _energy_parameters(parameters: Parameters) -> Tensor:
    """(n, 7), in the order of :data:`ENERGY_PARAMETERS`."""
    return torch.stack([getattr(parameters, name) for name in ENERGY_PARAMETERS], 1)


def one_center_coefficients(spin: Tensor, total: Tensor) -> Tensor:
    """dE_one / d :data:`ENERGY_PARAMETERS`, (n, 7), from packed populations.

    Parameters
    ----------
    spin, total : (S, n, 10), (n, 10)
        Of one spin, and of both.
    """
    coulomb, half_exchange = _maps(total.device)
    both = 2.0 / len(spin)
    pairs = (total.unsqueeze(2) * total.unsqueeze(1)).flatten(1) @ coulomb.T
    same = (spin.unsqueeze(3) * spin.unsqueeze(2)).sum(0).flatten(1) @ half_exchange.T
    return torch.cat((total @ _u_map(total.device).T, 0.5 * pairs - both * same), 1)
