"""Test 9: how time and memory grow with the number of atoms."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.special import stdtrit

from .base import Advance, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method
from .records import Records
from .statistics import Interval
from .style import colours, legend, markers, new_figure, plain, save

FITTED = 60
"""Atoms from which on the exponent is fitted: overhead hides it in small molecules."""
REPEATS, REPEATED = 3, 1.0
"""A call shorter than so many seconds is timed so often, and the shortest counts."""
WARM_UP = 1
"""Carbon atoms of the first molecule, which loads what has to be loaded."""


class Scaling(TransferTest):
    """Time and memory of energy and forces of straight alkanes, each method in its own process."""

    name = "scaling"
    title = "Scaling"
    question = "How do time and memory of energy and forces grow with the number of atoms?"
    columns = {
        "atoms": "atoms of the alkane",
        "seconds": "wall-clock time of energy and forces, s",
        "memory": "largest memory of the process until then, less that of methane, MiB",
    }
    settings = ("max_atoms", "max_seconds", "device")
    needs_files = False
    paired = False

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Records[Atoms]:
        """Alkanes, each about twice the one before."""
        sizes = 2 ** np.arange(1, 20)
        return Records([alkane(int(n)) for n in sizes if 3 * n + 2 <= config.max_atoms])

    def compute(
        self,
        method: Method,
        data: Records[Atoms],
        config: TransferabilityConfig,
        advance: Advance,
    ) -> Outcome:
        """All sizes, until one takes too long or does not fit."""
        outcome = Outcome()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        systems = [alkane(WARM_UP), *data]
        child = context.Process(
            target=_measure, args=(theirs, method, systems, config.max_seconds), daemon=True
        )
        with _on_its_own():
            child.start()
        theirs.close()
        try:
            _collect(outcome, child, ours, systems, advance)
        finally:
            child.terminate()  # nothing happens to one that has ended
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Exponents of time and memory, and what the largest molecule took."""
        n = column(rows, "atoms")
        last = rows[int(n.argmax())] if rows else dict.fromkeys(self.columns, np.nan)
        return [
            Metric("exponent of time", "", exponent(n, column(rows, "seconds")), 2, None),
            Metric("exponent of memory", "", exponent(n, column(rows, "memory")), 2, None),
            Metric("largest molecule", "atoms", Interval(float(last["atoms"])), 0, None),
            Metric("its time", "s", Interval(float(last["seconds"])), 2, None),
            Metric("its memory", "MiB", Interval(float(last["memory"])), 0, None),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Both against the number of atoms, double logarithmic."""
        figure = new_figure(9.2, 4.0)
        panels = figure.subplots(1, 2)
        colour, marker = colours(rows), markers(rows)
        labels = (("seconds", "energy and forces (s)"), ("memory", "memory (MiB)"))
        for axes, (key, label) in zip(panels, labels, strict=True):
            for method, own in rows.items():
                x, y = column(own, "atoms"), column(own, key)
                axes.plot(
                    *(x, np.where(y > 0, y, np.nan)),
                    color=colour[method],
                    marker=marker[method],
                    markersize=5,
                    linewidth=1.3,
                    label=method,
                )
            axes.set(xscale="log", xlabel="atoms", ylabel=label)
            if any((column(own, key) > 0).any() for own in rows.values()):
                axes.set_yscale("log")
            plain(axes)
        legend(figure, panels[0])
        return save(figure, path)


@contextlib.contextmanager
def _on_its_own() -> Iterator[None]:
    """A process that starts here leaves Ctrl-C to its parent, and does not run a script without a
    guard once more, tests and all."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    in_charge = threading.current_thread() is threading.main_thread()  # of signals
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_charge else None
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def _collect(
    outcome: Outcome,
    child: BaseProcess,
    results: Connection,
    systems: Sequence[Atoms],
    advance: Advance,
) -> None:
    """What the process sends of every system, until it ends."""
    base = np.nan
    for k, atoms in enumerate(systems):
        case = f"{len(atoms)} atoms"
        try:
            seconds, memory, failed = results.recv()
        except EOFError:
            child.join()
            if child.exitcode != 0:
                outcome.fail(case, f"the process ended with code {child.exitcode}")
            return
        if failed:
            outcome.fail(case, failed)
            continue
        if k == 0:
            base = memory
            continue
        advance(1, f"{case}: {seconds:.2f} s")
        outcome.rows.append(
            {"case": case, "atoms": len(atoms), "seconds": seconds, "memory": memory - base}
        )
    child.join()


def _measure(
    results: Connection, method: Method, systems: Sequence[Atoms], max_seconds: float
) -> None:
    """Send seconds, largest memory so far (MiB) and the reason of a failure of every system."""
    for atoms in systems:
        seconds = np.inf
        for _ in range(REPEATS):
            began = time.perf_counter()
            (point,) = method.points([atoms])
            seconds = min(seconds, time.perf_counter() - began)
            if seconds > REPEATED:
                break
        results.send((seconds, _peak_memory(), point.failed))
        if seconds > max_seconds:
            break
    results.close()


def _peak_memory() -> float:
    """Largest memory that this process has had, MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage starts with the memory of the parent there
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return float(lines["VmHWM"].split()[0]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return np.nan
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def exponent(n: np.ndarray, y: np.ndarray) -> Interval:
    """Of y ~ n**exponent for large molecules, with Student's interval of 95 %."""
    good = (n >= FITTED) & (y > 0)
    if good.sum() < 3:
        return Interval(np.nan, count=int(good.sum()))
    x, z = np.log(n[good]), np.log(y[good])
    fit, covariance = np.polyfit(x, z, 1, cov="unscaled")
    rest = z - np.polyval(fit, x)
    free = len(x) - 2  # with few points far from a normal distribution
    error = stdtrit(free, 0.975) * np.sqrt(covariance[0, 0] * (rest @ rest) / free)
    return Interval(float(fit[0]), float(fit[0] - error), float(fit[0] + error), len(x))


def alkane(n_carbon: int) -> Atoms:
    """The straight alkane with this number of carbon atoms, all anti; standard bonds."""
    half = np.radians(112.0) / 2
    x, z = 1.53 * np.sin(half), 1.53 * np.cos(half)
    carbon = np.array([[k * x, 0.0, (k % 2) * z] for k in range(n_carbon)])
    up = np.where(np.arange(n_carbon) % 2, 1.0, -1.0)
    out, side = 1.09 * np.cos(np.radians(54.0)), 1.09 * np.sin(np.radians(54.0))
    hydrogen = [
        c + [0, s * side, u * out] for c, u in zip(carbon, up, strict=True) for s in (1, -1)
    ]
    # the ends point along the bond that would come next
    first = carbon[0] + 1.09 * np.array([-np.sin(half), 0.0, np.cos(half)])
    last = carbon[-1] + 1.09 * np.array([np.sin(half), 0.0, -up[-1] * np.cos(half)])
    numbers = [6] * n_carbon + [1] * (2 * n_carbon + 2)
    return Atoms(numbers=numbers, positions=[*carbon, *hydrogen, first, last])
