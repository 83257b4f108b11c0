"""Let MOPAC find the stationary points of reactions with PM3 and write `stationary.json`.

    python tests/reference/make_stationary.py [--out FILE]

HCN to HNC and the reactions of `benchmarks/transferability`: single points of the three structures,
minima of both ends, the transition state by MOPAC's eigenvector following, and harmonic frequencies
at each.  What MOPAC does not find is left out.  Needs `mopac` on the path and ase.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from mopac import _aux_number, _aux_numbers, run_mopac, search_and_force
from records import write_records

BASE = "PM3 PRECISE NOMM GEO-OK XYZ NOREOR NOSYM SCFCRT=1.E-12 AUX(PRECISION=9) LET"
SEARCH = {"reactant": "GNORM=0.01", "top": "TS GNORM=0.01", "product": "GNORM=0.01"}
LETTERS = {"reactant": "r", "top": "ts", "product": "p"}
RDB7 = Path(__file__).parents[2] / "benchmarks" / "transferability" / "reactions" / "rdb7"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).with_name("stationary.json")
    parser.add_argument("--out", type=Path, default=default, help="file to write")
    out = parser.parse_args().out
    records = [
        {"reaction": name, "place": place} | record(atoms, SEARCH[place])
        for name, structures in reactions().items()
        for place, atoms in structures.items()
    ]
    about = {
        "made_by": "tests/reference/make_stationary.py",
        "program": version(),
        "keywords": f"{BASE} with {SEARCH}; then OLDGEO {BASE} FORCE",
        "units": "Angstrom, kcal/mol, cm-1 (imaginary ones are negative)",
    }
    write_records(out, about, "structures", records)


def version() -> str:
    return subprocess.run(["mopac", "--version"], capture_output=True, text=True).stdout.strip()


def reactions() -> dict[str, dict[str, Atoms]]:
    """Reactant, transition state and product by the name of the reaction."""
    found = {"HCN": {place: hcn(angle) for place, angle in zip(SEARCH, (0, 75, 180), strict=True)}}
    for folder in sorted(RDB7.glob("rxn*")):
        files = {place: f"{LETTERS[place]}{folder.name[3:]}.xyz" for place in SEARCH}
        found[folder.name] = {place: read(folder / file) for place, file in files.items()}
    return found


def hcn(angle: float) -> Atoms:
    """HCN (0), HNC (180) and what is between: hydrogen on an ellipse round CN, degrees."""
    a = np.radians(angle)
    hydrogen = [0.58 - 1.65 * np.cos(a), 1.15 * np.sin(a), 0.0]
    return Atoms("CNH", [[0, 0, 0], [1.16, 0, 0], hydrogen])


def record(atoms: Atoms, search: str) -> dict:
    """What MOPAC says at a structure, and where its search from there ends."""
    point = run_mopac(atoms.numbers.tolist(), atoms.positions, "PM3")
    found = {
        "numbers": atoms.numbers.tolist(),
        "start": atoms.positions.round(10).tolist(),
        "start_heat_of_formation_kcal_mol": point["heat_of_formation_kcal_mol"],
    }
    out, aux = search_and_force(atoms, f"{BASE} {search}", f"{BASE} FORCE")
    zero_point_energy = re.search(r"ZERO_POINT_ENERGY:KCAL/MOL=\s*(\S+)", aux)
    if "GRADIENT NORM =" not in out or zero_point_energy is None:
        return found
    positions = np.reshape(_aux_numbers(aux, "ATOM_X_FORCE:ANGSTROMS"), (-1, 3))
    zero = 5 if np.linalg.svd(positions - positions.mean(0))[1][1] < 1e-3 else 6
    return found | {
        "positions": positions.round(8).tolist(),
        "heat_of_formation_kcal_mol": _aux_number(aux, "HEAT_OF_FORMATION:KCAL/MOL"),
        "zero_point_energy_kcal_mol": float(zero_point_energy.group(1)),
        "frequencies": _aux_numbers(aux, "VIB._FREQ:CM(-1)")[: 3 * len(atoms) - zero],
    }


if __name__ == "__main__":
    main()
