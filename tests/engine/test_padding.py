"""Molecules of all sizes in one batch: neither neighbours nor padding change a number."""

import numpy as np
import pytest
import torch
from helpers import TIGHT, build, moved, run, single
from mixture import MIXED, RESTRICTED, UNRESTRICTED, ground, same, shuffled

from ase_mlseqm import evaluate
from ase_mlseqm.batch import Batch, collate
from ase_mlseqm.model import PlainModel
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.parameters import METHODS
from ase_mlseqm.singlepoint import compute
from ase_mlseqm.solution import topology


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1])
def test_batch_against_single(method, seed):
    molecules, _ = shuffled(MIXED, seed)
    together = run(molecules, method, ("energy", "forces", "charges", "dipole"))
    for molecule, result in zip(molecules, together, strict=True):
        alone = single(molecule, method, ("energy", "forces", "charges", "dipole"))
        same(result, alone)
        assert result.forces.shape == (len(molecule.numbers), 3)
        np.testing.assert_allclose(result.charges, alone.charges, rtol=0, atol=1e-8)
        np.testing.assert_allclose(result.dipole, alone.dipole, rtol=0, atol=1e-8)


def in_one_batch(molecules, method, unrestricted, width=None):
    """All molecules in one padded batch, without the buckets of the engine."""
    model = PlainModel(method)
    batch = collate(molecules)
    if width is not None:
        extra = width - batch.numbers.shape[1]
        batch = Batch(
            torch.nn.functional.pad(batch.numbers, (0, extra)),
            torch.nn.functional.pad(batch.positions, (0, 0, 0, extra)),
            batch.charge,
            batch.multiplicity,
        )
    return compute(
        batch,
        model,
        topology(model, batch.numbers),
        unrestricted=unrestricted,
        properties=("energy", "forces"),
        settings=TIGHT,
    )


def forces_of(result, molecules):
    """Forces of every molecule of a batch."""
    sizes = [len(m.numbers) for m in molecules]
    return [part.numpy() for part in result.forces.split(sizes)]


@pytest.mark.parametrize(
    ("molecules", "unrestricted"), [(RESTRICTED, False), (UNRESTRICTED, True), (RESTRICTED, True)]
)
def test_all_sizes_padded_into_one_batch(molecules, unrestricted):
    result = in_one_batch([ground(m) for m in molecules], "AM1", unrestricted)
    singles = [single(m, "AM1", ("energy", "forces"), unrestricted=unrestricted) for m in molecules]
    for row, (forces, expected) in enumerate(
        zip(forces_of(result, molecules), singles, strict=True)
    ):
        assert float(result.energy[row]) == pytest.approx(expected.energy, rel=0, abs=1e-9)
        np.testing.assert_allclose(forces, expected.forces, rtol=0, atol=1e-8)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_extra_padding_changes_nothing(unrestricted):
    molecules = UNRESTRICTED if unrestricted else [ground(m) for m in RESTRICTED]
    plain = in_one_batch(molecules, "PM3", unrestricted)
    padded = in_one_batch(molecules, "PM3", unrestricted, width=30)
    torch.testing.assert_close(padded.energy, plain.energy, rtol=0, atol=1e-9)
    torch.testing.assert_close(padded.forces, plain.forces, rtol=0, atol=1e-8)


def test_padding_between_atoms():
    """Padding need not be at the end."""
    molecule = build("H2CO")
    numbers = torch.tensor([[0, 8, 0, 6, 1, 0, 1, 0]])
    positions = torch.zeros(1, 8, 3, dtype=torch.float64)
    positions[0, numbers[0] > 0] = torch.from_numpy(molecule.positions)
    model = PlainModel("PM3")
    batch = Batch(numbers, positions, torch.tensor([0]), torch.tensor([1]))
    result = compute(
        batch,
        model,
        topology(model, numbers),
        unrestricted=False,
        properties=("energy", "forces"),
        settings=TIGHT,
    )
    expected = single(molecule, "PM3", ("energy", "forces"))
    assert float(result.energy[0]) == pytest.approx(expected.energy, rel=0, abs=1e-9)
    np.testing.assert_allclose(result.forces, expected.forces, rtol=0, atol=1e-8)


@pytest.mark.parametrize("size", [2, 3, 50])
def test_batch_size_changes_nothing(size):
    rng = np.random.default_rng(2)
    molecule = build("CH3OH")
    many = [
        moved(molecule, molecule.positions + 0.05 * rng.standard_normal((6, 3)))
        for _ in range(size)
    ]
    for result, one in zip(run(many, "PM3", ("energy", "forces")), many, strict=True):
        same(result, single(one, "PM3", ("energy", "forces")))


def test_layout_counts():
    batch = collate([ground(m) for m in RESTRICTED])
    layout = build_layout(batch.numbers)
    for column, molecule in enumerate(RESTRICTED):
        heavy = int((molecule.numbers > 1).sum())
        hydrogen = len(molecule.numbers) - heavy
        assert int(layout.n_orbitals[column]) == 4 * heavy + hydrogen
        pairs = layout.molecule_sum(torch.ones(layout.n_pairs), layout.pair_molecule)[column]
        assert int(pairs) == len(molecule.numbers) * (len(molecule.numbers) - 1) // 2
    assert layout.n_pairs == sum(len(m.numbers) * (len(m.numbers) - 1) // 2 for m in RESTRICTED)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_cuda_against_cpu(method):
    properties = ("energy", "forces", "charges", "dipole", "mo_energies")
    cpu = run(MIXED, method, properties)
    gpu = evaluate(MIXED, method, properties, device="cuda", scf=TIGHT)
    for one, two in zip(gpu, cpu, strict=True):
        assert one.converged
        same(one, two, energy=1e-8, forces=1e-8)
        np.testing.assert_allclose(one.charges, two.charges, rtol=0, atol=1e-7)
        np.testing.assert_allclose(one.dipole, two.dipole, rtol=0, atol=1e-7)
        np.testing.assert_allclose(one.mo_energies, two.mo_energies, rtol=0, atol=1e-7)
