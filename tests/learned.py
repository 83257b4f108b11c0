"""Small learned Hamiltonians with random weights for the tests of ``nn`` and ``training``."""

from __future__ import annotations

import torch

from ase_mlseqm.batch import Molecule, collate
from ase_mlseqm.nddo.layout import Layout, build_layout
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig, LearnedHamiltonian
from ase_mlseqm.nn.hipnn import HIPNNConfig
from ase_mlseqm.nn.parameter_head import CORRECTIONS, PAPER
from ase_mlseqm.nn.weights import seeded

ALL = tuple(CORRECTIONS)
PARAMETERS = {"paper": PAPER, "all": ALL}


def learned(
    parameters: tuple[str, ...] = PAPER,
    order: int = 0,
    std: float = 0.3,
    seed: int = 0,
    **network,
) -> LearnedHamiltonian:
    """A Hamiltonian of 8 features whose read-outs and table have normal random entries."""
    sizes = {"n_features": 8, "n_sensitivities": 4, "n_atom_layers": 1, **network}
    config = HamiltonianConfig(HIPNNConfig(tensor_order=order, **sizes), parameters)
    model = seeded(config, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in (*(r.weight for r in model.network.network.read_outs), model.network.table):
            weight.normal_(0.0, std, generator=generator)
    return model


def atoms_of(*molecules: Molecule) -> tuple[Layout, torch.Tensor]:
    """Layout and (n, 3) positions of molecules in one batch."""
    batch = collate([Molecule(m.numbers, m.positions, 0, 1) for m in molecules])
    layout = build_layout(batch.numbers)
    return layout, batch.positions.flatten(0, 1)[layout.slot]
