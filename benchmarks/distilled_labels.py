"""Mix the labels of a file with what a committee of models says: better labels of the same frames.

    python benchmarks/distilled_labels.py ani1x_labels.h5 --model A --model B --out mixed.h5 \\
        --against dft_train.h5

The labels of `ani1x_labels.h5` are themselves of networks.  Models that were then trained on DFT
labels, too, err differently; the mean of both errs less than either (docs/training.md), and a
model trained on it learns what its teachers know together: ensemble knowledge distillation (Matin
et al., arXiv 2503.14293).  Energies become weight * label + (1 - weight) * mean of the models, with
the isolated atoms of the level of the file; forces likewise.  A frame that a model cannot do keeps
its label and is counted.  Layout, units (Hartree, Angstrom) and SMILES are those of the file.

`--against` prints the errors of both against other labels of the same frames, of training and of
validation fragments.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from ase_mlseqm import evaluate
from ase_mlseqm.models import model_file
from ase_mlseqm.training.blocks import as_text
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.isolated import known_level
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.split import split
from ase_mlseqm.units import EV_TO_KCAL, HARTREE

BLOCK = 40
"""Groups that are evaluated together."""


def mixed(
    group: h5py.Group, energies: np.ndarray, forces: np.ndarray, weights: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Energies (F,), forces (F, A, 3) of a group and its frames that kept their label.

    ``energies`` (M, F) and ``forces`` (M, F, A, 3) are those of the models, NaN where they failed.
    """
    old_energies, old_forces = group["energies"][()], group["forces"][()]
    taught = weights[0] * old_energies + (1 - weights[0]) * energies.mean(0)
    taught_forces = weights[1] * old_forces + (1 - weights[1]) * forces.mean(0)
    failed = ~np.isfinite(taught)
    taught[failed], taught_forces[failed] = old_energies[failed], old_forces[failed]
    return taught, taught_forces.astype(old_forces.dtype), int(failed.sum())


def said(
    numbers: np.ndarray, frames: list, models: int, isolated: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Total energies (M, F), Hartree, and forces (M, F, A, 3), Hartree/Angstrom, of the models."""
    apart = sum(isolated[chemical_symbols[z]] for z in numbers)
    nothing = np.full((len(numbers), 3), np.nan)
    energies = [np.nan if r.forces is None else r.atomization_energy for r in frames]
    forces = [nothing if r.forces is None else r.forces for r in frames]
    shape = (models, -1)
    return (
        np.reshape(energies, shape) / HARTREE + apart,
        np.reshape(forces, (*shape, len(numbers), 3)) / HARTREE,
    )


def block(
    names: Sequence[str], path: Path, models: Sequence[str], weights: tuple[float, float]
) -> list[tuple[str, np.ndarray, np.ndarray, int]]:
    """Name, energies, forces and number of failed frames of some groups."""
    torch.set_num_threads(1)
    with h5py.File(path, "r") as file:
        isolated = known_level(as_text(file.attrs["level"]))
        groups = [file[name] for name in names]
        atoms = [
            [
                Atoms(g["species"][()], x, info={"charge": int(g.attrs.get("charge", 0))})
                for x in g["coordinates"][()].astype(float)
            ]
            for g in groups
        ]
        flat = [a for frames in atoms for a in frames]
        results = [evaluate(flat, model=m, properties=("energy", "forces")) for m in models]
        found, start = [], 0
        for name, group, frames in zip(names, groups, atoms, strict=True):
            stop = start + len(frames)
            these = [r for of_model in results for r in of_model[start:stop]]
            energies, forces = said(group["species"][()], these, len(models), isolated)
            found.append((name, *mixed(group, energies, forces, weights)))
            start = stop
        return found


def compare(truth: str, files: Sequence[Path]) -> None:
    """Print errors of labels against others of the same frames, on both sides of the split."""
    good = read([truth])
    parts = split(good, 0.05, 0)
    for file in files:
        data = read([str(file)])
        known = {_frame(data, k): k for k in range(len(data))}
        for name, chosen in (("training", parts[0]), ("validation", parts[1])):
            pairs = [(k, known[_frame(good, k)]) for k in chosen if _frame(good, k) in known]
            if not pairs:
                continue
            energies = [abs(good.atomization[k] - data.atomization[j]) for k, j in pairs]
            forces = [abs(good.forces[k] - data.forces[j]).mean() for k, j in pairs]
            print(
                f"{truth}, {name}: {file.name} errs by {EV_TO_KCAL * np.mean(energies):.2f} "
                f"kcal/mol and {EV_TO_KCAL * np.mean(forces):.2f} kcal/mol/Angstrom "
                f"({len(pairs)} frames)"
            )


def _frame(data: Dataset, k: int) -> tuple[bytes, bytes]:
    return data.numbers[k].tobytes(), data.positions[k].round(3).tobytes()


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--energies", type=float, default=0.6, help="weight of those of the file")
    parser.add_argument("--forces", type=float, default=0.3, help="weight of those of the file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", nargs="*", default=[], help="labelled files")
    args = parser.parse_args()
    start = time.perf_counter()
    unfinished = args.out.with_suffix(".part")
    with h5py.File(args.file, "r") as old, h5py.File(unfinished, "w") as new:
        for name in old:
            old.copy(name, new)
        names = sorted(old, key=lambda name: len(old[name]["species"]))
        sums = ", ".join(
            f"{Path(model).name.removesuffix('.safetensors')} {model_file(model).sha256[:12]}"
            for model in args.model
        )
        new.attrs["units"] = old.attrs["units"]
        new.attrs["level"] = (
            f"{old.attrs['level']}; energies {args.energies:g} and forces {args.forces:g} times "
            f"that, the rest of both the mean of {sums}"
        )
        blocks = [names[k : k + BLOCK] for k in range(0, len(names), BLOCK)]
        work = partial(
            block, path=args.file, models=args.model, weights=(args.energies, args.forces)
        )
        done = failed = 0
        with ProcessPoolExecutor(args.jobs) as pool:
            for found in pool.map(work, blocks):
                for name, energies, forces, kept in found:
                    new[name]["energies"][...] = energies
                    new[name]["forces"][...] = forces
                    done, failed = done + len(energies), failed + kept
                print(f"{done} frames, {failed} failed, {time.perf_counter() - start:.0f} s")
    unfinished.rename(args.out)
    for file in args.against:
        compare(file, [args.file, args.out])


if __name__ == "__main__":
    main()
