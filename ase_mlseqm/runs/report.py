"""Tables and JSON of the command line."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..files.frames import Frame
from ..nddo.parameters import symbols
from ..nn.weights import ModelFile
from ..results import SinglePoint
from ..summary import jsonable
from ..units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL

MAX_ROWS = 50
MAX_COLUMNS = 3
SHORT = {
    "charge": "q",
    "uncertainty": "±",
    "largest force": "Fmax",
    "HOMO-LUMO gap": "gap",
    "heat of formation": "ΔHf",
}
HIDDEN = (("dipole", "e·Å"), ("SCF iterations", ""))
"""Names in, and what is left out of, a table with one line per molecule."""

MAE = ("force_mae", "energy_mae")

WIDTH = 120
"""Of tables that go into files and pipes."""


@dataclasses.dataclass
class Outcome:
    """One molecule of a run.

    Attributes
    ----------
    point : SinglePoint or None
        Result of the last geometry that was computed.
    converged : bool
        Of the SCF, and of the relaxation if there was one.
    message : str
        One sentence on how it ended.
    steps : int or None
        Steps of a relaxation.
    details : dict
        Results of the workflow by its name, for JSON.
    """

    frame: Frame
    point: SinglePoint | None
    converged: bool
    message: str
    steps: int | None = None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages and tables call it."""
        return self.frame.name

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; numbers that do not exist are None."""
        atoms = self.frame.atoms
        out: dict[str, Any] = {
            "file": self.frame.file,
            "frame": self.frame.index,
            "formula": atoms.get_chemical_formula(),
            "n_atoms": len(atoms),
        }
        if self.point is not None:
            out |= {k: v for k, v in self.point.to_dict().items() if v is not None}
            out["max_force"] = max_force(self.point)
            dipole = self.point.dipole
            if dipole is not None:
                out["dipole_debye"] = float(np.linalg.norm(dipole)) * E_ANGSTROM_TO_DEBYE
            heat = self.point.heat_of_formation
            if heat is not None:
                out["heat_of_formation_kcal_mol"] = heat * EV_TO_KCAL
        out["converged"] = self.converged
        out["message"] = self.message
        return jsonable(out | self.details)


def max_force(point: SinglePoint) -> float | None:
    """Length of the longest force, eV/Angstrom."""
    if point.forces is None:
        return None
    return float(np.linalg.norm(point.forces, axis=1).max(initial=0.0))


def _force_left(outcome: Outcome, point: SinglePoint) -> float | None:
    """The largest force; of a relaxation with constraints that which it had to make small."""
    relaxation = outcome.details.get("relaxation")
    if relaxation is not None and outcome.frame.atoms.constraints:
        return float(relaxation["max_force"])
    return max_force(point)


def quantities(outcome: Outcome) -> dict[tuple[str, str], str]:
    """What a table shows of a molecule, by name and unit."""
    point = outcome.point
    out = {("formula", ""): outcome.frame.atoms.get_chemical_formula()}
    if point is None:
        return out | {("converged", ""): "[bold red]NO[/]"}
    out["charge", "e"] = f"{point.charge:+d}" if point.charge else "0"
    out["2S+1", ""] = str(point.multiplicity)
    out["energy", "eV"] = _number(point.energy, 5)
    if point.uncertainty is not None:
        out["uncertainty", "eV"] = _number(point.uncertainty, 3)
    if point.forces is not None:
        out["largest force", "eV/Å"] = _number(_force_left(outcome, point), 4)
    if point.dipole is not None:
        length = float(np.linalg.norm(point.dipole))
        out["dipole", "D"] = _number(length * E_ANGSTROM_TO_DEBYE, 3)
        out["dipole", "e·Å"] = _number(length, 4)
    if point.gap is not None:
        out["HOMO-LUMO gap", "eV"] = _number(point.gap, 3)
    if point.heat_of_formation is not None:
        out["heat of formation", "kcal/mol"] = _number(point.heat_of_formation * EV_TO_KCAL, 3)
    if outcome.steps is not None:
        out["steps", ""] = str(outcome.steps)
    else:
        out["SCF iterations", ""] = str(point.iterations)
    out["converged", ""] = "yes" if outcome.converged else "[bold red]NO[/]"
    return out


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def titled_table(title: str) -> Table:
    """A table without columns; brackets in its title are letters like others."""
    return Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def results_table(outcomes: list[Outcome], title: str) -> Table:
    """Quantities down the page for a few molecules, molecules down the page for many."""
    rows = [quantities(outcome) for outcome in outcomes[:MAX_ROWS]]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    table = titled_table(title)
    if len(outcomes) <= MAX_COLUMNS:
        table.add_column("")
        table.add_column("", style="dim")
        for outcome in outcomes:
            table.add_column(escape(outcome.label), justify="right", overflow="fold")
        for key in keys:
            table.add_row(*key, *(row.get(key, "–") for row in rows))
        return table
    table.collapse_padding = True
    table.add_column("molecule", overflow="fold", min_width=16)
    keys = [key for key in keys if key not in HIDDEN]
    keys.sort(key=lambda key: key[0] != "converged")  # a narrow terminal cuts the last columns
    for name, unit in keys:
        table.add_column(f"{SHORT.get(name, name)}\n[dim]{unit}[/]", justify="right", no_wrap=True)
    for outcome, row in zip(outcomes, rows, strict=False):
        table.add_row(escape(outcome.label), *(row.get(key, "–") for key in keys))
    if len(outcomes) > MAX_ROWS:
        table.caption = f"and {len(outcomes) - MAX_ROWS} more, see the files"
    return table


def info_table(
    versions: dict[str, str], methods: dict[str, list[str]], devices: dict[str, str]
) -> Table:
    """What ``mlseqm info`` shows."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, entries in (
        ("versions", versions),
        ("methods", {name: " ".join(elements) for name, elements in methods.items()}),
        ("devices", devices),
    ):
        for row, (name, text) in enumerate(entries.items()):
            table.add_row(f"[bold]{title}[/]" if row == 0 else "", escape(name), escape(text))
        table.add_section()
    return table


def models_table(files: dict[str, ModelFile]) -> Table:
    """What ``mlseqm models`` shows."""
    table = Table(box=box.SIMPLE_HEAD)
    columns = ("model", "table", "elements", "states\ncharge/multiplicity", "trained on")
    errors_of = ("force MAE\nkcal/mol/Å", "energy MAE\nkcal/mol")
    for header in (*columns, *errors_of, "sha256"):
        table.add_column(header)
    for name, file in files.items():
        config, card = file.model.config, file.card
        errors = card.get("validation", {})
        states = sorted(file.model.states, key=lambda state: (abs(state[0]), state))
        levels = "; ".join(card.get("training", {}).get("levels", [])) or "not stated"
        table.add_row(
            escape(name),
            config.method,
            " ".join(symbols()[z] for z in config.elements),
            " ".join(f"{charge:+d}/{spin}".replace("+0", "0") for charge, spin in states),
            escape(levels),
            *(f"{EV_TO_KCAL * errors[key]:.2f}" if key in errors else "" for key in MAE),
            file.sha256[:12],
        )
    table.caption = "Errors on validation fragments; the model card in the documentation has more."
    return table


def console(stderr: bool = False) -> Console:
    """A console that is wide enough for the tables when it is no terminal."""
    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not found.is_terminal:
        found.width = max(WIDTH, shutil.get_terminal_size().columns)
    return found
