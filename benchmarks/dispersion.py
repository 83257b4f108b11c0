"""What a dispersion correction does for the interaction energies of S22.

    python benchmarks/dispersion.py [--model hipnn-pm3] [--dispersion wb97x-d3bj] [--out FILE]

Geometries and CCSD(T) energies (Jurecka, Sponer, Cerny, Hobza, PCCP 8 (2006) 1985) are those that
ASE carries.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from accuracy_methods import GFN2, methods, predict
from ase.data.s22 import (
    create_s22_system,
    get_interaction_energy_s22,
    get_number_of_dimer_atoms,
    s22,
)
from report import Report, versions

from ase_mlseqm import evaluate
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.models import DEFAULT, model_file
from ase_mlseqm.units import EV_TO_KCAL

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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--dispersion", default="wb97x-d3bj")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    systems = fragments()
    found: dict[str, np.ndarray] = {}
    for label, keywords in ((options.model, {"model": options.model}), ("PM3", {"method": "PM3"})):
        for correction in (None, options.dispersion):
            points = evaluate(systems, properties=("energy",), dispersion=correction, **keywords)
            name = label if correction is None else f"{label} + {correction}"
            found[name] = interaction(np.array([point.energy for point in points]))
    if GFN2 in methods():
        peer = predict(GFN2, [molecule_from_atoms(atoms) for atoms in systems], options.model)
        found[GFN2] = interaction(peer.atomization)
    reference = EV_TO_KCAL * np.array([get_interaction_energy_s22(name) for name in s22])
    report = Report()
    checksum = model_file(options.model).sha256[:12]
    programs = versions("ase-mlseqm", "dftd3", "dftd4", "tblite", "ase")
    report.text(f"{options.model} (sha256 `{checksum}`), {programs}.")
    rows = []
    for name, values in found.items():
        cells = []
        for systems_of in KINDS.values():
            error = (values - reference)[[s22.index(system) for system in systems_of]]
            cells.append(f"{np.abs(error).mean():.2f} ({error.mean():+.2f})")
        rows.append((name, *cells, f"{np.abs(values - reference).mean():.2f}"))
    report.table(
        "Interaction energies of S22 against CCSD(T), kcal/mol: MAE (mean error; negative: too "
        "strongly bound)",
        ("method", *KINDS, "all"),
        rows,
    )
    report.table(
        "Every complex, kcal/mol",
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
