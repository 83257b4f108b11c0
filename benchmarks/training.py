"""Conformers per second of the training gradient on energies and forces, and where time goes.

    python benchmarks/training.py --data FILE [--device cuda --batch-size 1024] [--out FOLDER]

The frames are a fixed random list (`structures/training_frames.csv`); the accuracy of the SCF and
the displacement are those at which the gradient is tested against brute force
(tests/training/test_loss_gradient.py): the defaults of `GradientSettings`.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import resource
import time
from pathlib import Path

import numpy as np
import torch
from profiling import Clock, hooked
from report import Report, machine, versions

from ase_mlseqm.nn.hamiltonian import HamiltonianConfig
from ase_mlseqm.nn.parameter_head import CORRECTIONS, PAPER
from ase_mlseqm.nn.weights import seeded
from ase_mlseqm.training.batches import epoch_batches, n_orbitals
from ase_mlseqm.training.config import TrainConfig
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.parallel import Threads, World
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.step import GradientSettings
from ase_mlseqm.training.steps import BatchGradient

LIST = Path(__file__).parent / "structures" / "training_frames.csv"
TARGETS = {"cpu": 100, "cuda": 1500}
MODELS = {"paper's nine parameters": PAPER, "all parameters": tuple(CORRECTIONS)}

HOOKS = (
    ("index maps", "ase_mlseqm.training.step", "build_layout"),
    ("index maps", "ase_mlseqm.training.step", "build_maps"),
    ("network, forward", "ase_mlseqm.nn.hamiltonian", "LearnedHamiltonian.corrections"),
    ("constants of the parameters", "ase_mlseqm.training.step", "prepare"),
    ("integrals", "ase_mlseqm.solution", "integrals_and_slopes"),
    ("SCF: Fock builds", "ase_mlseqm.nddo.fock", "FockBuilder.__call__"),
    ("SCF: diagonalisation", "torch.linalg", "eigh"),
    ("SCF: DIIS", "ase_mlseqm.scf.mixing", "DIIS.extrapolate"),
    ("SCF: rest", "ase_mlseqm.solution", "solve"),
    ("response of the density", "ase_mlseqm.training.step", "density_response"),
    ("slope with the parameters", "ase_mlseqm.training.step", "value_gradient"),
    ("backward", "torch.autograd", "grad"),
)
REST = "rest"


def listed(data: Dataset, path: Path) -> np.ndarray:
    """Indices of the frames of the list."""
    first: dict[str, int] = {}
    for index, molecule in enumerate(data.molecule.tolist()):
        first.setdefault(data.names[molecule].rsplit("/", 1)[-1], index)
    with open(LIST, newline="") as file:
        rows = [(row["group"], int(row["frame"])) for row in csv.DictReader(file)]
    missing = [group for group, _ in rows if group not in first]
    if missing:
        raise SystemExit(f"{path} lacks the group {missing[0]} of {LIST.name}")
    return np.array([first[group] + frame for group, frame in rows])


def conformers_per_s(
    gradient: BatchGradient, batches: list[np.ndarray], device: torch.device
) -> tuple[float, int]:
    """Rate over all batches, and the molecules that were left out."""
    left_out = 0
    _wait(device)
    start = time.perf_counter()
    for batch in batches:
        result, _ = gradient(batch)
        left_out += result.unconverged + result.changed
    _wait(device)
    return sum(map(len, batches)) / (time.perf_counter() - start), left_out


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(device: torch.device) -> float:
    """Largest memory taken so far, MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def build(
    data: Dataset,
    names: tuple[str, ...],
    threads: int,
    device: torch.device,
    batch_size: int,
    keep: bool,
) -> BatchGradient:
    """The gradient of a new model, whose read-outs are not zero, as in the middle of a training."""
    config = TrainConfig(
        model=HamiltonianConfig(parameters=names), batch_size=batch_size, keep_densities=keep
    )
    model = seeded(config.model, 0)
    generator = torch.Generator().manual_seed(0)
    for layer in model.network.network.read_outs:
        noise = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
        layer.weight.data.copy_(0.01 * noise)
    sizes = n_orbitals(data)
    return BatchGradient(model.on(device), data, sizes, config, Threads(threads), World(), device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device, size = torch.device(options.device), options.batch_size
    torch.set_num_threads(1)
    threads = options.threads if device.type == "cpu" else 1
    full = read(options.data)
    chosen = listed(full, options.data)[: options.batches * size]
    data = full.select(chosen)
    batches = epoch_batches(n_orbitals(data), size, 0, 0)
    mean = np.mean([len(z) for z in data.numbers])

    report = Report()
    report.text(
        f"{machine(options.device)}; {threads} threads. {versions('ase-mlseqm', 'torch', 'numpy')}."
    )
    settings = ", ".join(
        f"{field.name} {getattr(GradientSettings(), field.name):g}"
        for field in dataclasses.fields(GradientSettings)
    )
    rows = []
    for title, names in MODELS.items():
        fresh = build(data, names, threads, device, size, keep=False)
        conformers_per_s(fresh, batches[:2], device)
        before = _memory(device)
        rate, left_out = conformers_per_s(fresh, batches, device)
        kept = build(data, names, threads, device, size, keep=True)
        conformers_per_s(kept, batches, device)
        again, _ = conformers_per_s(kept, batches, device)
        target = TARGETS[device.type]
        reached = "yes" if rate >= target else "no"
        rows.append((title, f"{rate:.0f}", target, reached, f"{again:.0f}", left_out))
        memory = _memory(device)
    report.table(
        f"Gradient of the loss on energies and forces, batches of {size}: conformers per second",
        ("model", "no densities kept", "target", "reached", "densities kept", "left out"),
        rows,
    )
    report.text(
        f"{len(data)} frames (mean {mean:.1f} atoms) of {options.data.name}. Settings: {settings}. "
        f"Largest memory {memory:.0f} MiB for {size} conformers at once, program and data "
        f"included ({before:.0f} MiB after the first two batches)."
    )
    clock = Clock()
    gradient = build(data, PAPER, 1, device, size, keep=False)
    gradient(batches[0])
    with hooked(clock, HOOKS), clock.part(REST):
        for batch in (timed := batches[:4]):
            gradient(batch)
            _wait(device)
    total = sum(clock.seconds.values())
    parts = list(dict.fromkeys([name for name, _, _ in HOOKS] + [REST]))
    report.table(
        "What the time goes into, one thread, the paper's nine parameters",
        ("part", "ms per conformer", "share"),
        [
            (
                part,
                f"{1000 * clock.seconds[part] / (len(timed) * size):.2f}",
                f"{clock.seconds[part] / total:.0%}",
            )
            for part in parts
        ],
    )
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        report.write(options.out / "training.md")


if __name__ == "__main__":
    main()
