"""Core-core repulsion written out for single pairs."""

import math

import numpy as np
import pytest
import torch

from ase_mlseqm.batch import Molecule, collate
from ase_mlseqm.nddo.integrals import geometry, integrals_and_slopes, prepare
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import METHODS, elements, supported, table_parameters
from ase_mlseqm.units import BOHR

PAIRS = [(7, 1), (8, 1), (1, 7), (6, 1), (1, 1), (7, 8), (6, 6), (9, 1), (16, 1), (35, 6), (17, 53)]


def pair(method, a, b, distance):
    """Repulsion beyond Z Z (ss|ss), its slope, and (ss|ss), of one pair."""
    batch = collate([Molecule(np.array([a, b]), np.array([[0, 0, 0], [0, 0, distance]]), 0, 1)])
    layout = build_layout(batch.numbers)
    constants = prepare(layout, table_parameters(method, layout.numbers))
    shape = geometry(layout, batch.positions[0])
    both = integrals_and_slopes(layout, constants, shape)
    values, slopes = both.row(0), both.row(1)
    w = (values.w_xx[:, 0, 0], values.w_xh[:, 0], values.w_hh)
    return float(values.core), float(slopes.core) / BOHR, float(torch.cat(w))


def explicit(method, a, b, distance, ssss):
    z = torch.tensor([a, b])
    p = table_parameters(method, z)
    charges = elements(z.device).core_charge[z].tolist()
    total = ssss * sum(
        math.exp(-float(p.alpha[k]) * distance)
        * (distance if (own in (7, 8) and other == 1) else 1.0)
        for k, (own, other) in enumerate(((a, b), (b, a)))
    )
    for K, L, M in zip(p.K.flatten(), p.L.flatten(), p.M.flatten(), strict=True):
        total += float(K) * math.exp(-float(L) * (distance - float(M)) ** 2) / distance
    return charges[0] * charges[1] * total


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_core_repulsion(method, a, b):
    for distance in (0.7, 1.1, 1.9, 3.3):
        core, slope, ssss = pair(method, a, b, distance)
        assert core == pytest.approx(explicit(method, a, b, distance, ssss), rel=1e-12)
        h = 1e-3
        values = []
        for k in (-2, -1, 1, 2):
            r = distance + k * h
            values.append(explicit(method, a, b, r, pair(method, a, b, r)[2]))
        numeric = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
        assert slope == pytest.approx(numeric, rel=1e-8, abs=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_gaussians_belong_to_am1_and_pm3(method):
    K = table_parameters(method, torch.tensor(sorted(supported(method)))).K
    assert bool((K != 0).any()) == (method != "MNDO")
