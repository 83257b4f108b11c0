"""The network against a double loop over atoms, its symmetries, cutoff and neighbour lists."""

import numpy as np
import pytest
import torch
from helpers import build, rotation
from learned import atoms_of, learned
from numpy.polynomial.legendre import Legendre

from ase_mlseqm import InputError
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nn import hipnn, neighbours
from ase_mlseqm.nn.hipnn import HIPNNConfig, Interaction, surroundings

ORDERS = (0, 1, 2)
AMIDE = build("CH3CONH2")


def outputs(model, *molecules):
    """Outputs of all atoms, (n, k)."""
    with torch.no_grad():
        return model.network(*atoms_of(*molecules)).numpy()


def changed(molecule, positions=None, order=None):
    """The molecule with other positions, or with its atoms in another order."""
    order = np.arange(len(molecule.numbers)) if order is None else order
    positions = molecule.positions if positions is None else positions
    return Molecule(molecule.numbers[order], positions[order])


def cluster(n_side, spacing=3.0):
    """A cube of waters, each turned another way."""
    rng, water = np.random.default_rng(3), build("H2O", shake=0.0)
    places = spacing * np.array(list(np.ndindex(n_side, n_side, n_side)), dtype=float)
    positions = [water.positions @ rotation(rng).T + place for place in places]
    return Molecule(np.tile(water.numbers, len(places)), np.concatenate(positions))


@pytest.mark.parametrize("order", ORDERS)
class TestSymmetry:
    def test_rotation_reflection_translation(self, order):
        model, rng = learned(order=order), np.random.default_rng(0)
        expected = outputs(model, AMIDE)
        assert np.abs(expected).max() > 0.1
        turned = AMIDE.positions @ rotation(rng).T
        for positions in (turned, turned * [1, 1, -1], turned + [7.0, -20.0, 3.0]):
            np.testing.assert_allclose(
                outputs(model, changed(AMIDE, positions)), expected, atol=1e-12
            )

    def test_permutation(self, order):
        model = learned(order=order)
        shuffled = np.random.default_rng(1).permutation(len(AMIDE.numbers))
        np.testing.assert_allclose(
            outputs(model, changed(AMIDE, order=shuffled)),
            outputs(model, AMIDE)[shuffled],
            atol=1e-13,
        )

    def test_batch_of_mixed_sizes(self, order):
        model = learned(order=order)
        molecules = [build(name) for name in ("H2O", "CH3CONH2", "N", "CH3OH", "H2")]
        alone = np.concatenate([outputs(model, m) for m in molecules])
        np.testing.assert_allclose(outputs(model, *molecules), alone, atol=1e-13)


@pytest.mark.parametrize("order", ORDERS)
def test_tensors_are_irreducible(order):
    """By the addition theorem T_l(a) . T_l(b) = P_l(cos)."""
    vectors = np.random.default_rng(2).standard_normal((2, 50, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    a, b = hipnn._tensors(torch.from_numpy(vectors).mT.unsqueeze(1), order).squeeze(1).mT.numpy()
    assert a.shape == (50, (order + 1) ** 2)
    cos = (vectors[0] * vectors[1]).sum(1)
    for degree in range(order + 1):
        part = slice(degree**2, (degree + 1) ** 2)
        product = (a[:, part] * b[:, part]).sum(1)
        np.testing.assert_allclose(product, Legendre.basis(degree)(cos), atol=1e-14)


def interaction_by_loops(layer, cutoff, features, positions):
    """JCP 148, 241715, eqs. 4 to 6, and JCP 158, 184108: one interaction, atom by atom."""
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    centre, width = weights["sensitivity.centre"], weights["sensitivity.width"]
    n_in = features.shape[1]
    mix = weights["mix.weight"].reshape(-1, len(centre), n_in)
    out = features @ weights["own.weight"].T + weights["own.bias"]
    for i, at in enumerate(positions):
        moments = [np.zeros((3,) * degree + out.shape[1:]) for degree in ORDERS]
        for j, other in enumerate(positions):
            r = np.linalg.norm(other - at)
            if i == j or r >= cutoff:
                continue
            sensitivity = np.exp(-((1 / r - centre) ** 2) / (2 * width**2))
            sensitivity *= np.cos(np.pi * r / (2 * cutoff)) ** 2
            message = np.einsum("s,asf,f->a", sensitivity, mix, features[j])
            u = (other - at) / r
            second = np.sqrt(1.5) * (np.outer(u, u) - np.eye(3) / 3)
            for moment, tensor in zip(moments, (np.array(1.0), u, second), strict=True):
                moment += np.multiply.outer(tensor, message)
        out[i] += moments[0]
        for degree in range(1, layer.order + 1):
            square = (moments[degree] ** 2).reshape(-1, out.shape[1]).sum(0)
            norm = np.sqrt(square + layer.smoothing) - np.sqrt(layer.smoothing)
            out[i] += weights["moment"][degree - 1] * norm
    return out


@pytest.mark.parametrize("smoothing", [1e-3, 0.03])
@pytest.mark.parametrize("order", ORDERS)
def test_interaction_against_loops(order, smoothing):
    sizes = {"n_features": 8, "n_sensitivities": 4, "cutoff": 4.0}
    config = HIPNNConfig(tensor_order=order, smoothing=smoothing, **sizes)
    torch.manual_seed(order)
    layer, n_in = Interaction(config, 5), 5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    layout, positions = atoms_of(AMIDE)
    features = torch.randn(len(positions), n_in, dtype=torch.float64)
    with torch.no_grad():
        near = neighbours.neighbours(layout, positions, config.cutoff)
        around = surroundings(positions, near, config.cutoff, order)
        values = layer(features, around).numpy()
    expected = interaction_by_loops(layer, config.cutoff, features.numpy(), positions.numpy())
    np.testing.assert_allclose(values, expected, atol=1e-13)


def test_start_of_the_sensitivities():
    """The paper's: centres at equal steps of the inverse distance, from 4.0 to 0.65 Angstrom."""
    config = HIPNNConfig()
    assert (config.n_blocks, config.n_atom_layers, config.n_features) == (2, 3, 80)
    centre = hipnn.Sensitivity(config).centre.detach().numpy()
    assert len(centre) == 20
    np.testing.assert_allclose(centre, np.linspace(1 / 4.0, 1 / 0.65, 20))


@pytest.mark.parametrize("order", ORDERS)
def test_what_a_block_can_see(order):
    """Equal distances: angles need first moments, a square and a tetrahedron second ones."""
    model = learned(order=order, n_blocks=1)

    def centre(*directions):
        positions = np.array([(0, 0, 0), *directions], dtype=float)
        positions[1:] /= np.linalg.norm(positions[1:], axis=1, keepdims=True)
        numbers = np.array([6] + [1] * len(directions))
        return outputs(model, Molecule(numbers, positions))[0]

    angle = np.abs(centre((1, 0, 0), (-1, 0, 0)) - centre((1, 0, 0), (0, 1, 0))).max()
    square = centre((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))
    shape = np.abs(square - centre((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))).max()
    assert (angle > 1e-3) == (order > 0) and (angle < 1e-12) == (order == 0)
    assert (shape > 1e-3) == (order > 1) and (shape < 1e-12) == (order < 2)


class TestNeighbours:
    @pytest.mark.parametrize("order", [0, 2])
    def test_tree_and_all_pairs_agree(self, order, monkeypatch):
        model, water = learned(order=order), cluster(3)
        molecules = (water, build("N"), changed(water, water.positions * [1.0, 1.1, 0.9]))
        assert len(water.numbers) > neighbours.ALL_PAIRS
        near = outputs(model, *molecules)
        monkeypatch.setattr(neighbours, "ALL_PAIRS", 1000)
        np.testing.assert_allclose(near, outputs(model, *molecules), atol=1e-13)

    def test_lists_do_not_grow_with_the_system(self):
        lengths = []
        for n in (30, 60, 120):
            chain = Molecule(np.full(n, 6), np.arange(n)[:, None] * [1.4, 0.0, 0.0])
            layout, positions = atoms_of(chain)
            near = neighbours._near(layout, positions, 6.0)
            lengths.append(near.index.shape[1])
            i, _, j = near.real.nonzero().T
            distance = (positions[near.index[i, j]] - positions[i]).norm(dim=1)
            assert distance.max() <= 6.0 and (distance > 0).all()
        assert lengths == [8, 8, 8]  # four on either side

    def test_nobody_near(self):
        far = Molecule(np.full(70, 1), np.arange(70)[:, None] * [9.0, 0.0, 0.0])
        model = learned()
        alone = outputs(model, Molecule(np.array([1]), np.zeros((1, 3))))
        np.testing.assert_allclose(outputs(model, far), np.tile(alone, (70, 1)), atol=1e-13)


@pytest.mark.parametrize("order", ORDERS)
class TestCutoff:
    def test_smooth(self, order):
        """Values and first derivatives of an atom that moves through the cutoff."""
        model = learned(order=order)
        cutoff, numbers = model.network.cutoff, np.array([8, 6])

        def both(x):
            layout, positions = atoms_of(Molecule(numbers, np.array([[0, 0, 0], [x, 0, 0]])))
            positions.requires_grad_()
            values = model.network(layout, positions)
            slopes = [
                torch.autograd.grad(v, positions, retain_graph=True)[0][1, 0]
                for v in values.flatten()
            ]
            return values.detach().numpy().ravel(), np.array(slopes)

        beyond = np.concatenate(
            [outputs(model, Molecule(numbers[[k]], np.zeros((1, 3)))) for k in (0, 1)]
        )
        for x in (cutoff, cutoff + 1e-9, cutoff + 1.0):
            values, slopes = both(x)
            np.testing.assert_allclose(values, beyond.ravel(), atol=1e-14)
            np.testing.assert_array_equal(slopes, 0.0)
        values, slopes = both(cutoff - 1e-1)
        assert np.abs(slopes).max() > 1e-3
        for step in (1e-2, 1e-4, 1e-6):
            values, slopes = both(cutoff - step)
            assert np.abs(values - beyond.ravel()).max() < step**2 + 1e-13
            assert np.abs(slopes).max() < step

    def test_nothing_beyond_counts(self, order):
        model, nitrogen = learned(order=order), np.array([7])
        alone = outputs(model, Molecule(nitrogen, np.zeros((1, 3))))
        others = AMIDE.positions - [AMIDE.positions[:, 0].min(), 0.0, 0.0]

        def beside(x):
            positions = np.concatenate((np.zeros((1, 3)), others + [x, 0.0, 0.0]))
            return outputs(model, Molecule(np.append(nitrogen, AMIDE.numbers), positions))[:1]

        for x in (6.0, 8.0, 1e4):
            np.testing.assert_allclose(beside(x), alone, atol=1e-13)
        assert np.abs(beside(4.0) - alone).max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_blocks": 0},
        {"n_features": 0},
        {"n_sensitivities": 0},
        {"n_atom_layers": -1},
        {"tensor_order": 3},
        {"smoothing": 0.0},
        {"min_distance": 4.5},
        {"max_distance": 7.0},
    ],
)
def test_impossible_sizes(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        HIPNNConfig(**wrong)
