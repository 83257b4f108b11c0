"""Write the page on a model from its evaluations.

    python benchmarks/model_card.py final/accuracy.json [MORE.json ...] --start PRETRAINED

The evaluations (`accuracy.py`) are of the same model, of different sets.  `--start` names the
model that the training was started from, whose own training is then described, too; where the page
is still that model's, or already that of the model itself, it tells of these trainings itself.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_figures import plot_sizes
from accuracy_methods import LEARNED, PM3
from accuracy_metrics import METRICS
from accuracy_results import Evaluation
from accuracy_sets import OPEN
from accuracy_tables import (
    EXPLAINED,
    FRAMES,
    SHIFTED,
    cell,
    contents,
    frame_table,
    group_table,
    metric_table,
    overview_table,
    shift_table,
    target_table,
)
from report import Report, markdown

from ase_mlseqm.models import model_file
from ase_mlseqm.nn.weights import ModelFile
from ase_mlseqm.workflows.transferability.gfn2 import IPEA_SHIFT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "model_card.md"
LOG = ROOT / "docs" / "test_log.csv"
TITLES = {
    "test": "Test fragments",
    "large": "Larger than anything trained on",
    "validation": "Validation fragments",
    "large_val": "Large molecules for choosing between models",
    "heldout": "Fit error: test fragments with the labels of pre-training",
}
SOURCES = """\
Labels of `ani1x_labels.h5`: the mean of the eight ANI-1x networks (Smith, Nebgen, Lubbers, Isayev
and Roitberg, J. Chem. Phys. 148 (2018) 241733; MIT licence), a model of wB97X/6-31G\\* whose own
force error is about 2.3 kcal/mol/Å on frames like these and 3.0 on the large molecules. Labels of
`dft_train.h5`: wB97X/6-31G\\* computed with PySCF (see [Reference data](labels.md)). Both are
neutral closed shells of H, C, N and O with at most 18 atoms: minima of QM9 molecules
(Ramakrishnan, Dral, Rupp and von Lilienfeld, Sci. Data 1 (2014) 140022), conformers of common
organic fragments, and dimers of them, moved by Langevin dynamics at 200-1400 K (dimers up to
400 K). `mixed.h5` has the frames of `ani1x_labels.h5` with labels that are mixed with what earlier
networks say, which were trained on DFT labels, too (see
[Training](training.md#labels-of-networks-mended)). Other files are those of
`benchmarks/training_labels`, which tells how they were made: wB97X/6-31G\\* of structures that
these two lack. A fragment of four or more heavy atoms is on one side of the split into training,
validation and test frames only, alone and inside dimers."""
CHOICES = """\
Every choice (parameters, loss, data, when to stop) is made on validation fragments and the large
molecules of `large_val`. `test`, `large` and `heldout` are final tests: the script that evaluates
them, and `mlseqm transferability`, append every evaluation ever made to a log. Models in it, with
the number of their evaluations and their last errors of forces (kcal/mol/Å):"""
FINAL_SETS = ("test", "large", "heldout")


def merge(runs: list[Evaluation]) -> Evaluation:
    """One evaluation of all sets.

    Raises
    ------
    SystemExit
        When they are not of one model, or did not fit the same constants.
    """
    first, *others = runs
    sets = dict(first.sets)
    for run in others:
        if run.sha256 != first.sha256 or run.shifts != first.shifts:
            raise SystemExit(
                f"{run.date} and {first.date} are evaluations of different models, or with "
                "different constants: evaluate the sets of a card with one model and split"
            )
        sets |= run.sets
    return dataclasses.replace(first, sets={k: sets[k] for k in [*TITLES, OPEN] if k in sets})


def form(run: Evaluation) -> str:
    """What the model is."""
    config, network = run.config, run.config["network"]
    elements = ", ".join(next(iter(run.shifts.values())))
    tensors = {0: "none", 1: "l = 1", 2: "l = 1, 2"}[network["tensor_order"]]
    if network["tensor_order"]:
        tensors += f", smoothing {network['smoothing']:g}"
    rows = [
        ["Hamiltonian", config["method"]],
        ["elements", elements],
        ["parameters from the network", ", ".join(f"`{p}`" for p in config["parameters"])],
        ["table of the elements trained, too", "yes" if config["learn_table"] else "no"],
        [
            "blocks, atom layers in each, features, sensitivities",
            f"{network['n_blocks']}, {network['n_atom_layers']}, {network['n_features']}, "
            f"{network['n_sensitivities']}",
        ],
        ["tensor sensitivities", tensors],
        ["cutoff", f"{network['cutoff']:g} Å"],
        ["licence", "BSD-3-Clause, as the package"],
        ["sha256", f"`{run.sha256}`"],
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def with_dipoles(card: dict[str, Any]) -> bool:
    """Whether dipoles were trained on."""
    return bool(card.get("settings", {}).get("loss", {}).get("dipole_weight"))


def stage(title: str, card: dict[str, Any]) -> str:
    """One training, as its model file tells it."""
    training = card.get("training")
    if not training:
        return f"{title}: the model file does not say what it was trained on."
    files = ", ".join(f"`{name}` (`{digest[:12]}`)" for name, digest in training["files"].items())
    levels = " and ".join(training["levels"]).replace("*", "\\*")
    settings = card.get("settings", {})
    how = ""
    if settings:
        parts = {key: settings[key] for key in ("loss", "optimizer") if key in settings}
        told = [
            f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}"
            for p in parts.values()
            for k, v in p.items()
        ]
        lists = {key: settings.get(key) for key in ("repeats", "contacts")}
        told += [f"{key} {list(values)}" for key, values in lists.items() if values]
        if settings.get("tensor_order") is not None:
            told.append(f"tensor_order {settings['tensor_order']}")
        if settings.get("smoothing") is not None:
            told.append(f"smoothing {settings['smoothing']}")
        how = f" Settings: {', '.join(told)}."
    return (
        f"{title}: {training['training']} frames, and {training['validation']} for validation, of "
        f"{files}; {levels}; epoch {card['epoch']}, step {card['step']} "
        f"({', '.join(f'{k} {v}' for k, v in card.get('versions', {}).items())}).{how}"
    )


def latest(card: dict[str, Any]) -> list[str]:
    """The last training, or those from one start whose weights went into a mean."""
    parts = card.get("averaged", [])
    if not parts:
        return [stage("Fine-tuning", card)]
    same = [part for part in parts if part.get("start") == card["start"]]
    shares = ", ".join(f"{part['share']:g} of {part['sha256'][:12]}" for part in parts)
    return [
        *(stage(f"Fine-tuning ({part['sha256'][:12]})", part) for part in same),
        f"Mean of weights: {shares}; {card['start'][:12]} is what they were started from.",
    ]


def told(page: Path, digest: str | None) -> list[str]:
    """Paragraphs on the trainings of the model with this checksum, where the page is its own."""
    text = page.read_text() if page.exists() else ""
    if digest is None or f"| sha256 | `{digest}` |" not in text:
        return []
    section = text.partition("## Trained on\n")[2].partition("\n## ")[0]
    stages = ("It was started from", "Pre-training:", "Fine-tuning", "Training:", "Mean of")
    return [part for part in section.strip().split("\n\n") if part.startswith(stages)]


def history(run: Evaluation, earlier: list[ModelFile], before: list[str]) -> list[str]:
    """Paragraphs on the trainings, the first one first; ``before`` where they are known."""
    if before:
        return [*before, SOURCES]
    cards = {file.sha256: file.card for file in earlier}
    chain = [run.card]
    while (start := chain[-1].get("start")) in cards:
        chain.append(cards[start])
    titles = ["Training"] if len(chain) == 1 else ["Pre-training", *["Fine-tuning"] * len(chain)]
    out = [stage(t, c) for t, c in zip(titles, reversed(chain), strict=False)]
    if start:
        out.insert(0, f"It was started from the model with sha256 `{start}`.")
    return [*out, SOURCES]


def limits(run: Evaluation) -> list[str]:
    """Where it must not be trusted, with numbers where there are any."""

    def found(name: str, metric: str, group: str = "all", method: str = LEARNED) -> str:
        groups = run.sets[name].groups if name in run.sets else {}
        if group not in groups or method not in run.methods:
            return "not evaluated"
        unit, digits = METRICS[metric].unit, METRICS[metric].digits
        return f"{cell(groups[group].metrics[method][metric], digits)} {unit}".strip()

    near = "test" if "test" in run.sets else "validation"
    far = "large" if "large" in run.sets else "large_val"
    return [
        "**Other elements** than H, C, N and O are refused.",
        "**Ions and radicals** are computed with a warning. Force MAE of the frames below: cations "
        f"{found(OPEN, 'force_mae', 'cations')}, anions {found(OPEN, 'force_mae', 'anions')}, "
        f"radicals {found(OPEN, 'force_mae', 'radicals')}; neutral closed shells (`{near}`): "
        f"{found(near, 'force_mae')}. Proton affinities, ionization energies and electron "
        "affinities have the errors of the atomization energies below.",
        "**Breaking bonds, transition states**: few structures trained on are far from minima, "
        "and a closed shell cannot break a bond evenly. Where the status is "
        "[`unstable`](scf.md#restricted-solutions-that-are-not-the-lowest) ask for "
        "`unrestricted=True`, and check barriers against another method "
        "([how far they are off](transferability.md)).",
        f"**Larger molecules**: force MAE {found(far, 'force_mae')}, raw atomization energies "
        f"{found(far, 'atomization_mae')} (`{far}`). Errors of forces grow a little with the "
        "size, since larger molecules have other kinds of atoms; those of energies per heavy atom "
        "do not ([transferability](transferability.md#size)).",
        "**Dispersion**: there is no term for it, neither in PM3 nor in the labels. Long-range "
        "attraction, as in stacks and crystals, is missing.",
        "**Heats of formation**: energies are bare electronic ones. Add zero-point and thermal "
        "energies from a frequency calculation; PM3's heats must not be compared with them.",
        f"**Dipoles** were {'' if with_dipoles(run.card) else 'not '}trained on, **charges and "
        f"gaps** not (`{near}`): dipole error {found(near, 'dipole_mae')} "
        f"(PM3 {found(near, 'dipole_mae', method=PM3)}), charge MAE {found(near, 'charge_mae')} "
        f"(PM3 {found(near, 'charge_mae', method=PM3)}), gap MAE {found(near, 'gap_mae')} "
        f"(PM3 {found(near, 'gap_mae', method=PM3)}).",
        "**Excited states, solids, metals, condensed phases** were never looked at.",
    ]


def log_table(path: Path) -> str:
    """A line for every model that was ever evaluated: since when, how often, errors of forces."""
    models: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["sha256"]:
                models.setdefault(row["sha256"], []).append(row)
    lines = []
    for digest, rows in models.items():
        forces = {r["set"].split()[0]: r[f"{LEARNED} force_mae"] for r in rows}
        errors = [forces.get(name) for name in FINAL_SETS]
        lines.append(
            [rows[0]["date"][:10], f"`{rows[0]['model']}` `{digest[:12]}`", len(rows)]
            + [f"{float(e):.2f}" if e else "–" for e in errors]
        )
    header = ["since", "model", "evaluations", *(f"force MAE, {name}" for name in FINAL_SETS)]
    return markdown(header, lines)


def write_card(
    report: Report,
    run: Evaluation,
    earlier: list[ModelFile],
    before: list[str],
    picture: str,
    curves: Sequence[str] = (),
) -> None:
    """The page."""
    report.text(f"# Model card: {run.model}")
    report.text(
        f"Written by `benchmarks/model_card.py` from evaluations of {run.date[:10]} "
        f"({run.versions})."
    )
    if not set(run.sets) & {"test", "large"}:
        report.text("!!! warning\n    The final tests of this model have not been run yet.")
    report.text(
        "The Hamiltonian of PM3 with parameters that a network gives each atom from its "
        "surroundings ([how](learned.md)), for energies and forces of neutral closed-shell "
        "organic molecules and their complexes."
    )
    report.text(form(run))
    report.text("## Trained on")
    for paragraph in history(run, earlier, before):
        report.text(paragraph)
    for k, curve in enumerate(curves, 1):
        report.text(f"![Losses and errors of training {k}]({curve})")
    report.text("## Where it must not be trusted")
    report.text("\n".join(f"- {line}" for line in limits(run)))
    report.text("## Errors")
    report.text(EXPLAINED)
    report.text(SHIFTED.format(frames=run.shift_frames))
    report.text(shift_table(run))
    report.text("### Overview")
    report.text(overview_table(run))
    report.text(f"![Force MAE against the number of heavy atoms]({picture})")
    for name, heading in TITLES.items():
        if name in run.sets:
            report.text(f"### {heading} (`{name}`)")
            report.text(contents(run, run.sets[name]))
            report.text(metric_table(run, run.sets[name]))
            report.text(f"Force MAE by kind and size, {METRICS['force_mae'].unit}:")
            report.text(group_table(run, run.sets[name]))
    final = [name for name in run.sets if name in ("test", "large")]
    report.text("### What was to be reached")
    report.text(target_table(run, final or run.sets))
    if OPEN in run.sets:
        found = run.sets[OPEN]
        report.text("### Ions and radicals")
        report.text(
            "Ten of each at PM3 minima whose atoms are displaced at random, against "
            "wB97X/6-31G\\* (`benchmarks/ions_radicals.py`). No diffuse functions: the reference "
            "itself is poor for small anions. GFN2-xTB's energies of ions have the "
            f"{IPEA_SHIFT:g} eV per charge taken off that the program xtb takes off when it "
            "computes ionization potentials. " + contents(run, found)
        )
        report.text(group_table(run, found))
        report.text(group_table(run, found, "atomization_shifted_mae"))
        report.text(FRAMES)
        report.text(frame_table(run, found.frames))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path, nargs="+", help="accuracy.json")
    parser.add_argument("--start", nargs="*", default=[], help="models it was started from")
    parser.add_argument("--curves", nargs="*", type=Path, default=[], help="folders of trainings")
    parser.add_argument("--log", type=Path, default=LOG)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    run = merge([Evaluation.read(path) for path in options.results])
    picture = options.out.with_name("model_card_sizes.png")
    plot_sizes(run, picture)
    report = Report()
    own = [] if options.start else told(options.out, run.sha256)
    before = own or told(options.out, run.card.get("start"))
    curve = options.out.with_name("model_card_curves_{}.png").as_posix().format
    old = 0 if own and options.curves else len(before)
    pictures = [Path(curve(k)) for k in range(1, old + len(options.curves) + 1)]
    for folder, copy in zip(options.curves, pictures[old:], strict=True):
        shutil.copyfile(folder / "curves.png", copy)
    curves = [path.name for path in pictures if path.exists()]
    start = [model_file(name) for name in options.start]
    if before and not own:
        before += latest(run.card)
    write_card(report, run, start, before, picture.name, curves)
    report.text("## Final tests")
    if options.log.exists():
        report.text(CHOICES)
        report.text(log_table(options.log))
        report.text(f"[The log]({options.log.name}) has every evaluation with all its numbers.")
    else:
        report.text(f"{CHOICES.split(' Models in')[0]} There is none yet.")
    report.write(options.out)


if __name__ == "__main__":
    main()
