"""Test 7: harmonic frequencies, after relaxation with each method."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.blocks import name_text
from ase_mlseqm.training.dataset import Skipped

from ..several import forget
from ..vibrations import VibrationsConfig, vibrations
from .base import Advance, Case, Metric, Outcome, Row, TransferTest, column
from .config import TransferabilityConfig
from .methods import Method
from .read_extxyz import read_extxyz, record_name
from .records import Records, name_of, require_some
from .statistics import Interval, bootstrap, by_molecule, mean, molecule_means
from .style import colours, legend, markers, new_figure, plain, save

FMAX = 0.005
"""eV/Angstrom; largest force of the structures whose frequencies count."""


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """A structure and its V reference frequencies, ascending, cm-1."""

    name: str
    atoms: Atoms
    frequencies: np.ndarray


class Frequencies(TransferTest):
    """Harmonic frequencies against references."""

    name = "frequencies"
    title = "Vibrations"
    question = "Are harmonic frequencies right, and what would scale them best?"
    patterns = (
        *("frequencies*.xyz", "frequencies*.extxyz"),
        *("frequencies/*.xyz", "frequencies/*.extxyz"),
    )
    columns = {
        "molecule": "name of the molecule",
        "mode": "number of the mode, from the lowest",
        "frequency": "harmonic, imaginary ones negative, cm-1",
        "reference": "cm-1",
    }

    def load(self, files: Sequence[Path], config: TransferabilityConfig) -> Records[Spectrum]:
        """Frames of extended XYZ with ``frequencies`` (cm-1), and ``name`` where they have one."""
        found: dict[str, Spectrum] = {}
        skipped = []
        for path in files:
            for record in read_spectra(path):
                if isinstance(record, Skipped):
                    skipped.append(record)
                elif record.name in found:
                    reason = "another structure has this name: rename one"
                    skipped.append(Skipped(path.name, record.name, reason))
                else:
                    found[record.name] = record
        require_some(list(found), name_of(files), skipped)
        return Records(list(found.values()), skipped)

    def compute(
        self,
        method: Method,
        data: Records[Spectrum],
        config: TransferabilityConfig,
        advance: Advance,
    ) -> Outcome:
        """Relaxation and Hessian of every molecule."""
        outcome = Outcome()
        calc = method.calculator()
        for spectrum in data:
            advance(1, spectrum.name)
            forget(calc)
            try:
                result = vibrations(spectrum.atoms, calc, VibrationsConfig(fmax=FMAX))
            except (CalculatorError, InputError) as error:
                outcome.fail(spectrum.name, error)
                continue
            if result.max_force > FMAX:
                outcome.fail(spectrum.name, "; ".join(result.messages))
                continue
            modes, given = len(result.frequencies), len(spectrum.frequencies)
            if modes != given:
                shape = "linear" if modes == 3 * len(spectrum.atoms) - 5 else "not linear"
                outcome.fail(
                    spectrum.name,
                    f"relaxed, it is {shape} with {modes} modes, the reference has {given}",
                )
                continue
            for k, (mine, label) in enumerate(
                zip(result.frequencies, spectrum.frequencies, strict=True)
            ):
                outcome.rows.append(
                    {
                        "case": spectrum.name,
                        "molecule": spectrum.name,
                        "mode": k,
                        "frequency": float(mine),
                        "reference": float(label),
                    }
                )
            wrong = float(np.abs(result.frequencies - spectrum.frequencies).mean())
            outcome.worst.append(
                Case.of(spectrum.name, "frequency MAE", wrong, "cm⁻¹", result.atoms)
            )
        return outcome

    def metrics(self, rows: list[Row], config: TransferabilityConfig) -> list[Metric]:
        """Errors before and after scaling, and the factor that scales best."""
        names = [row["molecule"] for row in rows]
        mine, label = column(rows, "frequency"), column(rows, "reference")
        settings = (config.samples, config.seed)

        def over_molecules(values: np.ndarray) -> Interval:
            return mean(molecule_means(names, values), *settings)

        factor = scale_factor(names, mine, label, *settings)
        imaginary = over_molecules(100.0 * (mine < 0))
        return [
            Metric("frequency MAE", "cm⁻¹", over_molecules(np.abs(mine - label)), 1),
            Metric("frequency bias", "cm⁻¹", over_molecules(mine - label), 1, None),
            Metric("scale factor", "", factor, 4, None),
            Metric(
                "MAE after scaling", "cm⁻¹", over_molecules(np.abs(factor.value * mine - label)), 1
            ),
            Metric("imaginary modes", "%", imaginary),
        ]

    def draw(self, rows: dict[str, list[Row]], path: Path, config: TransferabilityConfig) -> bool:
        """Errors against the reference frequency."""
        figure = new_figure(7.5, 4.0)
        axes = figure.subplots()
        colour, marker = colours(rows), markers(rows)
        for method, own in rows.items():
            label = column(own, "reference")
            axes.plot(
                *(label, column(own, "frequency") - label),
                color=colour[method],
                marker=marker[method],
                markersize=4,
                linestyle="",
                alpha=0.75,
                label=method,
            )
        axes.axhline(0.0, color="0.4", linewidth=0.9, zorder=0)
        axes.set(xlabel="reference frequency (cm⁻¹)", ylabel="error (cm⁻¹)")
        plain(axes)
        legend(figure, axes)
        return save(figure, path)


def scale_factor(
    names: Sequence[str], mine: np.ndarray, label: np.ndarray, samples: int, seed: int
) -> Interval:
    """The factor that brings real frequencies closest to their references (Scott, Radom, 1996)."""
    good = np.where(mine > 0, 1.0, np.nan)
    top = np.array([v.sum() for v in by_molecule(names, good * mine * label).values()])
    bottom = np.array([v.sum() for v in by_molecule(names, good * mine**2).values()])
    return bootstrap(
        lambda index: top[index].sum(1) / bottom[index].sum(1), len(top), samples, seed
    )


def read_spectra(path: Path) -> Iterator[Spectrum | Skipped]:
    """The structures of a file with their frequencies, and the frames that are broken."""
    for record in read_extxyz(path):
        if isinstance(record, Skipped):
            yield record
            continue
        k, atoms = record
        given = np.atleast_1d(atoms.info.get("frequencies", []))
        modes = 3 * len(atoms) - 6
        sound = given.dtype.kind in "if" and len(given) in (modes, modes + 1) and len(given)
        if not sound or not np.isfinite(given).all():
            reason = (
                f'give all {max(modes, 1)} frequencies in cm-1, as in frequencies="1600 3700 3800"'
            )
            yield Skipped(path.name, record_name(k), reason)
            continue
        atoms.calc = None
        name = name_text(atoms.info.get("name")) or f"{path.stem}[{k}]"
        yield Spectrum(name, atoms, np.sort(given.astype(float)))
