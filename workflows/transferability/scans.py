"""What tests of series share: the loop over series, and the rows of their curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import EV_TO_KCAL

from .base import Advance, Case, Outcome, Row, grouped
from .methods import Point
from .series import Series


@dataclasses.dataclass(frozen=True)
class Scan:
    """Energies along a coordinate, of several kinds for every series.

    Attributes
    ----------
    kind : str
        Column that tells the curves of one series apart.
    coordinate : str
        Column of the coordinate.
    shown : str
        Format of the coordinate in texts, with its unit.
    """

    kind: str
    coordinate: str
    shown: str

    def outcome(
        self,
        data: Iterable[Series],
        kinds: Callable[[Series], Iterable[str]],
        curve: Callable[[Series, str], dict[str, np.ndarray]],
        advance: Advance,
    ) -> Outcome:
        """All curves; one that cannot be computed is a failure as a whole.

        Parameters
        ----------
        kinds : callable
            The kinds of curves of a series.
        curve : callable
            ``energy`` (F,), eV, of a series and kind, and any other columns (F,).
        """
        outcome = Outcome()
        for series in data:
            advance(1, series.name)
            for kind in kinds(series):
                try:
                    columns = curve(series, kind)
                except (CalculatorError, InputError, ValueError) as error:
                    outcome.fail(f"{series.name} {kind}", error)
                else:
                    self._add(outcome, series, kind, columns)
        return outcome

    def energies(self, series: Series, points: Sequence[Point]) -> np.ndarray:
        """Energies of the points, eV.

        Raises
        ------
        InputError
            When one of them failed.
        """
        failed = [k for k, point in enumerate(points) if point.failed]
        if failed:
            where = self.shown.format(series.x[failed[0]])
            reason = points[failed[0]].failed
            raise InputError(
                f"{len(failed)} of {len(points)} points, the first at {where}: {reason}"
            )
        return np.array([point.energy for point in points])

    def curves(self, rows: Sequence[Row], kind: str) -> dict[str, list[Row]]:
        """Rows of every series that has a curve of this kind, in the order of the series."""
        return grouped([row for row in rows if row[self.kind] == kind], "series")

    def _add(
        self, outcome: Outcome, series: Series, kind: str, columns: dict[str, np.ndarray]
    ) -> None:
        """Rows with energies relative to the lowest, kcal/mol, and the worst point."""
        found = columns["energy"]
        label = (series.energies - series.energies.min()) * EV_TO_KCAL  # NaN without labels
        columns = columns | {"energy": (found - found.min()) * EV_TO_KCAL, "reference": label}
        case = f"{series.name} {kind}"
        start = {"case": case, "series": series.name, self.kind: kind}
        for k, x in enumerate(series.x):
            values = {name: float(column[k]) for name, column in columns.items()}
            outcome.rows.append(start | {self.coordinate: float(x)} | values)
        wrong = columns["energy"] - label
        if np.isfinite(wrong).all():
            worst = int(np.abs(wrong).argmax())
            text = f"at {self.shown.format(series.x[worst])} energy off by"
            atoms = series.systems[worst]
            outcome.worst.append(Case.of(case, text, wrong[worst], "kcal/mol", atoms))
