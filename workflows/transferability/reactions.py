"""Test 6: barriers and reaction energies, at given structures and at each method's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Case, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method, Point
from .reaction_data import PATH, REFINED, Reactions, load_reactions
from .reaction_panels import draw_reactions
from .read_rdb7 import Difference
from .stationary import ERRORS, Reaction, Search, along_path, refined, vibrational_zero_point
from .statistics import correlation, mean

QUANTITIES = ("barrier", "reaction energy")
SINGLE = "single point"
SEARCHES = {REFINED: refined, PATH: along_path}
FOUND = {
    REFINED: (
        ("converged", "transition states refined"),
        ("one_mode", "with one imaginary mode"),
        ("connects", "that connect reactant and product"),
    ),
    PATH: (("converged", "paths converged"),),
}
"""Column of what is known of a search, and the name of its share."""


class ReactionEnergies(TransferTest):
    """Barriers and reaction energies: single points, refined transition states, paths."""

    name = "reactions"
    title = "Reactions"
    question = "Are barriers and reaction energies right, far from the minima that were trained on?"
    patterns = ("rdb7*", "reactions/*")
    columns = {
        "kind": "single point: at the structures of the data set; refined: at the transition state "
        "and minima of the method; path: along its minimum-energy path",
        "quantity": "barrier, reaction energy, or search: whether there is a transition state",
        "energy": "kcal/mol",
        "reference": "kcal/mol",
        "zero_point": "1 where zero-point energies are in both",
        "displacement": "from the structures of the data set, root mean square, Angstrom; of the "
        "transition state (barrier), of whatever was refined (search), or the mean of both ends "
        "(reaction energy)",
        "converged": "1 where the search for the transition state, or the path, converged",
        "one_mode": "1 where it did and the transition state has exactly one imaginary mode",
        "connects": "1 where that leads to reactant and product; empty where it was not followed",
    }
    settings = (
        *("zero_point", "max_reactions", "seed", "max_refined", "refine_steps", "irc"),
        *("max_paths", "path_images", "path_steps"),
    )

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Reactions:
        """Folders in the layout of RDB7; some of the reactions where there are too many."""
        return load_reactions(files, config)

    def compute(
        self, method: Method, data: Reactions, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """All differences; a zero-point energy is added where the reference has one.

        Not with MNDO, AM1 and PM3, whose energies contain it.
        """
        outcome = Outcome()
        single = data.single
        found = method.points(list(single.values()), ("energy",), done=advance)
        points = dict(zip(single, found, strict=True))
        zero_points: dict[str, float] = {}
        for d in data.differences:
            advance(1, f"{d.reaction} {d.quantity}")
            case = f"{d.reaction} {d.quantity}"
            try:
                energy = _single(d, points)
                if _adds_zero_point(d, method, config):
                    energy += _zero_point(d, single, method, zero_points)
            except ERRORS as error:
                outcome.fail(case, error)
                continue
            row = _row(case, SINGLE, d, energy, method, config)
            _add(outcome, row, single[d.last])
        for kind, names in data.searches.items():
            for name in names:
                advance(1, f"{name} {kind}")
                own = [d for d in data.differences if d.reaction == name]
                wanted = {d.quantity for d in own if _adds_zero_point(d, method, config)}
                reaction = data.reaction(name)
                search = SEARCHES[kind](reaction, method.calculator(), config, wanted)
                _report(outcome, kind, reaction, search, own, method, config)
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Means over reactions; shares of all searches, that found something or not."""
        out = []
        settings = (config.samples, config.seed)
        for kind in (SINGLE, *SEARCHES):
            after = "" if kind == SINGLE else f", {kind}"
            for quantity in QUANTITIES:
                own = [r for r in rows if (r["kind"], r["quantity"]) == (kind, quantity)]
                energy, label = column(own, "energy"), column(own, "reference")
                error = energy - label
                unit = "kcal/mol"
                out += [
                    Metric(f"{quantity} MAE{after}", unit, mean(np.abs(error), *settings), 1),
                    Metric(f"{quantity} bias{after}", unit, mean(error, *settings), 1, None),
                ]
                if kind == SINGLE:
                    related = correlation(energy, label, *settings)
                    out.append(Metric(f"{quantity} correlation", "", related, 2, False))
                    continue
                moved = mean(column(own, "displacement"), *settings)
                out.append(Metric(f"displacement, {quantity}{after}", "Å", moved, 3))
            own = [r for r in rows if (r["kind"], r["quantity"]) == (kind, "search")]
            for key, name in FOUND.get(kind, ()):
                share = mean(100.0 * column(own, key), *settings)
                out.append(Metric(name, "%", share, 0, False))
        return [m for m in out if m.interval.count] or out[:1]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Energies against the references."""
        return draw_reactions(rows, path, (SINGLE, *SEARCHES), QUANTITIES)


def _single(d: Difference, points: dict[str, Point]) -> float:
    """The difference of two single points, eV."""
    for name in (d.first, d.last):
        if points[name].failed:
            raise InputError(f"{name}: {points[name].failed}")
    return points[d.last].energy - points[d.first].energy


def _adds_zero_point(d: Difference, method: Method, config: TransferabilityConfig) -> bool:
    return d.zero_point and method.bare and config.zero_point


def _zero_point(
    d: Difference, structures: dict[str, Atoms], method: Method, known: dict[str, float]
) -> float:
    for name in (d.first, d.last):
        if name not in known:
            known[name] = vibrational_zero_point(structures[name], method.calculator())
    return known[d.last] - known[d.first]


def _row(
    case: str,
    kind: str,
    d: Difference,
    energy: float,
    method: Method,
    config: TransferabilityConfig,
) -> Row:
    """A line of the table; energies in eV become kcal/mol."""
    return {
        "case": case,
        "kind": kind,
        "quantity": d.quantity,
        "energy": energy * EV_TO_KCAL,
        "reference": d.reference,
        "zero_point": int(d.zero_point and (config.zero_point or not method.bare)),
    }


def _add(outcome: Outcome, row: Row, atoms: Atoms) -> None:
    outcome.rows.append(row)
    wrong = row["energy"] - row["reference"]
    what = f"{row['quantity']} off by"
    outcome.worst.append(Case.of(row["case"], what, wrong, "kcal/mol", atoms))


def _report(
    outcome: Outcome,
    kind: str,
    reaction: Reaction,
    search: Search,
    differences: Sequence[Difference],
    method: Method,
    config: TransferabilityConfig,
) -> None:
    """Rows and failures of a search: how it ended, and its energies."""
    state = {key: getattr(search, key) for key, _ in FOUND[kind]}
    known = {key: np.nan if value is None else float(value) for key, value in state.items()}
    case = f"{reaction.name} search, {kind}"
    row = {"case": case, "kind": kind, "quantity": "search"} | known
    if "search" in search.displacements:
        row["displacement"] = search.displacements["search"]
    outcome.rows.append(row)
    for d in differences:
        case = f"{d.reaction} {d.quantity}, {kind}"
        if d.quantity in search.failures:
            outcome.fail(case, search.failures[d.quantity])
        elif d.quantity in search.energies:
            energy = search.energies[d.quantity]
            if _adds_zero_point(d, method, config):
                energy += search.zero_point[d.quantity]
            row = _row(case, kind, d, energy, method, config)
            row["displacement"] = search.displacements[d.quantity]
            atoms = search.top if d.quantity == "barrier" else reaction.product
            _add(outcome, row, reaction.top if atoms is None else atoms)
