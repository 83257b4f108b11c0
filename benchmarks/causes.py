"""Why a model errs: on frames that it was trained on, on others, and trained on little else.

    python benchmarks/causes.py --out benchmarks/results/causes.md

An error on others alone means that labels lack, one on both that the model did not learn them.
Whether it could is told by a training on a few of them:

    python benchmarks/causes.py --write narrow
    L=benchmarks/training_labels
    mlseqm train $L/narrow.yaml --from hipnn-pm3 --data narrow/torsions.extxyz \\
        --data $L/survey.extxyz --out narrow/torsions    # and so on
    python benchmarks/causes.py --narrow narrow/torsions narrow/reactions --out ...
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read, write
from pair_contacts import contacts
from report import Report

from ase_mlseqm import evaluate
from ase_mlseqm.models import model_file
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.training.split import split
from ase_mlseqm.workflows.transferability.gfn2 import GFN2

LABELS = Path(__file__).parent / "training_labels"
KCAL = units.kcal / units.mol
FRACTION = 0.05
"""Of the fragments that are validated, as in the training of the shipped model."""
NARROW = {
    "torsions": ("small", ("OO", "NN", "O=CO")),
    "stretches": ("small", ("C", "O=C=O")),
    "reactions": ("reactions", None),
}
CURVES = ("faces", "walls")
"""Files of `next` with three frames of every pair."""
Found = tuple[np.ndarray, list[np.ndarray]]


def learned(frames: list[Atoms], model: str) -> Found:
    """Energies, eV, and forces, eV/Angstrom, of a learned model."""
    results = evaluate(frames, model=model, properties=("energy", "forces"))
    return np.array([r.energy for r in results]), [r.forces for r in results]


def gfn2(frames: list[Atoms]) -> Found:
    """The same of GFN2-xTB."""
    method = GFN2()
    for atoms in frames:
        atoms.calc = method.calculator()  # one for each: they keep their first charge
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    return energies, [atoms.get_forces() for atoms in frames]


def errors(data: Dataset, rows: np.ndarray, found: Found) -> tuple[float, float, int]:
    """MAE of forces, that of energy differences of frames of a molecule, and of how many."""
    energies, forces = found
    force = np.mean([np.abs(forces[k] - data.forces[k]).mean() for k in rows])
    differences = []
    for molecule in np.unique(data.molecule[rows]):
        same = rows[data.molecule[rows] == molecule]
        off = energies[same] - np.array([data.energies[k] for k in same])
        one, other = np.triu_indices(len(same), 1)
        if len(one):
            differences.append(np.abs(off[one] - off[other]).mean())
    number = len(differences)
    return force / KCAL, np.mean(differences) / KCAL if number else np.nan, number


def by_kind(report: Report, model: str) -> None:
    """Errors on frames that were trained on, on validation frames, and on labels for the next
    training, beside GFN2-xTB's."""
    rows = []
    for file in (*sorted(LABELS.glob("*.extxyz")), *sorted(LABELS.glob("next/*.extxyz"))):
        data = read_labels([str(file)])
        frames = data.atoms(range(len(data)))
        ours, others = learned(frames, model), gfn2(frames)
        if file.parent == LABELS:
            sides = dict(zip(("trained", "validation"), split(data, FRACTION), strict=False))
        else:
            sides = {"not trained": np.arange(len(data))}
        for side, chosen in sides.items():
            force, energy, number = errors(data, chosen, ours)
            peer = errors(data, chosen, others)
            cells = (force, peer[0], energy, peer[1])
            row = ["–" if np.isnan(value) else f"{value:.2f}" for value in cells]
            rows.append((file.stem, side, len(chosen), *row[:2], number, *row[2:]))
    head = ("labels", "frames", "number", "forces", "GFN2-xTB", "molecules", "energies", "GFN2-xTB")
    report.table("MAE of forces, kcal/mol/Å, and of energy differences, kcal/mol", head, rows)


def by_curve(report: Report, model: str) -> None:
    """Errors of the contacts of pairs among the labels for the next training, and GFN2-xTB's."""
    rows = []
    for file in CURVES:
        frames = read(LABELS / "next" / f"{file}.extxyz", ":")
        right = contacts(frames, [atoms.get_forces() for atoms in frames])
        ours = contacts(frames, learned(frames, model)[1])
        others = contacts(frames, gfn2(frames)[1])
        row: list[object] = [file, int(np.isfinite(right).sum())]
        for found in (ours, others):
            off = np.abs(found - right)[np.isfinite(right)]
            known = off[np.isfinite(off)]
            row += [f"{known.mean():.2f}", f"{np.median(known):.2f}", len(off) - len(known)]
        rows.append(tuple(row))
    head = ("labels", "curves", "contacts", "median", "none", "GFN2-xTB", "median", "none")
    report.table("Contacts of pairs that were not trained on: MAE, Å, and its median", head, rows)


def narrow(report: Report, folders: list[Path]) -> None:
    """Errors in the first and in the last epoch of trainings on little else."""
    rows = []
    for folder in folders:
        steps = list(csv.DictReader((folder / "steps.csv").open()))
        row: list[object] = [folder.name, len(read(folder.with_suffix(".extxyz"), ":")), len(steps)]
        for column in ("force_mae", "energy_mae"):
            for epoch in (steps[0]["epoch"], steps[-1]["epoch"]):
                values = [float(s[column]) for s in steps if s["epoch"] == epoch]
                row.append(f"{np.mean(values) / KCAL:.2f}")
        rows.append(tuple(row))
    head = ("labels", "frames", "steps", "forces, first", "last", "energies, first", "last")
    title = "Trained on little else: MAE in the first and the last epoch, kcal/mol(/Å)"
    report.table(title, head, rows)


def select(folder: Path) -> None:
    """Write the frames of the narrow trainings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, wanted) in NARROW.items():
        frames = read(LABELS / f"{kind}.extxyz", ":")
        if wanted is None:
            names = sorted({atoms.info["smiles"] for atoms in frames})
            wanted = np.random.default_rng(0).permutation(names)[:25].tolist()
        chosen = [atoms for atoms in frames if atoms.info["smiles"] in wanted][:64]
        write(folder / f"{name}.extxyz", chosen, format="extxyz")


def main() -> None:
    """Parse arguments, compute, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="hipnn-pm3", help="name or file of a learned model")
    parser.add_argument("--write", type=Path, help="only write the frames of narrow trainings here")
    parser.add_argument("--narrow", type=Path, nargs="*", default=[], help="folders of trainings")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.write:
        select(options.write)
        return
    report = Report()
    report.text(f"{options.model} ({model_file(options.model).sha256[:12]}).")
    by_kind(report, options.model)
    by_curve(report, options.model)
    if options.narrow:
        narrow(report, options.narrow)
    report.write(options.out)


if __name__ == "__main__":
    main()
