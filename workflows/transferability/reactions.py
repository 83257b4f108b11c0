"""Test 6: barriers and reaction energies at the structures of a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import EV_TO_KCAL

from ..vibrations import VibrationsConfig, vibrations
from .base import Advance, Case, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method
from .read_rdb7 import Difference, read_rdb7
from .statistics import correlation, mean
from .style import colours, legend, markers, new_figure, plain, save

QUANTITIES = ("barrier", "reaction energy")


@dataclasses.dataclass(frozen=True)
class Reactions:
    """Structures by name, and the energy differences between them."""

    structures: dict[str, Atoms]
    differences: list[Difference]

    def __len__(self) -> int:
        return len(self.structures) + len(self.differences)


class ReactionEnergies(TransferTest):
    """Single-point barriers and reaction energies."""

    name = "reactions"
    title = "Reactions"
    question = "Are barriers and reaction energies right, far from the minima that were trained on?"
    patterns = ("rdb7*", "reactions/*")
    columns = {
        "quantity": "barrier or reaction energy",
        "energy": "at the structures of the data set, kcal/mol",
        "reference": "kcal/mol",
        "zero_point": "1 where zero-point energies are in both",
    }
    settings = ("zero_point", "max_reactions", "seed")

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Reactions:
        """Folders in the layout of RDB7; some of the reactions where there are too many."""
        structures: dict[str, Atoms] = {}
        differences: list[Difference] = []
        for path in files:
            if not (path / "data.csv").is_file():
                raise InputError(f"{path.name}: there is no data.csv in it")
            found, wanted = read_rdb7(path)
            structures |= found
            differences += wanted
        names = sorted({d.reaction for d in differences})
        if config.max_reactions and len(names) > config.max_reactions:
            rng = np.random.default_rng(config.seed)
            names = rng.choice(names, config.max_reactions, replace=False).tolist()
        chosen = [d for d in differences if d.reaction in set(names)]
        used = {name for d in chosen for name in (d.first, d.last)}
        return Reactions({n: a for n, a in structures.items() if n in used}, chosen)

    def compute(
        self, method: Method, data: Reactions, config: TransferabilityConfig, advance: Advance
    ) -> Outcome:
        """All differences; a zero-point energy is added where the reference has one.

        Not with MNDO, AM1 and PM3, whose energies contain it.
        """
        outcome = Outcome()
        points = dict(
            zip(
                data.structures,
                method.points(list(data.structures.values()), ("energy",), done=advance),
                strict=True,
            )
        )
        zero_points: dict[str, float] = {}
        for d in data.differences:
            advance(1, f"{d.reaction} {d.quantity}")
            case = f"{d.reaction} {d.quantity}"
            failed = [name for name in (d.first, d.last) if points[name].failed]
            if failed:
                outcome.fail(case, f"{failed[0]}: {points[failed[0]].failed}")
                continue
            energy = points[d.last].energy - points[d.first].energy
            if d.zero_point and method.bare and config.zero_point:
                try:
                    for name in (d.first, d.last):
                        if name not in zero_points:
                            zero_points[name] = _zero_point(method, data.structures[name])
                except CalculatorError as error:
                    outcome.fail(case, error)
                    continue
                energy += zero_points[d.last] - zero_points[d.first]
            energy *= EV_TO_KCAL
            outcome.rows.append(
                {
                    "case": case,
                    "quantity": d.quantity,
                    "energy": energy,
                    "reference": d.reference,
                    "zero_point": int(d.zero_point and (config.zero_point or not method.bare)),
                }
            )
            wrong = energy - d.reference
            atoms = data.structures[d.last]
            outcome.worst.append(Case.of(case, f"{d.quantity} off by", wrong, "kcal/mol", atoms))
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Means over reactions."""
        out = []
        for quantity in QUANTITIES:
            own = [row for row in rows if row["quantity"] == quantity]
            energy, label = column(own, "energy"), column(own, "reference")
            settings = (config.samples, config.seed)
            out += [
                Metric(f"{quantity} MAE", "kcal/mol", mean(np.abs(energy - label), *settings), 1),
                Metric(f"{quantity} bias", "kcal/mol", mean(energy - label, *settings), 1, None),
                Metric(
                    f"{quantity} correlation", "", correlation(energy, label, *settings), 2, False
                ),
            ]
        return [m for m in out if m.interval.count] or out

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Energies against the references."""
        found = {row["quantity"] for own in rows.values() for row in own}
        shown = [quantity for quantity in QUANTITIES if quantity in found]
        figure = new_figure(4.8 * len(shown), 4.7)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        colour, marker = colours(rows), markers(rows)
        for axes, quantity in zip(panels, shown, strict=True):
            ends: list[float] = []
            for method, own in rows.items():
                chosen = [row for row in own if row["quantity"] == quantity]
                x = column(chosen, "reference")
                axes.plot(
                    *(x, column(chosen, "energy")),
                    color=colour[method],
                    marker=marker[method],
                    markersize=4.5,
                    linestyle="",
                    alpha=0.8,
                    label=method,
                )
                ends += [float(x.min()), float(x.max())]
            line = [min(ends), max(ends)]
            axes.plot(line, line, color="0.6", linewidth=0.9, zorder=0)
            axes.set(xlabel=f"reference {quantity} (kcal/mol)", ylabel=f"{quantity} (kcal/mol)")
            plain(axes)
        legend(figure, panels[0])
        return save(figure, path)


def _zero_point(method: Method, atoms: Atoms) -> float:
    """Harmonic, of the real modes at this structure, eV."""
    result = vibrations(atoms, method.calculator(), VibrationsConfig(relax=False))
    return result.zero_point_energy
