"""Run MOPAC's FORCE and THERMO for small molecules with PM3 and write `vibrations.json`.

    python tests/reference/make_vibrations.py [--out FILE]

Every molecule is optimised by MOPAC from its G2 geometry; the frequencies are those at that
geometry.  MOPAC lists the members of a degenerate set once each in its AUX file, and appends the
translations and rotations behind the vibrations.  Needs `mopac` on the path and ase.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ase import Atoms
from ase.build import molecule
from mopac import SPIN_KEYWORDS, _aux_number, _aux_numbers, search_and_force
from records import write_records

BASE = "PM3 PRECISE NOMM GEO-OK XYZ NOREOR SCFCRT=1.E-12 AUX(PRECISION=9) LET"
NAMES = (
    *("H2", "N2", "CO", "H2O", "SH2", "SO2", "HCN", "CO2", "C2H2", "NH3", "PH3", "CH4", "H2CO"),
    *("CH3Cl", "CH3OH", "HCOOH", "C2H4", "CH3CN", "CH3NO2", "C2H6", "CH3CHO"),
)
STATES = {"CH3": (0, 2), "NH4": (1, 1), "OH": (-1, 1)}
LINEAR = ("H2", "N2", "CO", "HCN", "CO2", "C2H2", "OH")
TEMPERATURES = (200, 600, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).with_name("vibrations.json")
    parser.add_argument("--out", type=Path, default=default, help="file to write")
    out = parser.parse_args().out
    records = [record(name, *STATES.get(name, (0, 1))) for name in (*NAMES, *STATES)]
    about = {
        "made_by": "tests/reference/make_vibrations.py",
        "keywords": f"{BASE} FORCE THERMO{TEMPERATURES} at a geometry of {BASE} GNORM=0.001",
        "units": "Angstrom, cm-1, e, u, kcal/mol, cal/mol, cal/mol/K; 1 atm",
    }
    write_records(out, about, "molecules", records)


def start(name: str) -> Atoms:
    """G2 geometry; ammonium has the one of methane."""
    atoms = molecule("CH4" if name == "NH4" else name)
    if name == "NH4":
        atoms.numbers[0] = 7
    return atoms


def record(name: str, charge: int, multiplicity: int) -> dict:
    """What MOPAC says about one molecule."""
    atoms = start(name)
    state = f"CHARGE={charge}"
    if multiplicity > 1:
        state += f" UHF {SPIN_KEYWORDS[multiplicity - 1]}"
    thermo = "THERMO({},{},{})".format(*TEMPERATURES)
    relax, force = f"{BASE} GNORM=0.001 {state}", f"{BASE} FORCE {thermo} {state}"
    _, aux = search_and_force(atoms, relax, force, name)
    n_atoms = len(atoms)
    zero_point_energy = re.search(r"ZERO_POINT_ENERGY:KCAL/MOL=\s*(\S+)", aux)
    assert zero_point_energy is not None
    vibrations = 3 * n_atoms - (5 if name in LINEAR else 6)
    return {
        "name": name,
        "charge": charge,
        "multiplicity": multiplicity,
        "numbers": atoms.numbers.tolist(),
        "positions": _aux_numbers(aux, "ATOM_X_FORCE:ANGSTROMS"),
        "masses": _aux_numbers(aux, "ISOTOPIC_MASSES"),
        "heat_of_formation_kcal_mol": _aux_number(aux, "HEAT_OF_FORMATION:KCAL/MOL"),
        "zero_point_energy_kcal_mol": float(zero_point_energy.group(1)),
        "frequencies": _aux_numbers(aux, "VIB._FREQ:CM(-1)")[:vibrations],
        "transition_dipoles": _aux_numbers(aux, "VIB._T_DIP:ELECTRONS")[:vibrations],
        "temperatures": _aux_numbers(aux, "THERMODYNAMIC_PROPERTIES_TEMPS:K"),
        "enthalpies": _aux_numbers(aux, "ENTHALPY_TOT:CAL/MOL"),
        "heat_capacities": _aux_numbers(aux, "HEAT_CAPACITY_TOT:CAL/K/MOL"),
        "entropies": _aux_numbers(aux, "ENTROPY_TOT:CAL/K/MOL"),
        "heats_of_formation": _aux_numbers(aux, "H_O_F(T):KCAL/MOL"),
    }


if __name__ == "__main__":
    main()
