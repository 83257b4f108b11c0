"""The row of an evaluation in the log of all final tests."""

from __future__ import annotations

from accuracy_results import Evaluation


def log_row(run: Evaluation, name: str) -> dict[str, object]:
    """The row of one evaluation.

    Counts are of the frames of the set; metrics of those that converged with every method.
    """
    found = run.sets[name]
    row: dict[str, object] = {
        "date": run.date,
        "model": run.model,
        "sha256": run.sha256,
        "set": f"{name} (seed {run.seed})" if name == "heldout" else name,
        "data_sha256": found.sha256,
        "molecules": len({f.smiles for f in found.frames}),
        "frames": len(found.frames),
        "unconverged": len(found.unconverged),
    }
    # without a group no frame converged with every method, which is logged, too
    summary = found.groups.get("all")
    for method, metrics in summary.metrics.items() if summary else ():
        row |= {f"{method} {key}": f"{value.value:.6g}" for key, value in metrics.items()}
    return row
