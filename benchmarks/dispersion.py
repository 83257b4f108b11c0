"""What a dispersion correction does for the interaction energies of S22 and S66.

    python benchmarks/dispersion.py [--model hipnn-pm3] [--dispersion wb97x-d3bj wb97x-d4] \\
        [--s66x8 DATA/s66x8_half.h5 --log docs/test_log.csv] [--out FILE]

Geometries and CCSD(T) energies of S22 (Jurecka, Sponer, Cerny, Hobza, PCCP 8 (2006) 1985) are those
that ASE carries; of S66, see ``s66.py``.  Evaluations of S66, whose curves are a final test, are
logged.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import s66
from accuracy_methods import GFN2, methods, predict
from ase import Atoms
from ase.data.s22 import (
    create_s22_system,
    get_interaction_energy_s22,
    get_number_of_dimer_atoms,
    s22,
)
from report import Report, versions

from ase_mlseqm import evaluate
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.evaluation_log import EvaluationLog
from ase_mlseqm.models import DEFAULT, model_file
from ase_mlseqm.units import EV_TO_KCAL

Energies = Callable[[list[Atoms]], np.ndarray]
"""Of structures, eV."""
KINDS = {"hydrogen bonds": s22[:7], "dispersion": s22[7:15], "mixed": s22[15:]}


def fragments() -> list:
    """Every complex followed by its two molecules."""
    out = []
    for name in s22:
        dimer = create_s22_system(name)
        first = get_number_of_dimer_atoms(name)[0]
        out += [dimer, dimer[:first], dimer[first:]]
    return out


def interaction(energies: np.ndarray) -> np.ndarray:
    """Interaction energies (22,), kcal/mol, from those of the fragments, eV."""
    dimer, first, second = np.asarray(energies).reshape(-1, 3).T
    return EV_TO_KCAL * (dimer - first - second)


def energies_of(model: str, dispersions: Sequence[str]) -> dict[str, Energies]:
    """Functions that compute the energies (eV) of structures, by the name of the method."""

    def ours(systems: list[Atoms], **keywords: str | None) -> np.ndarray:
        return np.array([p.energy for p in evaluate(systems, properties=("energy",), **keywords)])

    def peer(systems: list[Atoms]) -> np.ndarray:
        return predict(GFN2, [molecule_from_atoms(atoms) for atoms in systems], model).atomization

    found: dict[str, Energies] = {}
    for label, keywords in ((model, {"model": model}), ("PM3", {"method": "PM3"})):
        found[label] = partial(ours, **keywords)
        for name in dispersions:
            found[f"{label} + {name}"] = partial(ours, **keywords, dispersion=name)
    return found | ({GFN2: peer} if GFN2 in methods() else {})


def mean_errors(error: np.ndarray) -> str:
    """The mean absolute error and the mean error."""
    return f"{np.abs(error).mean():.2f} ({error.mean():+.2f})"


def s66_table(report: Report, path: Path, programs: dict[str, Energies]) -> dict[str, str]:
    """Errors at the minima of S66 and the places of the minima; for the log by method."""
    curves = s66.read_s66x8(path)
    places = np.array(list(curves))
    reference = np.array(s66.CCSDT)[places]
    rows, said = [], {}
    for name, energies in programs.items():
        values = s66.interactions(curves, energies)
        error, where = values[:, s66.AT_MINIMUM] - reference, s66.minima(values)
        cells = [mean_errors(error[np.isin(places, kind)]) for kind in s66.KINDS.values()]
        known = where[np.isfinite(where)]
        off = f"{known.mean():.3f} ± {known.std():.3f}"
        rows.append(
            (name, *cells, f"{np.abs(error).mean():.2f}", off, str(len(where) - len(known)))
        )
        said[name] = f"interaction energy MAE at the minimum {np.abs(error).mean():.6g} kcal/mol"
    report.table(
        f"Interaction energies of {len(curves)} dimers of S66 at their minima against CCSD(T), "
        "kcal/mol: MAE (mean error); where the minimum of the curve is, in distances of S66 (1 "
        "with CCSD(T)), mean and spread; curves without one",
        ("method", *s66.KINDS, "all", "minimum at", "none"),
        rows,
    )
    return said


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--dispersion", nargs="*", default=["wb97x-d3bj", "wb97x-d4"])
    parser.add_argument("--s66x8", type=Path, help="in the layout of COMP6")
    parser.add_argument("--log", type=Path, help="needed for --s66x8")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.s66x8 is not None and options.log is None:
        parser.error("--s66x8 is a final test: give --log FILE")
    log = None if options.log is None else EvaluationLog(options.log)
    programs_of = energies_of(options.model, options.dispersion)
    systems = fragments()
    found = {name: interaction(energies(systems)) for name, energies in programs_of.items()}
    reference = EV_TO_KCAL * np.array([get_interaction_energy_s22(name) for name in s22])
    report = Report()
    checksum = model_file(options.model).sha256[:12]
    programs = versions("ase-mlseqm", "dftd3", "dftd4", "tblite", "ase")
    report.text(f"{options.model} (sha256 `{checksum}`), {programs}.")
    rows = []
    for name, values in found.items():
        error = values - reference
        cells = [mean_errors(error[[s22.index(s) for s in kind]]) for kind in KINDS.values()]
        rows.append((name, *cells, f"{np.abs(error).mean():.2f}"))
    report.table(
        "Interaction energies of S22 against CCSD(T), kcal/mol: MAE (mean error; negative: too "
        "strongly bound)",
        ("method", *KINDS, "all"),
        rows,
    )
    if options.s66x8 is not None:
        said = s66_table(report, options.s66x8, programs_of)
        for name, result in said.items():
            learned = name.startswith(options.model)
            log.append(
                {
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                    "model": name,
                    "sha256": model_file(options.model).sha256 if learned else "",
                    "set": f"dispersion: {options.s66x8.name}",
                    "data_sha256": hashlib.sha256(options.s66x8.read_bytes()).hexdigest(),
                    "molecules": len(s66.read_s66x8(options.s66x8)),
                    "result": result,
                }
            )
    report.table(
        "Every complex of S22, kcal/mol",
        ("complex", "CCSD(T)", *found),
        [
            (
                name.replace("_", " "),
                f"{reference[k]:.2f}",
                *(f"{v[k]:.2f}" for v in found.values()),
            )
            for k, name in enumerate(s22)
        ],
    )
    report.write(options.out)


if __name__ == "__main__":
    main()
