"""What ``mlseqm neb`` and ``mlseqm ts`` do: read, compute, write, report."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from rich import box
from rich.markup import escape
from rich.table import Table

from .calculator import MLSEQM
from .cli_reactions import NEBOptions
from .errors import InputError
from .frames import Frame, output_folder, output_stem, output_stems, read_frames, write_frames
from .options import base_settings
from .report import Outcome, console
from .runs import Run, complain, progress_bar
from .units import EV_TO_KCAL
from .workflows.neb import NEBConfig, NEBResult, neb
from .workflows.reaction_figures import plot_irc, plot_profile
from .workflows.ts import TSConfig, TSResult, ts

UNITS = {"energies, barriers": "eV", "forces": "eV/Angstrom", "lengths": "Angstrom"}
COUNTED_TWICE = (
    "the parameters of {} contain zero-point energies already: use the barriers without them"
)


@dataclasses.dataclass(frozen=True)
class _Reaction:
    """What a path or a transition state is computed from."""

    name: str
    stem: str
    structures: list[Atoms]


def path_runs(run: Run, files: Sequence[str], settings: NEBOptions) -> int:
    """Paths of all reactions, one after the other; the images of each are one batch."""
    reactions = _reactions(run, files, settings.reactions)
    config = base_settings(settings, NEBConfig)
    rows: list[tuple[str, list[float], bool]] = []

    def work(reaction: _Reaction, calc: MLSEQM, say: Callable[[str], None]) -> Outcome:
        file = run.out / f"{reaction.stem}_path.extxyz"

        def step(number: int, energies: list[float], force: float) -> None:
            top = max(energies) - energies[0]
            say(f"{reaction.name} step {number}: barrier {top:.3f} eV, {force:.3f} eV/Å")

        result: NEBResult = neb(*reaction.structures, calc, config, path=file, callback=step)
        run.wrote(file)
        run.write_json(run.out / f"{reaction.stem}_neb.json", UNITS, result=result.to_dict())
        picture = run.out / f"{reaction.stem}_profile.png"
        plot_profile(result, picture, f"{reaction.name}, {run.level}")
        run.wrote(picture)
        numbers = [result.barrier, result.reverse_barrier, result.reaction_energy]
        rows.append((reaction.name, numbers, result.converged))
        return _outcome(reaction, calc, result.images[result.top], result, "neb")

    header = ("barrier", "reverse barrier", "reaction energy")
    return _each(run, reactions, "paths", work, lambda: _table(run, header, rows))


def ts_runs(run: Run, files: Sequence[str], config: TSConfig) -> int:
    """Transition states of all guesses, one after the other."""
    reactions = _guesses(run, files)
    rows: list[tuple[str, list[float], bool]] = []

    def work(reaction: _Reaction, calc: MLSEQM, say: Callable[[str], None]) -> Outcome:
        guess, *ends = reaction.structures
        reactant, product = ends or (None, None)
        result: TSResult = ts(
            guess,
            calc,
            config,
            reactant=reactant,
            product=product,
            callback=lambda sentence: say(f"{reaction.name}: {sentence}"),
        )
        stem = run.out / reaction.stem
        structures = {"ts": [result.atoms]}
        if result.minima:
            back, forth = (minimum.path for minimum in result.minima)
            structures["irc"] = [*back[::-1], result.atoms, *forth]
            structures["minima"] = [minimum.atoms for minimum in result.minima]
            picture = stem.with_name(f"{stem.name}_irc.png")
            plot_irc(result, picture, f"{reaction.name}, {run.level}")
            run.wrote(picture)
        for kind, frames in structures.items():
            file = stem.with_name(f"{stem.name}_{kind}.extxyz")
            write_frames(file, frames)
            run.wrote(file)
        run.write_json(stem.with_name(f"{stem.name}_ts.json"), UNITS, result=result.to_dict())
        pairs = zip(result.barriers, result.barriers_zero_point, strict=True)
        rows.append((reaction.name, list(itertools.chain(*pairs)), result.converged))
        return _outcome(reaction, calc, result.atoms, result, "ts")

    header = ("barrier", "with zero-point", "reverse barrier", "with zero-point")
    code = _each(run, reactions, "transition states", work, lambda: _table(run, header, rows))
    if run.options.method is not None and any(numbers for _, numbers, _ in rows):
        complain(COUNTED_TWICE.format(run.level))
    return code


def _each(
    run: Run,
    reactions: list[_Reaction],
    label: str,
    work: Callable[[_Reaction, MLSEQM, Callable[[str], None]], Outcome],
    table: Callable[[], Table],
) -> int:
    """Do every reaction; what goes wrong with one does not stop the others."""
    if not reactions:
        return run.finish()
    calc = MLSEQM(**dataclasses.asdict(run.options))
    run.note_scf()
    output_folder(run.out)
    with progress_bar(len(reactions), label) as advance:
        for reaction in reactions:
            calc.reset()  # the result must not depend on the molecule before
            try:
                outcome = work(reaction, calc, lambda text: advance(0, text))
                run.outcomes.append(outcome)
            except (InputError, CalculatorSetupError) as error:
                run.problems.append(f"{reaction.name}: {error}")
            except (CalculatorError, np.linalg.LinAlgError, RuntimeError) as error:
                frame = Frame(reaction.name, 0, reaction.structures[0], True)
                run.outcomes.append(Outcome(frame, None, False, str(error)))
            except KeyboardInterrupt:
                run.interrupted = True
                break
            advance()
            run.summary.lap("compute")
    if run.outcomes and not run.json:
        console().print(table())
    return run.finish()


def _outcome(
    reaction: _Reaction, calc: MLSEQM, atoms: Atoms, result: NEBResult | TSResult, kind: str
) -> Outcome:
    calc.get_property("energy", atoms)
    left_out = ("positions", "numbers", "config", "minima")
    details = {key: value for key, value in result.to_dict().items() if key not in left_out}
    frame = Frame(reaction.name, 0, atoms, True)
    return Outcome(
        frame,
        calc.singlepoint,
        result.converged,
        result.message,
        result.steps,
        details={kind: details},
    )


def _reactions(run: Run, files: Sequence[str], folder: str | None) -> list[_Reaction]:
    """Two files, or all reactions of a folder; what cannot be read is a problem of the run."""
    if folder is None:
        if len(files) != 2:
            raise InputError(
                f"{len(files)} files given: give REACTANT and PRODUCT, or --reactions FOLDER"
            )
        stems = output_stems(files).values()
        pairs = [(" → ".join(files), "_".join(stems), list(files))]
    elif files:
        raise InputError("give either REACTANT and PRODUCT or --reactions FOLDER")
    else:
        pairs = [(f.name, f.name, _ends(f)) for f in _reaction_folders(Path(folder))]
    found = []
    for name, stem, ends in pairs:
        structures: list[Atoms] = []
        if len(ends) != 2:
            run.problems.append(f"{name}: needs one r.xyz and one p.xyz")
            continue
        for end in ends:
            frames, problem = read_frames(end)
            if problem is None and len(frames) > 1:
                problem = f"{end}: {len(frames)} structures, give one: FILE@index"
            if problem is not None:
                run.problems.append(problem)
            structures += [frame.atoms for frame in frames[:1] if problem is None]
        if len(structures) == 2:
            found.append(_Reaction(name, stem, structures))
    run.summary.lap("read")
    return found


def _reaction_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if _ends(folder):
        return [folder]
    found = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: there are no reactions in it")
    return found


def _ends(folder: Path) -> list[str]:
    """Paths of reactant and product."""
    files = sorted(f.name for f in folder.iterdir())
    ends = (f for kind in "rp" for f in files if re.fullmatch(rf"{kind}\d*\.(ext)?xyz", f))
    return [str(folder / f) for f in ends]


def _guesses(run: Run, files: Sequence[str]) -> list[_Reaction]:
    """Every frame a guess; of a path the highest image, and its ends."""
    frames = run.read(list(files))
    stems = output_stems(frame.file for frame in frames)
    found = []
    for file, group in itertools.groupby(frames, key=lambda frame: frame.file):
        members = list(group)
        images = [frame.atoms for frame in members]
        if len(images) > 2 and all("neb_image" in atoms.info for atoms in images):
            top = int(np.argmax([atoms.get_potential_energy() for atoms in images]))
            structures = [_bare(images[k]) for k in (top, 0, -1)]
            found.append(_Reaction(file, stems[file].removesuffix("_path"), structures))
            continue
        for frame in members:
            found.append(_Reaction(frame.name, output_stem(frame, stems), [frame.atoms]))
    return found


def _bare(atoms: Atoms) -> Atoms:
    """Copy without the notes of a path."""
    copy = atoms.copy()
    for name in ("neb_key", "neb_image", "step", "climbing", "max_force", "problems"):
        copy.info.pop(name, None)
    return copy


def _table(run: Run, header: Sequence[str], rows: Sequence[tuple[str, list[float], bool]]) -> Table:
    """Barriers of all reactions, kcal/mol."""
    title = f"{run.level} {run.name}, kcal/mol"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("reaction", overflow="fold", min_width=16)
    for name in header:
        table.add_column(name, justify="right")
    table.add_column("converged", justify="right")
    for name, numbers, converged in rows:
        shown = [f"{EV_TO_KCAL * value:.2f}" for value in numbers]
        shown += ["–"] * (len(header) - len(shown))
        table.add_row(escape(name), *shown, "yes" if converged else "[bold red]NO[/]")
    return table
