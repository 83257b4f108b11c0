"""What ``mlseqm phonons`` does: read, compute, write, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ..files.frames import Frame
from ..options import base_settings
from ..wholefile import named_errors
from ..workflows.phonons import PhononsConfig, PhononsResult, phonons
from .chunks import Workflow
from .frames import Account, each_frame
from .report import titled_table
from .run import Run

if TYPE_CHECKING:
    from ..cli.phonons import PhononsOptions

UNITS = {
    "energy": "eV",
    "forces, max_force": "eV/Angstrom",
    "positions, cell": "Angstrom",
    "masses": "u",
    "frequencies": "cm-1; imaginary ones are negative",
    "eigenvectors": "of the dynamical matrix at Gamma, of length one",
    "force_constants": "eV/Angstrom^2",
}
LEFT_OUT = ("eigenvectors", "force_constants", "config")
"""What the report of a run does not repeat."""


def phonon_runs(run: Run, specs: list[str], settings: PhononsOptions) -> int:
    """Phonons of all frames; the displacements of a chunk of them are one batch."""

    def write(frame: Frame, stem: str, result: PhononsResult) -> Account:
        _write(run, stem, result)
        if settings.figure:
            from ..workflows.phonon_figures import plot_phonons

            run.draw(plot_phonons, result, f"{stem}_phonons.png", frame.name)
        details = {k: v for k, v in result.to_dict().items() if k not in LEFT_OUT}
        return Account({"phonons": details}, result.messages, _table(frame, result))

    config = base_settings(settings, PhononsConfig)
    made = ("_phonons.csv", "_phonons.png", "_phonopy.yaml")
    workflow = Workflow("phonons", "phonons", phonons, PhononsResult, config, UNITS, made=made)
    return each_frame(run, specs, workflow, write)


def _write(run: Run, stem: str, result: PhononsResult) -> None:
    """The table of frequencies, and what phonopy's own programs read."""
    rows = ((str(k + 1), f"{value:.4f}") for k, value in enumerate(result.frequencies))
    run.write_csv(f"{stem}_phonons.csv", ("mode", "frequency [cm-1]"), rows)
    path = run.out / f"{stem}_phonopy.yaml"
    with named_errors(path):
        result.to_phonopy().save(path, settings={"force_constants": True})
    run.wrote(path)


def _table(frame: Frame, result: PhononsResult) -> Table:
    title = f"{frame.name}: {result.atoms.get_chemical_formula()}, Gamma"
    table = titled_table(title)
    for name, unit in (("mode", ""), ("frequency", "cm-1")):
        table.add_column(f"{name}\n[dim]{unit}[/]", justify="right")
    for index, value in enumerate(result.frequencies):
        shown = f"{value:.1f}" if value > -0.05 else f"{-value:.1f}i"
        table.add_row(str(index + 1), shown)
    table.caption = (
        f"{result.calculations} displacements, largest force {result.max_force:.1e} eV/Å"
    )
    return table
