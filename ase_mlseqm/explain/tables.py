"""CSV files and tables of the terminal."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from rich import box
from rich.markup import escape
from rich.table import Table

from ..files.frames import Frame
from ..runs.report import titled_table
from .correlation import Correlation
from .environments import Environments
from .parameters import AtomParameters, unit
from .statistics import Accuracy
from .survey import Survey

MAX_ROWS = 60
"""Atoms in a table of the terminal."""


@dataclasses.dataclass(frozen=True)
class Explained:
    """One structure of a file, its bonds (A, A), environments and parameters."""

    frame: Frame
    linked: np.ndarray
    environments: Environments
    parameters: AtomParameters

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; NaN where an atom does not have a parameter."""
        found = self.parameters
        return {
            "file": self.frame.file,
            "frame": self.frame.index,
            "formula": self.frame.atoms.get_chemical_formula(),
            "elements": self.frame.atoms.get_chemical_symbols(),
            "environments": self.environments.hybridisation.tolist(),
            "neighbours": self.environments.neighbours.tolist(),
            "parameters": {
                label: {
                    "unit": unit(label),
                    "value": found.values[:, k].tolist(),
                    "table": found.table[:, k].tolist(),
                    "correction": found.corrections[:, k].tolist(),
                }
                for k, label in enumerate(found.labels)
            },
        }


def write_parameters(path: Path, structures: Sequence[Explained]) -> None:
    """One line for every parameter of every atom of structures of one file."""
    names = ("value", "table", "correction")
    head = ("frame", "atom", "element", "environment", "neighbours", "parameter", "unit", *names)

    def lines() -> Iterable[tuple[Any, ...]]:
        for s in structures:
            found, around = s.parameters, s.environments
            symbols = s.frame.atoms.get_chemical_symbols()
            for a, k in np.argwhere(~np.isnan(found.values)).tolist():
                label = found.labels[k]
                atom = (s.frame.index, a, symbols[a], around.hybridisation[a], around.neighbours[a])
                numbers = (found.values[a, k], found.table[a, k], found.corrections[a, k])
                yield (*atom, label, unit(label), *(_text(x) for x in numbers))

    _write(path, head, lines())


def write_survey(path: Path, found: Survey) -> None:
    """One line for every parameter of every atom of a data set."""
    atoms = found.atoms
    head = ("molecule", "frame", "atom", "element", "environment", "neighbours")
    columns = (atoms.molecule, atoms.frame, atoms.atom, atoms.element)
    rows = list(zip(*columns, atoms.hybridisation, atoms.neighbours, strict=True))
    lines = (
        (*rows[n], atoms.labels[k], _text(atoms.values[n, k]))
        for n, k in np.argwhere(~np.isnan(atoms.values)).tolist()
    )
    _write(path, (*head, "parameter", "value"), lines)


def write_bonds(path: Path, found: Survey) -> None:
    """One line for every bond of a data set."""
    atoms, bonds = found.atoms, found.bonds
    lines = (
        (atoms.molecule[a], atoms.frame[a], kind, atoms.atom[a], atoms.atom[b])
        + (_text(length), _text(order) if np.isfinite(order) else "")
        for kind, a, b, length, order in zip(
            bonds.kind, bonds.first, bonds.second, bonds.length, bonds.order, strict=True
        )
    )
    _write(path, ("molecule", "frame", "bond", "first", "second", "length", "order"), lines)


def _text(number: float) -> str:
    return f"{number:.8f}"


def _write(path: Path, head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(lines)


def parameter_tables(structure: Explained, method: str, width: int) -> list[Table]:
    """Values and, below them, corrections of all atoms, in tables that fit into ``width``."""
    found, around = structure.parameters, structure.environments
    numbers = structure.frame.atoms.numbers
    per_table = max(1, (width - 20) // 11)
    tables = []
    for start in range(0, len(found.labels), per_table):
        columns = range(start, min(start + per_table, len(found.labels)))
        table = Table(title=escape(structure.frame.name), box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("atom")
        table.add_column("environment")
        for k in columns:
            head = f"{found.labels[k]}\n[dim]{unit(found.labels[k])}[/]"
            table.add_column(head, justify="right", no_wrap=True)
        for a in range(min(len(numbers), MAX_ROWS)):
            name = f"{chemical_symbols[numbers[a]]}{a}"
            kind = f"{around.hybridisation[a]}\n[dim]{around.neighbours[a]}[/]"
            table.add_row(name, kind, *(_cell(found, a, k) for k in columns))
        table.add_section()
        for z in np.unique(numbers):
            a = int(np.argmax(numbers == z))
            values = [_number(found.table[a, k]) for k in columns]
            table.add_row(chemical_symbols[z], f"{method} table", *values, style="dim")
        if len(numbers) > MAX_ROWS:
            table.caption = f"and {len(numbers) - MAX_ROWS} atoms more, see the files"
        tables.append(table)
    return tables


def _cell(found: AtomParameters, a: int, k: int) -> str:
    if np.isnan(found.values[a, k]):
        return ""
    return f"{_number(found.values[a, k])}\n[dim]{found.corrections[a, k]:+.4f}[/]"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def accuracy_table(found: dict[str, Accuracy]) -> Table:
    """How well the hybridisation can be read off the parameters."""
    table = titled_table("Hybridisation told from the parameters, molecules not seen")
    for head in ("element", "atoms", "molecules", "most frequent", "linear", "15 nearest"):
        table.add_column(head, justify="left" if head == "element" else "right")
    table.add_column("untrained:\nlinear", justify="right")
    table.add_column("untrained:\n15 nearest", justify="right")
    for element, a in found.items():
        table.add_row(
            element,
            str(sum(a.counts.values())),
            str(a.molecules),
            f"{a.baseline:.3f}",
            f"{a.linear:.3f} ({_range(a.linear_interval)})",
            f"{a.nearest:.3f} ({_range(a.nearest_interval)})",
            _range(a.untrained_linear),
            _range(a.untrained_nearest),
        )
    table.caption = "Untrained: networks with random weights, the least to the most accurate."
    return table


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f}–{max(values):.3f}" if values else "–"


def correlation_table(found: list[Correlation]) -> Table:
    """The closest correlation for every kind of bond, with its length and with its order."""
    table = titled_table(
        "Closest of all correlations of a parameter with bond length and bond order"
    )
    for head in ("bond", "with", "bonds", "molecules", "parameter", "Spearman", "Pearson"):
        justify: Any = "left" if head in ("bond", "with", "parameter") else "right"
        table.add_column(head, justify=justify, no_wrap=True)
    table.add_column("within", justify="right")
    best: dict[tuple[str, str], Correlation] = {}
    for c in found:
        key = (c.bond, c.target)
        if np.isfinite(c.spearman) and (
            key not in best or abs(c.spearman) > abs(best[key].spearman)
        ):
            best[key] = c
    for c in best.values():
        table.add_row(
            *(c.bond, c.target, str(c.bonds), str(c.molecules), f"{c.parameter}, {c.of}"),
            _with_interval(c.spearman, c.spearman_interval),
            _with_interval(c.pearson, c.pearson_interval),
            f"{c.within:+.2f}",
        )
    table.caption = (
        "95 % intervals from a bootstrap over molecules. Within: Pearson among bonds between the "
        "same hybridisations. The figure and the JSON file have all correlations."
    )
    return table


def _with_interval(value: float, ends: tuple[float, float]) -> str:
    return f"{value:+.2f} \\[{ends[0]:+.2f}, {ends[1]:+.2f}]"
