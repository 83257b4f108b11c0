"""What ``mlseqm neb`` and ``mlseqm ts`` do: compute, write, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from rich.markup import escape
from rich.table import Table

from ..calculator import MLSEQM
from ..errors import InputError
from ..files.frames import Frame, output_folder, write_frames
from ..options import base_settings
from ..units import EV_TO_KCAL
from ..workflows.activation import COUNTED_TWICE
from ..workflows.constraints import in_order
from ..workflows.neb import NEBConfig, NEBResult, neb
from ..workflows.reaction_figures import plot_irc, plot_profile
from ..workflows.side_by_side import side_by_side
from ..workflows.ts import TSConfig, TSResult, ts
from .reaction_files import Reaction, bare, read_guesses, read_reactions
from .report import Outcome, console, titled_table
from .run import Run, complain, progress_bar

if TYPE_CHECKING:
    from ..cli.reactions import NEBOptions

UNITS = {
    "energies, barriers, enthalpies, gibbs_energies, zero_point_energy": "eV",
    "entropies": "eV/K",
    "forces": "eV/Angstrom",
    "frequencies": "cm-1; imaginary ones are negative",
    "lengths": "Angstrom",
    "temperature": "K",
    "pressure": "Pa",
    "rate_constants": "1/s",
}
LEFT_OUT = ("positions", "numbers", "config", "minima")
"""What the report of a run does not repeat."""

Row = tuple[str, Sequence[float], bool]
"""Name, barriers in eV, and whether they are converged."""
Rows = dict[str, list[Row]]
"""Rows of the reactions that are done, by the stem of each."""
Say = Callable[[str], None]


def path_runs(run: Run, files: Sequence[str], settings: NEBOptions) -> int:
    """Paths of all reactions; what they ask for at the same time is one batch."""
    reactions = read_reactions(run, files, settings.reactions)
    _check_numbers(settings.symmetry_numbers, reactions)
    config = base_settings(settings, NEBConfig)
    rows: Rows = {}
    saddles = _Saddles(run, settings.saddles())

    def work(reaction: Reaction, calc: MLSEQM, say: Say) -> Outcome:
        file = run.out / f"{reaction.stem}_path.extxyz"
        if settings.ts and any(in_order(atoms).constraints for atoms in reaction.structures):
            raise InputError(
                "a path may have constraints, its transition state may not: leave out --ts"
            )

        def step(number: int, energies: list[float], force: float) -> None:
            top = max(energies) - energies[0]
            say(f"step {number}: barrier {top:.3f} eV, {force:.3f} eV/Å")

        result: NEBResult = neb(*reaction.structures, calc, config, path=file, callback=step)
        run.wrote(file)
        run.write_json(f"{reaction.stem}_neb.json", UNITS, result=result.to_dict())
        run.draw(plot_profile, result, f"{reaction.stem}_profile.png", reaction.name)
        numbers = [result.barrier, result.reverse_barrier, result.reaction_energy]
        rows[reaction.stem] = [(reaction.name, numbers, result.converged)]
        remarks = [f"{reaction.name}: {remark}" for remark in result.remarks]
        highest = result.images[result.top]
        outcome = _outcome(reaction, calc, highest, result, "neb")
        if not settings.ts or result.top in (0, len(result.images) - 1):
            # of what has not converged the message is printed, which has them
            saddles.notes += remarks if result.converged else []
            return outcome
        structures = [bare(atoms) for atoms in (highest, result.images[0], result.images[-1])]
        calc.reset()
        refined = saddles(dataclasses.replace(reaction, structures=structures), calc, say)
        good = outcome.converged and refined.converged
        saddles.notes += remarks if good else []
        return dataclasses.replace(
            outcome,
            converged=good,
            message=f"{outcome.message}; {refined.message}",
            details=outcome.details | refined.details,
        )

    def tables() -> list[Table]:
        header = ("barrier", "reverse barrier", "reaction energy")
        paths = _table(f"{run.level} neb, kcal/mol", header, reactions, rows)
        return [paths, *saddles.tables(reactions)]

    return _each(run, reactions, "paths", work, tables, saddles.notes)


def ts_runs(run: Run, files: Sequence[str], config: TSConfig) -> int:
    """Transition states of all guesses; what they ask for at the same time is one batch."""
    saddles = _Saddles(run, config)
    reactions = read_guesses(run, files)
    _check_numbers(config.symmetry_numbers, reactions)
    return _each(
        run,
        reactions,
        "transition states",
        saddles,
        lambda: saddles.tables(reactions),
        saddles.notes,
    )


def _check_numbers(symmetry_numbers: Sequence[int], reactions: Sequence[Reaction]) -> None:
    if symmetry_numbers and len(reactions) > 1:
        raise InputError(
            f"--symmetry-numbers are those of one transition state, and there are "
            f"{len(reactions)}: compute it alone (what is done is kept)"
        )


class _Saddles:
    """Refines transition states, writes them, and keeps what to report."""

    def __init__(self, run: Run, config: TSConfig) -> None:
        self.run = run
        self.config = config
        self.rows: Rows = {}
        self.notes: list[str] = []

    def __call__(self, reaction: Reaction, calc: MLSEQM, say: Say) -> Outcome:
        guess, *ends = reaction.structures
        reactant, product = ends or (None, None)
        file = self.run.out / f"{reaction.stem}_ts.checkpoint.json"
        result: TSResult = ts(
            guess,
            calc,
            self.config,
            reactant=reactant,
            product=product,
            checkpoint=file,
            callback=say,
        )
        self.run.wrote(file)
        self._write(reaction, result)
        self._remember(reaction, result)
        return _outcome(reaction, calc, result.atoms, result, "ts")

    def _write(self, reaction: Reaction, result: TSResult) -> None:
        run, stem = self.run, reaction.stem
        for end in ("minima.extxyz", "irc.extxyz", "irc.png"):  # of an earlier run
            (run.out / f"{stem}_{end}").unlink(missing_ok=True)
        structures = {"ts": [result.atoms]}
        if result.minima:
            structures["minima"] = [minimum.atoms for minimum in result.minima]
        if any(minimum.path for minimum in result.minima):
            back, forth = (minimum.path for minimum in result.minima)
            structures["irc"] = [*back[::-1], result.atoms, *forth]
            run.draw(plot_irc, result, f"{stem}_irc.png", reaction.name)
        for kind, frames in structures.items():
            file = run.out / f"{stem}_{kind}.extxyz"
            write_frames(file, frames)
            run.wrote(file)
        run.write_json(f"{stem}_ts.json", UNITS, result=result.to_dict())

    def _remember(self, reaction: Reaction, result: TSResult) -> None:
        name, found = reaction.name, result.activation
        rows = self.rows[reaction.stem] = []
        for k, barrier in enumerate(result.barriers):
            numbers = [barrier]
            if found is not None:
                corrected = (found.energies_zero_point, found.enthalpies, found.gibbs_energies)
                numbers += [float(values[k]) for values in corrected]
            rows.append((f"{name}, from {result.sides[k]}", numbers, result.converged))
        if not result.barriers:
            rows.append((name, [], result.converged))
        if result.converged:  # otherwise the message is printed, which has them
            self.notes += [f"{name}: {remark}" for remark in result.remarks]
        for message in [] if found is None else found.messages:
            of_all = message == COUNTED_TWICE
            self.notes.append(f"{self.run.level if of_all else name}: {message}")

    def tables(self, reactions: Sequence[Reaction]) -> list[Table]:
        """Barriers of all transition states, if there are any."""
        title = f"{self.run.level} transition states, kcal/mol"
        title += f", {self.config.temperature:g} K, {self.config.pressure:g} Pa"
        header = ("electronic", "with zero-point", "enthalpy", "Gibbs energy")
        return [_table(title, header, reactions, self.rows)] if self.rows else []


def _each(
    run: Run,
    reactions: list[Reaction],
    label: str,
    work: Callable[[Reaction, MLSEQM, Say], Outcome],
    tables: Callable[[], list[Table]],
    notes: list[str],
) -> int:
    """Do every reaction; what goes wrong with one does not stop the others."""
    if not reactions:
        return run.finish()
    run.note_scf()
    output_folder(run.out)
    outcomes: dict[int, Outcome] = {}
    with progress_bar(len(reactions), label) as advance:

        def one(reaction: Reaction, calc: MLSEQM) -> Outcome:
            return work(reaction, calc, lambda text: advance(0, f"{reaction.name}: {text}"))

        try:
            for k, found in side_by_side(one, reactions, MLSEQM(**run.keywords)):
                name, structures = reactions[k].name, reactions[k].structures
                if isinstance(found, Outcome):
                    outcomes[k] = found
                elif isinstance(found, InputError | CalculatorSetupError):
                    run.problems.append(f"{name}: {found}")
                elif isinstance(found, CalculatorError | np.linalg.LinAlgError | RuntimeError):
                    frame = Frame(name, 0, structures[0], True)
                    outcomes[k] = Outcome(frame, None, False, str(found))
                else:
                    with run.may_fail():  # as by a full disk
                        raise found
                advance()
        except KeyboardInterrupt:
            run.interrupted = True
        finally:
            run.outcomes.extend(outcome for _, outcome in sorted(outcomes.items()))
        run.summary.lap("compute")
    if run.outcomes and not run.json:
        for table in tables():
            console().print(table)
    code = run.finish()
    for note in dict.fromkeys(notes):
        complain(note)
    return code


def _outcome(
    reaction: Reaction, calc: MLSEQM, atoms: Atoms, result: NEBResult | TSResult, kind: str
) -> Outcome:
    calc.get_property("energy", atoms)
    details = {key: value for key, value in result.to_dict().items() if key not in LEFT_OUT}
    frame = Frame(reaction.name, 0, atoms, True)
    return Outcome(
        frame,
        calc.singlepoint,
        result.converged,
        result.message,
        result.steps,
        details={kind: details},
    )


def _table(title: str, header: Sequence[str], reactions: Sequence[Reaction], rows: Rows) -> Table:
    """Barriers of all reactions that are done, kcal/mol."""
    table = titled_table(title)
    table.add_column("reaction", overflow="fold", min_width=16)
    for name in header:
        table.add_column(name, justify="right")
    table.add_column("converged", justify="right")
    for name, numbers, converged in (row for r in reactions for row in rows.get(r.stem, [])):
        shown = [f"{EV_TO_KCAL * x:.2f}" if np.isfinite(x) else "–" for x in numbers]
        shown += ["–"] * (len(header) - len(shown))
        table.add_row(escape(name), *shown, "yes" if converged else "[bold red]NO[/]")
    return table
