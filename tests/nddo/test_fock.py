"""Fock matrices against the textbook's sums over orbitals, and as derivatives of the energy."""

import itertools

import numpy as np
import pytest
import torch
from helpers import build, problem

from ase_mlseqm.batch import collate
from ase_mlseqm.nddo import energy as energies
from ase_mlseqm.nddo.fock import build_maps, fock_builder, split
from ase_mlseqm.nddo.integrals import integrals, prepare
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import elements, table_parameters

CLOSED = [build(n) for n in ("CH3CONH2", "H2", "CHFBrI", "PF3", "AlH3")]
CLOSED += [build("NH4", 1), build("HCOO", -1)]
OPEN = [build("CH3", 0, 2), build("O2", 0, 3), build("H2O", 1, 2), build("H2", 0, 3), build("SO2")]
PRODUCTS = {pair: k for k, pair in enumerate(itertools.combinations_with_replacement(range(4), 2))}


def one_center(mu, nu, k, m, g_ss, g_sp, g_pp, g_p2, h_sp):
    """(mu nu|k m) of orbitals s, x, y, z of one atom."""
    if mu == nu and k == m:
        if mu == k == 0:
            return g_ss
        if 0 in (mu, k):
            return g_sp
        return g_pp if mu == k else g_p2
    if sorted((mu, nu)) == sorted((k, m)):
        return h_sp if 0 in (mu, nu) else 0.5 * (g_pp - g_p2)
    return 0.0


def textbook(molecule, method, spins):
    """Fock matrices (S, N, N) of spin densities (S, N, N), and the energy, by sums."""
    batch = collate([molecule])
    layout = build_layout(batch.numbers)
    p = table_parameters(method, layout.numbers)
    ints = integrals(layout, prepare(layout, p), batch.positions[0])
    core = elements(layout.numbers.device).core_charge[layout.numbers].tolist()
    size = [4 if z > 1 else 1 for z in molecule.numbers]
    start = np.concatenate(([0], np.cumsum(size)))
    n = start[-1]
    total = spins.sum(0) * (2 / len(spins))
    h = np.zeros((n, n))
    repulsion = np.zeros((n, n, n, n))  # (mu nu|k m)
    for a, width in enumerate(size):
        o = start[a]
        values = [float(getattr(p, k)[a]) for k in ("g_ss", "g_sp", "g_pp", "g_p2", "h_sp")]
        for mu, nu, k, m in itertools.product(range(width), repeat=4):
            repulsion[o + mu, o + nu, o + k, o + m] = one_center(mu, nu, k, m, *values)
        for mu in range(width):
            h[o + mu, o + mu] = float((p.U_pp if mu else p.U_ss)[a])
    nuclear = 0.0
    for pair, (a, b) in enumerate(zip(layout.first.tolist(), layout.second.tolist(), strict=True)):
        if pair < layout.xh.start:
            w, beta = ints.w_xx[pair], ints.h_xx[pair]
        elif pair < layout.hh.start:
            row = pair - layout.xh.start
            w, beta = ints.w_xh[row].view(10, 1), ints.h_xh[row].view(4, 1)
        else:
            row = pair - layout.hh.start
            w, beta = ints.w_hh[row].view(1, 1), ints.h_hh[row].view(1, 1)
        i, j = start[a], start[b]
        for mu, nu in itertools.product(range(size[a]), repeat=2):
            first = PRODUCTS[min(mu, nu), max(mu, nu)]
            for k, m in itertools.product(range(size[b]), repeat=2):
                value = float(w[first, PRODUCTS[min(k, m), max(k, m)]])
                repulsion[i + mu, i + nu, j + k, j + m] = value
                repulsion[j + k, j + m, i + mu, i + nu] = value
            h[i + mu, i + nu] -= core[b] * float(w[first, 0])
        for k, m in itertools.product(range(size[b]), repeat=2):
            h[j + k, j + m] -= core[a] * float(w[0, PRODUCTS[min(k, m), max(k, m)]])
        for mu, k in itertools.product(range(size[a]), range(size[b])):
            h[i + mu, j + k] = h[j + k, i + mu] = float(beta[mu, k])
        nuclear += core[a] * core[b] * float(w[0, 0]) + float(ints.core[pair])
    coulomb = np.einsum("mnls,ls->mn", repulsion, total)
    focks = np.array([h + coulomb - np.einsum("mlns,ls->mn", repulsion, d) for d in spins])
    both = 2 / len(spins)
    energy = nuclear + 0.5 * both * sum(
        np.sum(d * (h + f)) for d, f in zip(spins, focks, strict=True)
    )
    return focks, energy


@pytest.mark.parametrize("method", ["MNDO", "PM3"])
@pytest.mark.parametrize(
    ("name", "unrestricted"),
    [("H2O", False), ("H2O", True), ("HCl", False), ("CH3Cl", True), ("SO2", False), ("H2", True)],
)
def test_against_sums_over_orbitals(method, name, unrestricted):
    """For random densities: no element of the Fock matrix or of the energy is left out."""
    molecule = build(name, 0, 1)
    part = problem([molecule], method, unrestricted)
    n = part.layout.N
    generator = torch.Generator().manual_seed(1)
    density = torch.randn(1 + unrestricted, 1, n, n, generator=generator, dtype=torch.float64)
    density = density + density.mT
    fock = part.builder(density)
    expected, energy = textbook(molecule, method, density[:, 0].numpy())
    np.testing.assert_allclose(fock[:, 0], expected, rtol=0, atol=1e-9)

    layout, maps = part.layout, part.builder.maps
    parameters = table_parameters(method, layout.numbers)
    constants = prepare(layout, parameters)
    ints = integrals(layout, constants, part.batch.positions[0])
    parts = split(layout, maps, density)
    atoms = energies.atom_densities(layout, parts)
    pair = energies.pair_energy(ints, energies.pair_coefficients(layout, parts))
    one = energies.one_center_energy(constants, atoms)
    assert float(pair.sum() + one.sum()) == pytest.approx(energy, rel=0, abs=1e-8)


@pytest.mark.parametrize(("molecules", "unrestricted"), [(CLOSED, False), (OPEN, True)])
def test_padding_stays_empty(molecules, unrestricted):
    """Padded orbitals lie above everything and do not couple."""
    part = problem(molecules, "AM1", unrestricted)
    shape = (1 + unrestricted, len(molecules), part.layout.N, part.layout.N)
    real = torch.arange(part.layout.N) < part.layout.n_orbitals.unsqueeze(1)
    both = real.unsqueeze(1) & real.unsqueeze(2)
    density = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    fock = part.builder((density + density.mT) * both)
    outside = fock.masked_fill(both, 0.0)
    diagonal = outside.diagonal(dim1=2, dim2=3)
    torch.testing.assert_close(outside, torch.diag_embed(diagonal), rtol=0, atol=0)
    assert float(diagonal[:, ~real].min()) > float(fock.masked_fill(~both, 0.0).max()) + 100


def test_rebuilding_the_maps_changes_nothing():
    part = problem(CLOSED, "PM3")
    layout = part.layout
    constants = prepare(layout, table_parameters("PM3", layout.numbers))
    ints = integrals(layout, constants, part.batch.positions.flatten(0, 1)[layout.slot])
    again = fock_builder(layout, build_maps(layout), constants, ints)
    density = torch.zeros(1, len(CLOSED), layout.N, layout.N, dtype=torch.float64)
    torch.testing.assert_close(again(density), part.builder(density), rtol=0, atol=0)


def test_selected_builders_give_the_same_fock_matrices():
    for molecules, unrestricted in ((CLOSED, False), (OPEN, True)):
        part = problem(molecules, "AM1", unrestricted)
        generator = torch.Generator().manual_seed(3)
        n_spin = 2 if unrestricted else 1
        shape = (n_spin, len(molecules), part.layout.N, part.layout.N)
        density = torch.randn(shape, generator=generator, dtype=torch.float64)
        density = density + density.mT
        whole = part.builder(density)
        for keep in ([0], [1, 3, 4], [len(molecules) - 1], list(range(1, len(molecules)))):
            index = torch.tensor(keep)
            some = part.builder.select(index)(density[:, index])
            torch.testing.assert_close(some, whole[:, index], rtol=0, atol=1e-10)
            twice = part.builder.select(torch.arange(1, len(molecules)))
            if keep[0] > 0:
                again = twice.select(index - 1)(density[:, index])
                torch.testing.assert_close(again, whole[:, index], rtol=0, atol=1e-10)


def test_fock_matrix_is_the_derivative_of_the_energy():
    """For any symmetric density, also one that is no solution; the energy is quadratic."""
    generator = torch.Generator().manual_seed(8)
    for molecules, unrestricted in ((CLOSED, False), (OPEN, True)):
        part = problem(molecules, "PM3", unrestricted)
        n_spin = 2 if unrestricted else 1
        shape = (n_spin, len(molecules), part.layout.N, part.layout.N)
        real = torch.arange(part.layout.N) < part.layout.n_orbitals.unsqueeze(1)
        both = (real.unsqueeze(1) & real.unsqueeze(2)).double()
        pair = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
        density, change = (0.3 * (x + x.mT) * both for x in pair)
        plus, minus = (
            part.builder.energy(d, part.builder(d)) for d in (density + change, density - change)
        )
        slope = 2.0 / n_spin * (part.builder(density) * change).sum((0, 2, 3))
        torch.testing.assert_close(0.5 * (plus - minus), slope, rtol=1e-11, atol=1e-8)
