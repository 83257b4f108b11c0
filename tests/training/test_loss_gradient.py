"""The gradient of the loss against brute force: differences of the loss itself.

The loss is computed anew from energies and forces of the engine, as the paper defines it.
"""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import FOLLOW, STEPS, TIGHT, build, five_point, run
from learned import ALL, PAPER, atoms_of, learned
from small import CPU, batch_gradient, dataset, frames

from ase_mlseqm.batch import Molecule
from ase_mlseqm.scf.response import density_response
from ase_mlseqm.training import step
from ase_mlseqm.training.batches import collate
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.loss import LossConfig
from ase_mlseqm.training.step import GradientSettings, Pass

NAMES = ("H2O", "CH3CONH2", "NH3", "H2CO", "HCN")
BOUND = 1e-5


def pairs(*names):
    """Two molecules 3 Angstrom apart, twice, in both orders."""
    found = []
    for seed, order in enumerate((names, names[::-1])):
        a, b = (build(name, seed=seed) for name in order)
        shift = np.array([0, 0, 3.0 + np.ptp(a.positions[:, 2])])
        numbers = np.concatenate((a.numbers, b.numbers))
        found.append(Molecule(numbers, np.concatenate((a.positions, b.positions + shift))))
    return dataset(found)


def force_terms(force, halves):
    """Errors of atoms and of both molecules of a pair; no force on a molecule where not learned.

    ``halves`` has the atoms of the first molecule of each frame, and whether contacts are learned.
    """
    atoms, whole = [], []
    for error, (first, is_learned) in zip(force, halves, strict=True):
        for half in filter(len, np.split(error, [first])):
            atoms.append(half if is_learned else half - half.mean(0))
            if is_learned and 0 < first < len(error):
                whole.append(half.sum(0))
    return np.concatenate(atoms), np.array(whole)


def loss_of(model, data, loss, halves=None, guesses=None):
    """The loss of all frames, and their densities."""
    molecules = data.molecules(range(len(data)))
    settings = TIGHT if guesses is None else FOLLOW
    wanted = ("energy", "forces", "density", "dipole")
    results = run(molecules, model, wanted, settings, guesses=guesses)
    energy = np.array([r.atomization_energy for r in results]) - data.atomization
    force = [r.forces - f for r, f in zip(results, data.forces, strict=True)]
    force, whole = force_terms(force, halves or [(0, True)] * len(force))
    layout, positions = atoms_of(*molecules)
    with torch.no_grad():
        corrections = model.head.in_units(model.corrections(layout, positions)).numpy()
    # hydrogen has two of the paper's nine, and eleven of all eighteen (two Gaussians)
    heavy, hydrogen = (9, 2) if model.head.names == PAPER else (18, 11)
    n_corrections = sum(heavy if z > 1 else hydrogen for z in layout.numbers.tolist())
    value = loss.correction_weight * (corrections**2).sum() / n_corrections
    terms = [(loss.force_weight, force), (loss.energy_weight, energy)]
    if loss.dipole_weight:
        dipole = np.array([r.dipole for r in results]) - data.dipoles
        terms.append((loss.dipole_weight, dipole[~np.isnan(dipole)]))
    if loss.contact_weight:
        terms.append((loss.contact_weight, whole))
    for weight, errors in terms:
        root, mean = np.sqrt((errors**2).mean()), np.abs(errors).mean()
        value += weight * 2.0 * (loss.rmse_share * root + (1.0 - loss.rmse_share) * mean)
    return value, [r.density for r in results]


class BruteForce:
    """Differences of the loss along directions of the weights."""

    def __init__(self, model, data, loss, halves=None):
        self.model, self.data, self.loss, self.halves = model, data, loss, halves
        self.value, self.guesses = loss_of(model, data, loss, halves)
        self.weights = [w for w in model.network.parameters() if w.requires_grad]

    def along(self, direction, h=3e-4):
        """By five points, so near that no error changes its sign between them.

        Mean absolute errors have kinks there; at 1e-3 some are met.
        """
        values = []
        start = [w.detach().clone() for w in self.weights]
        for k in STEPS:
            with torch.no_grad():
                for weight, first, d in zip(self.weights, start, direction, strict=True):
                    weight.copy_(first + k * h * d)
            values.append(loss_of(self.model, self.data, self.loss, self.halves, self.guesses)[0])
        with torch.no_grad():
            for weight, first in zip(self.weights, start, strict=True):
                weight.copy_(first)
        return five_point(np.array(values), h)

    def error(self, gradient, layer=None, seed=0):
        """Relative error along a random direction of all weights, or of those of one layer."""
        generator = torch.Generator().manual_seed(seed)
        direction = [torch.randn(g.shape, generator=generator).double() for g in gradient]
        direction = [d * (layer in (None, k)) for k, d in enumerate(direction)]
        size = sum(float((d**2).sum()) for d in direction) ** 0.5
        direction = [d / size for d in direction]
        expected = self.along(direction)
        found = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
        # a projection may vanish by accident: at least the size that is typical of it
        chosen = torch.cat([g.flatten() for k, g in enumerate(gradient) if layer in (None, k)])
        typical = float(chosen.norm()) / len(chosen) ** 0.5
        return abs(found - expected) / max(abs(expected), typical)


CASES = {
    "paper": ((PAPER, 0, 0.3), NAMES),
    "all parameters, tensors": ((ALL, 2, 0.1), ("H2O", "H2CO", "HCN", "CH3OH")),
}


class TestAgainstBruteForce:
    @pytest.mark.parametrize("share", [0.5, 0.8])
    @pytest.mark.parametrize("case", CASES)
    def test_all_weights(self, case, share):
        model, data = learned(*CASES[case][0]), frames(*CASES[case][1])
        loss = LossConfig(1.0, 0.5, rmse_share=share, correction_weight=0.02)
        calculate = batch_gradient(model, data, loss=loss)
        result, gradient = calculate(np.arange(len(data)))
        assert result.unconverged == result.changed == 0
        brute = BruteForce(model, data, loss)
        assert result.loss == pytest.approx(brute.value, abs=1e-6)
        errors = [brute.error(gradient, seed=seed) for seed in range(3)]
        assert max(errors) < BOUND

    @pytest.mark.parametrize("others", [0.0, 1.0])
    def test_dipoles(self, others):
        """Alone and with the rest; those of one frame are not known."""
        model, data = learned(*CASES["paper"][0]), frames(*NAMES)
        dipoles = 0.5 * np.random.default_rng(0).standard_normal((len(data), 3))
        dipoles[1] = np.nan
        data = dataclasses.replace(data, dipoles=dipoles)
        loss = LossConfig(others, 0.5 * others, dipole_weight=0.7, correction_weight=0.0)
        result, gradient = (calculate := batch_gradient(model, data, loss=loss))(np.arange(5))
        brute = BruteForce(model, data, calculate.config.loss)
        assert result.loss == pytest.approx(brute.value, abs=1e-6)
        assert max(brute.error(gradient, seed=seed) for seed in range(3)) < BOUND

    def test_ions(self):
        """Cations, anions and a neutral molecule in one batch."""
        ions = (("NH4", 1), ("OH", -1), ("CN", -1), ("H2O", 0), ("CH3", 1))
        model, data = learned(*CASES["paper"][0]), dataset([build(*ion) for ion in ions])
        loss = LossConfig(1.0, 0.5, correction_weight=0.02)
        result, gradient = batch_gradient(model, data, loss=loss)(np.arange(len(data)))
        assert result.unconverged == result.changed == 0
        brute = BruteForce(model, data, loss)
        assert result.loss == pytest.approx(brute.value, abs=1e-6)
        assert max(brute.error(gradient, seed=seed) for seed in range(3)) < BOUND

    @pytest.mark.parametrize("kept", [False, True])
    def test_open_shells(self, kept):
        """Radicals, a triplet, a radical ion and a broken bond in one batch with closed shells."""
        hydrogen = Molecule(np.array([1, 1]), np.array([[0, 0, 0], [0.1, 0.2, 1.9]]), 0, 1, True)
        states = (("CH3", 0), ("O2", 0, 3), ("NO2", 0), ("NH3", 1), ("CH3O", 0))
        molecules = [*(build(*state) for state in states), hydrogen, build("H2O"), build("HCN")]
        model, data = learned(*CASES["paper"][0]), dataset(molecules)
        assert data.multiplicity.tolist() == [2, 3, 2, 2, 2, 1, 1, 1]
        assert data.unrestricted.tolist() == [True] * 6 + [False] * 2
        loss = LossConfig(1.0, 0.5, correction_weight=0.02)
        calculate = batch_gradient(model, data, loss=loss, keep_densities=kept)
        for _ in range(1 + kept):
            result, gradient = calculate(np.arange(len(data)))
        assert result.unconverged == result.changed == 0
        brute = BruteForce(model, data, loss)
        spins = [np.abs(np.trace(d[0] - d[-1])) for d in brute.guesses]
        assert np.round(spins, 6).tolist() == [1, 2, 1, 1, 1, 0, 0, 0]
        broken = brute.guesses[5]
        assert np.abs(broken[0] - broken[1]).max() > 0.5
        assert result.loss == pytest.approx(brute.value, abs=1e-6)
        assert max(brute.error(gradient, seed=seed) for seed in range(3)) < BOUND

    @pytest.mark.parametrize("learned_file", [0, 1])
    def test_contacts(self, learned_file):
        """Two files, of one of which the forces between molecules are learned."""
        data = Dataset.concatenate([pairs("H2O", "NH3"), pairs("HCN", "H2O"), frames("H2CO")])
        contacts = (not learned_file, bool(learned_file), True)
        halves = list(zip((3, 4, 3, 3, 0), np.repeat(contacts, (2, 2, 1)), strict=True))
        model = learned(*CASES["paper"][0])
        loss = LossConfig(0.7, 0.5, contact_weight=0.9, correction_weight=0.02)
        calculate = batch_gradient(model, data, loss=loss, contacts=contacts)
        result, gradient = calculate(np.arange(len(data)))
        brute = BruteForce(model, data, loss, halves)
        assert result.loss == pytest.approx(brute.value, abs=1e-6)
        assert max(brute.error(gradient, seed=seed) for seed in range(3)) < BOUND
        # what moves a molecule of the other file as a whole is not seen
        data.forces[2 * (1 - learned_file)][:3] += 0.3
        assert calculate(np.arange(len(data)))[0].loss == pytest.approx(result.loss, rel=1e-12)
        data.forces[2 * learned_file][:3] += 0.3
        assert calculate(np.arange(len(data)))[0].loss > 1.05 * result.loss

    def test_single_layers(self):
        parameters, names = CASES["all parameters, tensors"]
        model, data = learned(*parameters), frames(*names[:3])
        calculate = batch_gradient(model, data)
        _, gradient = calculate(np.arange(len(data)))
        brute = BruteForce(model, data, calculate.config.loss)
        errors = [brute.error(gradient, layer) for layer in range(len(gradient))]
        assert len(errors) > 20 and max(errors) < BOUND

    def test_frozen_densities_are_noticed(self, monkeypatch):
        """Displaced molecules with the density of the undisplaced ones: a bias, not noise."""

        def frozen(*args):
            found = density_response(*args)
            return dataclasses.replace(found, density=torch.zeros_like(found.density))

        model, data = learned(), frames(*NAMES)
        calculate = batch_gradient(model, data)
        brute = BruteForce(model, data, calculate.config.loss)
        monkeypatch.setattr(step, "density_response", frozen)
        result, gradient = calculate(np.arange(len(data)))
        assert result.changed == 0
        assert max(brute.error(gradient, seed=seed) for seed in range(3)) > 1e-3


def flat(gradient):
    return torch.cat([g.flatten() for g in gradient])


def with_stretched_co(data):
    """One more frame, the SCF of which needs more iterations than the others."""
    molecule = Molecule(np.array([6, 8]), np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]))
    one = data.select([0])
    return type(data).concatenate(
        [
            data,
            dataclasses.replace(
                one,
                numbers=[molecule.numbers],
                positions=[molecule.positions],
                forces=[np.ones((2, 3))],
            ),
        ]
    )


class TestLeftOut:
    LOSS = LossConfig(correction_weight=0.0)
    FEW = GradientSettings(max_iterations=25)

    def test_unconverged(self):
        data, model = with_stretched_co(frames(*NAMES)), learned()
        calculate = batch_gradient(model, data, loss=self.LOSS, chunk_size=3, gradient=self.FEW)
        good, expected = calculate(np.arange(len(NAMES)))
        result, gradient = calculate(np.arange(len(data)))
        assert (good.unconverged, result.unconverged, result.changed) == (0, 1, 0)
        for field in dataclasses.fields(result):
            if field.name not in ("unconverged", "correction"):
                value = pytest.approx(getattr(good, field.name), rel=1e-9, nan_ok=True)
                assert getattr(result, field.name) == value, field.name
        assert torch.isfinite(flat(gradient)).all()
        torch.testing.assert_close(flat(gradient), flat(expected), rtol=0, atol=1e-6)

    def test_nothing_converged(self):
        data = with_stretched_co(frames("H2O")).select([1])
        calculate = batch_gradient(learned(), data, loss=self.LOSS, gradient=self.FEW)
        result, gradient = calculate(np.arange(1))
        assert np.isnan(result.loss) and result.unconverged == 1
        assert not flat(gradient).any()

    def test_response_that_does_not_converge(self, monkeypatch):
        """Of the second molecule: its part of the forces is masked."""

        def failing(*args):
            found = density_response(*args)
            return dataclasses.replace(found, converged=torch.tensor([True, False, True]))

        def forces_only(scale):
            item = Pass(model, collate(data, np.arange(3), CPU), GradientSettings())
            item.first()
            v = item.force_errors() * scale[item.layout.molecule].unsqueeze(1)
            zero = torch.zeros(3, dtype=torch.float64)
            return item, flat(item.second(zero, v, zero[0]))

        data, model = frames("H2O", "H2CO", "NH3"), learned()
        all_of_them = torch.ones(3, dtype=torch.float64)
        plain, everything = forces_only(all_of_them)
        assert not plain.changed.any()
        # a molecule with v = 0 adds nothing
        skipped, others = forces_only(torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
        assert not skipped.changed.any()
        assert (everything - others).norm() > 0.1 * everything.norm()
        monkeypatch.setattr(step, "density_response", failing)
        masked, rest = forces_only(all_of_them)
        assert masked.changed.tolist() == [False, True, False]
        torch.testing.assert_close(rest, others, rtol=0, atol=1e-6)
        result, _ = batch_gradient(model, data, chunk_size=3)(np.arange(3))
        assert result.changed == 1

    def test_perfect_forces(self):
        """v = 0 for all: no displacement, no division by zero."""
        data, model = frames("H2O", "H2CO"), learned()
        settings = LossConfig(force_weight=0.0, energy_weight=0.0, correction_weight=0.0)
        result, gradient = batch_gradient(model, data, loss=settings)(np.arange(2))
        assert result.changed == 0 and result.force_rmse > 0.1
        assert torch.isfinite(flat(gradient)).all() and not flat(gradient).any()


@pytest.mark.parametrize(("chunk_size", "threads"), [(1, 1), (2, 2), (5, 1)])
def test_chunks_and_threads_do_not_matter(chunk_size, threads):
    """Errors couple the whole batch, however it is divided."""
    data, model = frames(*NAMES), learned()
    batch = np.arange(len(data))
    whole, expected = batch_gradient(model, data, chunk_size=10)(batch)
    result, gradient = batch_gradient(model, data, threads, chunk_size=chunk_size)(batch)
    assert result.loss == pytest.approx(whole.loss, rel=1e-10)
    torch.testing.assert_close(flat(gradient), flat(expected), rtol=0, atol=2e-6)


def test_frozen_table_has_no_gradient():
    """Weights that are not trained are left out."""
    model, data = learned(), frames("H2O")
    _, everything = batch_gradient(model, data)(np.arange(1))
    model.network.table.requires_grad_(False)
    _, rest = batch_gradient(model, data)(np.arange(1))
    assert len(rest) == len(everything) - 1
    torch.testing.assert_close(flat(rest), flat(everything[1:]), rtol=0, atol=1e-8)
