"""Tables of an evaluation, for its report and for the model card."""

from __future__ import annotations

import math
from collections.abc import Iterable

from accuracy_methods import LEARNED
from accuracy_metrics import COVERED, METRICS, Interval, Metric
from accuracy_results import TARGETS, Evaluation, FrameRecord, SetResult
from accuracy_sets import OPEN
from report import Report, markdown

EXPLAINED = f"""\
In brackets: {COVERED:g} % bootstrap intervals over molecules (frames of one molecule are drawn
together; the same draws for all methods). With few molecules they are too narrow. All numbers are
of the frames that converged with every method; the others are listed.

- Forces: errors per Cartesian component. Sizes count the heavy atoms of a frame.
- Energy differences: all pairs of frames of a molecule (equal SMILES), averaged over the pairs of
  each molecule and then over molecules with equal weight.
- Dipoles: length of the difference vector.
- Charges: Mulliken charges of all methods, against those of wB97X/6-31G\\*. They depend on the
  orbitals, so this compares bases as much as methods.
- Gaps of orbital energies depend on the kind of functional in the same way."""

SHIFTED = """\
Atomization energies: energy minus that of the isolated neutral atoms. "Shifted": after adding one
constant per element, the same for all molecules, fitted by least squares on {frames} training
frames of wB97X/6-31G\\*. Only the learned model was made for the raw number. PM3 and AM1 were
fitted to heats of formation at 298 K, so that zero-point and thermal energies are inside their
parameters, and neither they nor GFN2-xTB were fitted to isolated atoms; the constants take that
off and leave what such a method can be blamed for."""


FRAMES = """\
F: mean |force error| (kcal/mol/Å); E: signed error of the shifted atomization energy (kcal/mol)."""


MAIN = (
    "force_mae",
    "energy_difference_mae",
    "atomization_mae",
    "atomization_shifted_mae",
    "dipole_mae",
)
"""Metrics of the overview."""


def number(value: float, digits: int) -> str:
    """A number, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def cell(found: Interval, digits: int) -> str:
    """An estimate with its interval."""
    if math.isnan(found.value):
        return "–"
    low, high = number(found.low, digits), number(found.high, digits)
    return f"{found.value:.{digits}f} [{low}, {high}]"


def label(run: Evaluation, method: str) -> str:
    """The learned model by its name."""
    return run.model if method == LEARNED else method


def title(metric: Metric) -> str:
    """Name and unit."""
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def overview_table(run: Evaluation) -> str:
    """The main metrics of every method on every set, in one table."""
    rows = []
    for name in MAIN:
        for set_name, found in run.sets.items():
            values = [found.groups["all"].metrics[method][name] for method in run.methods]
            if not all(math.isnan(v.value) for v in values):
                cells = [cell(v, METRICS[name].digits) for v in values]
                rows.append([title(METRICS[name]), set_name, *cells])
    return markdown(["", "set", *(label(run, m) for m in run.methods)], rows)


def metric_table(run: Evaluation, found: SetResult, group: str = "all") -> str:
    """Every metric of every method, and the ratios."""
    summary = found.groups[group]
    rows = []
    for name, metric in METRICS.items():
        values = [summary.metrics[method][name] for method in run.methods]
        if not all(math.isnan(v.value) for v in values):
            rows.append([title(metric), *(cell(v, metric.digits) for v in values)])
        for other, ratio in summary.ratios.get(name, {}).items():
            if not math.isnan(ratio.value):
                row = [f"{metric.title}: {run.model} / {other}", cell(ratio, 2)]
                rows.append(row + [""] * (len(run.methods) - 1))
    return markdown(["", *(label(run, m) for m in run.methods)], rows)


def group_table(run: Evaluation, found: SetResult, metric: str = "force_mae") -> str:
    """One metric by kind and by size."""
    rows = [
        [
            group,
            summary.molecules,
            summary.frames,
            *(cell(summary.metrics[m][metric], METRICS[metric].digits) for m in run.methods),
        ]
        for group, summary in found.groups.items()
    ]
    header = ["frames of", "molecules", "frames", *(label(run, m) for m in run.methods)]
    return markdown(header, rows)


def frame_table(run: Evaluation, frames: Iterable[FrameRecord]) -> str:
    """Errors frame by frame (see FRAMES)."""
    rows = []
    for frame in frames:
        errors = [number(frame.force[m], 2) for m in run.methods]
        errors += [number(frame.shifted[m], 1) for m in run.methods]
        rows.append([frame.name, f"`{frame.smiles}`", *errors])
    header = ["frame", "SMILES", *(f"F {label(run, m)}" for m in run.methods)]
    return markdown(header + [f"E {label(run, m)}" for m in run.methods], rows)


def target_rows(run: Evaluation, names: Iterable[str]) -> list[list[str]]:
    """Set, target, limit, what was found, whether it was reached."""
    rows = []
    for name in names:
        for target in TARGETS.get(name, ()) if name in run.sets else ():
            found = target.found(run.sets[name].groups["all"])
            unknown = math.isnan(found.value)
            reached = "–" if unknown else "yes" if found.value <= target.limit else "no"
            limit = f"{target.limit:g}"
            rows.append([name, target.text, limit, cell(found, 2), reached])
    return rows


def target_table(run: Evaluation, names: Iterable[str]) -> str:
    """Targets beside what was found."""
    header = ["set", "target", "at most", "found", "reached"]
    return markdown(header, target_rows(run, names))


def shift_table(run: Evaluation) -> str:
    """The constants per element, eV."""
    elements = list(next(iter(run.shifts.values())))
    rows = [[label(run, m), *(number(run.shifts[m][e], 3) for e in elements)] for m in run.methods]
    return markdown(["constant, eV per atom", *elements], rows)


def contents(run: Evaluation, found: SetResult) -> str:
    """One paragraph on the frames, and those that did not converge."""
    summary = found.groups["all"]
    start = (
        f"{found.note} (sha256 `{found.sha256[:12]}`): {summary.frames} frames of "
        f"{summary.molecules} molecules, {summary.pairs} pairs of frames of a molecule. "
    )
    if not found.unconverged:
        return start + "All converged with every method."
    listed = ", ".join(
        f"{f.name} ({', '.join(label(run, m) for m in f.unconverged)})" for f in found.unconverged
    )
    return (
        f"{start}Another {len(found.unconverged)} did not converge with every method and are in "
        f"no number: {listed}."
    )


def write_report(report: Report, run: Evaluation) -> None:
    """The whole evaluation."""
    report.text(f"# Accuracy of {run.model}")
    report.text(f"{run.date}; model sha256 `{run.sha256}`; {run.versions}.")
    report.text(EXPLAINED)
    report.text(SHIFTED.format(frames=run.shift_frames))
    report.text(shift_table(run))
    report.text("## Overview")
    report.text(overview_table(run))
    if target_rows(run, run.sets):
        report.text("## Targets")
        report.text(target_table(run, run.sets))
        if {"validation", "large_val"} & set(run.sets):
            report.text("Targets are of `test` and `large`; on the other sets a preview.")
    for name, found in run.sets.items():
        report.text(f"## {name}")
        report.text(contents(run, found))
        report.text(metric_table(run, found))
        report.text(f"**Force MAE by kind and size, {METRICS['force_mae'].unit}**")
        report.text(group_table(run, found))
        shown = found.frames if name == OPEN else found.worst()
        what = "All frames" if name == OPEN else "Worst frames"
        report.text(f"**{what}.** {FRAMES}")
        report.text(frame_table(run, shown))
