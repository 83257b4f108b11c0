"""Test 4: profiles of torsions, rigid and relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.constraints import FixInternals

from ase_mlseqm.errors import InputError

from ..relax import RelaxConfig, relax
from .base import Advance, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method
from .panels import draw_profiles
from .records import Records
from .scans import Scan
from .series import Series, load_series
from .statistics import mean

RELAXATION = RelaxConfig(fmax=0.02, max_steps=300)
SCAN = Scan("scan", "angle", "{:.0f}°")


class Torsions(TransferTest):
    """Energy against a dihedral angle."""

    name = "torsions"
    title = "Torsions"
    question = "Are barriers of rotation as high as they should be?"
    patterns = ("torsions/*.xyz", "torsions/*.extxyz")
    columns = {
        "series": "name of the file",
        "scan": "rigid: at the structures of the file; relaxed: with the dihedral held there",
        "angle": "dihedral, degrees",
        "energy": "relative to the lowest of the profile, kcal/mol",
        "reference": "the same of the label, kcal/mol",
    }
    settings = ("relax_scans",)

    pictures_of_all = True

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Records[Series]:
        """Labelled series of dihedrals."""
        return load_series(files, "dihedral", _labelled)

    def compute(
        self,
        method: Method,
        data: Records[Series],
        config: TransferabilityConfig,
        advance: Advance,
    ) -> Outcome:
        """Rigid scans of all series, relaxed ones of those whose labels are relaxed."""

        def kinds(series: Series) -> tuple[str, ...]:
            return ("rigid", "relaxed") if series.relaxed and config.relax_scans else ("rigid",)

        def curve(series: Series, kind: str) -> dict[str, np.ndarray]:
            if kind == "relaxed":
                return {"energy": _relaxed(series, method)}
            return {"energy": SCAN.energies(series, method.points(series.systems))}

        return SCAN.outcome(data, kinds, curve, advance)

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Errors of the profile about its mean, and of its height."""
        out = []
        settings = (config.samples, config.seed)
        for scan in ("rigid", "relaxed"):
            profile, barrier = [], []
            for own in SCAN.curves(rows, scan).values():
                energy, label = column(own, "energy"), column(own, "reference")
                wrong = energy - label
                profile.append(np.abs(wrong - wrong.mean()).mean())
                barrier.append(np.ptp(energy) - np.ptp(label))
            if not profile and scan == "relaxed":
                continue
            height = np.array(barrier)
            unit = "kcal/mol"
            out += [
                Metric(f"profile MAE, {scan}", unit, mean(np.array(profile), *settings)),
                Metric(f"barrier MAE, {scan}", unit, mean(np.abs(height), *settings)),
                Metric(f"barrier bias, {scan}", unit, mean(height, *settings), 2, None),
            ]
        return out

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """A panel a series; relaxed where there is a relaxed one."""
        curves = {}
        for method, own in rows.items():
            found = SCAN.curves(own, "rigid") | SCAN.curves(own, "relaxed")
            curves[method] = {
                f"{name} ({v[0]['scan']})": {
                    "": _in_a_row(column(v, "angle"), column(v, "energy"), column(v, "reference"))
                }
                for name, v in found.items()
            }
        return draw_profiles(curves, path, "dihedral (°)", "energy (kcal/mol)")


def _in_a_row(
    angle: np.ndarray, energy: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points, ascending, the widest gap not among them: from -60 to 60, not from 0 to 330."""
    gaps = np.diff(angle)
    last = int(gaps.argmax())
    if gaps[last] > 1.0 + angle[0] + 360.0 - angle[-1]:  # of equal gaps any will do
        angle = np.where(np.arange(len(angle)) > last, angle - 360.0, angle)
    order = np.argsort(angle, kind="stable")
    return angle[order], energy[order], label[order]


def _labelled(series: Series) -> Series:
    """The series, if it is a profile."""
    if not np.isfinite(series.energies).all() or len(series) < 3:
        raise InputError("a profile needs three points or more, all with an energy")
    return series


def _relaxed(series: Series, method: Method) -> np.ndarray:
    """Energies, eV, of the structures with the dihedral held."""
    out = []
    calc = method.calculator()
    for system, angle in zip(series.systems, series.x, strict=True):
        work: Atoms = system.copy()
        work.set_constraint(FixInternals(dihedrals_deg=[[float(angle), list(series.atoms)]]))
        result = relax(work, calc, RELAXATION)
        if not result.converged:
            raise InputError(f"at {angle:.0f} degrees the relaxation {result.message}")
        out.append(result.energy)
    return np.array(out)
