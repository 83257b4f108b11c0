"""What the time of one warm step goes into: functions replaced by ones that keep time."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from programs import PROGRAMS
from report import Report
from torch.utils._python_dispatch import TorchDispatchMode

# the part of the time, the module and what to time there (a function or Class.method)
HOOKS = (
    ("integrals", "ase_mlseqm.solution", "geometry"),
    ("integrals", "ase_mlseqm.solution", "integrals_and_slopes"),
    ("SCF set-up", "ase_mlseqm.solution", "fock_builder"),
    ("Fock builds", "ase_mlseqm.nddo.fock", "FockBuilder.__call__"),
    ("diagonalisation", "torch.linalg", "eigh"),
    ("turns of orbitals", "ase_mlseqm.scf.orbitals", "Orbitals._turn"),
    ("density, commutator", "ase_mlseqm.scf.iterate", "density_matrix"),
    ("density, commutator", "ase_mlseqm.scf.iterate", "commutator"),
    ("DIIS", "ase_mlseqm.scf.mixing", "DIIS.extrapolate"),
    ("rest of the SCF", "ase_mlseqm.solution", "solve"),
    ("coefficients of integrals", "ase_mlseqm.nddo.energy", "pair_coefficients"),
    ("backward (forces)", "ase_mlseqm.solution", "position_gradient"),
    ("backward (forces)", "torch.autograd", "grad"),
    ("properties, results", "ase_mlseqm.engine", "unpack"),
    ("rest (input, batch, ASE)", "", ""),
)
REST = HOOKS[-1][0]
SHOWN = ("ethanol", "aspirin", "coronene", "c70", "peptide")
STEPS = 10


class Clock:
    """Exclusive seconds of every part; what is called inside another part counts once."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.inside: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block."""
        self.inside.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] += elapsed - self.inside.pop()
            self.calls[name] += 1
            if self.inside:
                self.inside[-1] += elapsed

    def timed(self, name: str, function: Callable) -> Callable:
        """The same function, timed."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return wrapped


@contextmanager
def hooked(clock: Clock, hooks: tuple = HOOKS[:-1]) -> Iterator[None]:
    """The functions of ``hooks`` keep time."""
    replaced = []
    for name, module, path in hooks:
        owner: Any = importlib.import_module(module)
        *parents, last = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        function = getattr(owner, last)
        replaced.append((owner, last, function))
        setattr(owner, last, clock.timed(name, function))
    try:
        yield
    finally:
        for owner, last, function in reversed(replaced):
            setattr(owner, last, function)


class CountOperations(TorchDispatchMode):
    """Counts the operations that reach the backend, the backward pass included."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.views = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        self.views += func.is_view
        return func(*args, **(kwargs or {}))


def profile(report: Report, structures: dict[str, Atoms], chain: Callable) -> None:
    """Tables of ms and percent of one warm step, by part."""
    ours = PROGRAMS["ours"]
    names = [name for name in structures if name in SHOWN]
    parts = list(dict.fromkeys(name for name, _, _ in HOOKS))
    cells: dict[str, list[str]] = {part: [] for part in parts}
    totals, builds, operations = [], [], []
    for name in names:
        atoms = structures[name]
        path = chain(atoms.positions, STEPS + 3)
        step = ours.start(atoms, ours.loose)
        for positions in path[:2]:
            step(positions)
        with CountOperations() as counter:
            step(path[2])
        operations.append(f"{counter.count} ({counter.count - counter.views})")
        plain, clocks = [], []
        for positions in path[3:]:
            clock = Clock()
            with hooked(clock), clock.part(REST):
                step(positions)
            clocks.append(clock)
        # the same steps without hooks say what these cost
        step(path[2])
        for positions in path[3:]:
            start = time.perf_counter()
            step(positions)
            plain.append(time.perf_counter() - start)
        total = float(np.mean([sum(clock.seconds.values()) for clock in clocks]))
        for part in parts:
            spent = float(np.mean([clock.seconds[part] for clock in clocks]))
            cells[part].append(f"{1e3 * spent:.2f} ({spent / total:.0%})")
        totals.append(f"{1e3 * total:.1f} ({1e3 * float(np.mean(plain)):.1f})")
        builds.append(f"{np.mean([clock.calls['diagonalisation'] for clock in clocks]):.1f}")
    rows = [[part, *cells[part]] for part in parts]
    rows += [
        ["total (without the hooks)", *totals],
        ["diagonalisations", *builds],
        ["operations issued (without views)", *operations],
    ]
    title = f"What one warm step takes: ms and percent, mean of {STEPS} steps, one thread"
    report.table(title, ["part", *names], rows)
