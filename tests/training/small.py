"""Small data sets and trainings that the tests share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from helpers import build, run

from ase_mlseqm.batch import Molecule
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig, LearnedHamiltonian
from ase_mlseqm.nn.hipnn import HIPNNConfig
from ase_mlseqm.nn.weights import seeded
from ase_mlseqm.training.batches import n_orbitals
from ase_mlseqm.training.config import OptimizerConfig, TrainConfig
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.loss import LossConfig
from ase_mlseqm.training.parallel import Threads, World
from ase_mlseqm.training.steps import BatchGradient
from ase_mlseqm.training.trainer import Trainer

CPU = torch.device("cpu")


def dataset(molecules: Sequence[Molecule], method: str = "AM1") -> Dataset:
    """Frames whose labels are another method's atomization energies and forces."""
    results = run(molecules, method, ("energy", "forces"))
    return Dataset(
        numbers=[m.numbers for m in molecules],
        positions=[m.positions for m in molecules],
        energies=np.array([r.energy for r in results]),
        atomization=np.array([r.atomization_energy for r in results]),
        forces=[r.forces for r in results],
        charge=np.array([m.charge for m in molecules]),
        multiplicity=np.array([r.multiplicity for r in results]),
        unrestricted=np.array([r.unrestricted for r in results]),
        molecule=np.arange(len(molecules)),
        names=[str(k) for k in range(len(molecules))],
        smiles=[None] * len(molecules),
        level=[method],
        source=np.zeros(len(molecules), dtype=np.int64),
    )


def frames(*names: str, copies: int = 1) -> Dataset:
    """Shaken molecules by name, ``copies`` of each."""
    return dataset([build(name, seed=seed) for seed in range(copies) for name in names])


def trainer(
    out: Path, world: World | None = None, keep=None, device: torch.device = CPU, **changes
) -> Trainer:
    """Of a new Hamiltonian: 14 frames for training in 3 steps an epoch, 2 for validation."""
    data = frames("H2O", "NH3", "H2CO", "HCN", copies=4)
    network = HIPNNConfig(n_features=8, n_sensitivities=4, n_atom_layers=1)
    options = {
        "model": HamiltonianConfig(network),
        "optimizer": OptimizerConfig("muon", 5e-3, warm_up=3, average=0.9),
        "batch_size": 4,
        "chunk_size": 2,
        "epochs": 4,
    }
    config = TrainConfig(**(options | changes))
    every = np.arange(len(data))
    model = seeded(config.model, config.seed)
    return Trainer(
        model, data, every[2:], every[:2], config, out, world=world, keep=keep, device=device
    )


def batch_gradient(
    model: LearnedHamiltonian, data: Dataset, threads: int = 1, **changes
) -> BatchGradient:
    """With a large weight of the corrections, without densities from before."""
    options = {"keep_densities": False, "loss": LossConfig(correction_weight=0.02), "chunk_size": 2}
    config = TrainConfig(model=model.config, **(options | changes))
    return BatchGradient(model, data, n_orbitals(data), config, Threads(threads), World(), CPU)
