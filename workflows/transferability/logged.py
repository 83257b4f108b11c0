"""Rows of the log of evaluations: one a method, test and data file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ase_mlseqm.evaluation_log import LEARNED, METHODS
from ase_mlseqm.models import model_file

from .labelled import LabelledTest
from .methods import Method, Semiempirical
from .run import Section

METRICS = {
    "force MAE": "force_mae",
    "energy difference MAE": "energy_difference_mae",
    "dipole error": "dipole_mae",
    "charge MAE": "charge_mae",
    "gap MAE": "gap_mae",
    "gap correlation": "gap_correlation",
}
"""Column of the metrics that have one."""


def log_rows(section: Section, methods: Sequence[Method]) -> Iterator[dict[str, object]]:
    """The rows of one test; metrics are those of all its files together.

    They are means over molecules, of the cases that all methods completed where the test is
    paired.
    """
    together = f" (with {len(section.files) - 1} more)" if len(section.files) > 1 else ""
    for method in methods:
        if method.name not in section.outcomes:
            continue
        outcome, metrics = section.outcomes[method.name], section.metrics[method.name]
        cases = {row["case"]: str(row.get("molecule", row["case"])) for row in outcome.rows}
        framed = isinstance(section.test, LabelledTest)  # cases are frames, as in nicotine[0]
        for failure in outcome.failures:
            name = failure.case.rpartition("[")[0] if framed else failure.case
            cases.setdefault(failure.case, name)
        model = method.options.model if isinstance(method, Semiempirical) else None
        known = [m for m in metrics if np.isfinite(m.interval.value)]
        found = [f"{m.name} {m.interval.value:.6g} {m.unit}".strip() for m in known]
        if section.skipped:
            found.append(f"broken records left out {len(section.skipped)}")
        row: dict[str, object] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": method.name,
            "sha256": model_file(model).sha256 if model else "",
            "molecules": len(set(cases.values())),
            "frames": len(cases),
            "unconverged": len(outcome.failures),
            "result": "; ".join(found),
        }
        kind = LEARNED if model else method.name
        if kind in METHODS:
            row |= {
                f"{kind} {METRICS[m.name]}": f"{m.interval.value:.6g}"
                for m in known
                if m.name in METRICS
            }
        for file, digest in section.files.items():
            name = f"transferability {section.test.name}: {Path(file).name}{together}"
            yield row | {"set": name, "data_sha256": digest}
