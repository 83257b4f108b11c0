"""Wall time of workflows: serial through ASE, as one batch, and with tblite through plain ASE.

    python benchmarks/workflows.py --out workflows.md
    python benchmarks/workflows.py --parts vibrations,replicas --steps 5 --replicas 4 --method PM3

Serial is what a user of ASE would write: every image or replica has a calculator of its own, which
starts from its last density.  Serial, batch and tblite (GFN2-xTB) do the same steps, relaxations to
the same forces.  The batch has as many threads as there are cores, the others, which calculate one
small molecule at a time, have one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.build import molecule
from programs import PROGRAMS
from report import Report, machine, versions
from workflow_parts import PARTS, Part, ours

TARGET, LEAST = 3.0, 16
"""How much faster a batch has to be than serial ASE, from which size on."""


def tblite(**keywords: Any) -> Any:
    """A new calculator of tblite, with forces as accurate as ours (see ``programs.py``)."""
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", accuracy=PROGRAMS["tblite"].loose, verbosity=0)


def timed(work: Callable[..., np.ndarray], threads: int, *arguments: Any) -> tuple[float, Any]:
    """Seconds of wall time with this many threads, and the result."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def measure(part: Part, options: argparse.Namespace) -> list[str]:
    """A line of the table."""
    batch, found = timed(part.batch, options.threads)
    serial, expected = timed(part.serial, 1, lambda **keywords: ours(options, **keywords))
    peer = None
    if not options.no_tblite:
        peer, _ = timed(part.serial, 1, tblite)
    ratio, aim = serial / batch, part.size >= LEAST
    return [
        *(part.name, str(part.size), f"{serial:.2f}", f"{batch:.2f}", f"{ratio:.1f}"),
        *(f"{TARGET:g}" if aim else "", ("yes" if ratio >= TARGET else "no") if aim else ""),
        *("–" if peer is None else f"{peer:.2f}", "–" if peer is None else f"{peer / batch:.1f}"),
        f"{np.abs(found - expected).max():.1e} {part.unit}",
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    add("--method", help="MNDO, AM1 or PM3; default: the learned model")
    add("--model", help="name or file of a learned model")
    add("--molecule", default="caffeine", help="of the vibrations: a file in examples/")
    add("--steps", type=int, default=50, help="of the path and of dynamics")
    add("--images", type=int, default=9, help="of the path")
    add("--paths", type=int, default=16, help="side by side")
    add("--molecules", type=int, default=100, help="to relax")
    add("--replicas", type=int, default=16)
    add("--structure", default="aspirin", help="of the replicas: a molecule in structures/")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the batch")
    add("--device", default="cpu", help="cpu or cuda")
    add("--no-tblite", action="store_true")
    add("--out", type=Path)
    options = parser.parse_args()
    options.no_tblite |= find_spec("tblite") is None
    return options


def main() -> None:
    options = arguments()
    report = Report()
    level = options.method or options.model or "hipnn-pm3"
    packages = versions("ase-mlseqm", "torch", "ase", "tblite")
    report.text(f"{machine(options.device)}, {options.threads} threads for the batch. {packages}.")
    atoms = molecule("CH3OH")
    for calculator in (ours(options), *([] if options.no_tblite else [tblite()])):
        atoms.calc = calculator
        atoms.get_forces()  # imports and the model's file are not part of the times
    rows = [measure(PARTS[name](options), options) for name in options.parts.split(",")]
    report.table(
        f"Seconds of wall time, {level} and GFN2-xTB",
        ("workflow", "batch", "serial", "batched", "ratio", "target", "reached")
        + ("tblite", "tblite/batched", "difference"),
        rows,
    )
    report.text(
        "The difference is the largest between the batch and serial ASE: ten highest frequencies, "
        "energies of the images and of the relaxed molecules, last positions of the replicas."
    )
    report.write(options.out)


if __name__ == "__main__":
    main()
